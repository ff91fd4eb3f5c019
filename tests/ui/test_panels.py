# SPDX-License-Identifier: Apache-2.0
"""The panels and bars: they show a state without a word, and pass on what hands do."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PySide6.QtCore import QPoint, Qt, QUrl, SignalInstance
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from viewer.caveats import IMPLAUSIBLE, VARIES
from viewer.export.formats import BY_NAME
from viewer.types import (
    Attribution,
    Display,
    Geometry,
    Identity,
    ModelInput,
    Prediction,
    Score,
    Series,
    Style,
    Target,
)
from viewer.ui.panels import (
    DisplayPanel,
    ExplainPanel,
    ExportDialog,
    MessageBar,
    PredictionPanel,
    SeriesPanel,
    StatusBar,
    TopBar,
)
from viewer.ui.panels.refused import _MOST_REASONS, RefusedFiles
from viewer.ui.panels.series_rows import gist
from viewer.ui.state import Busy, Memory, MethodItem, ModelItem, Notice, Probed, SeriesItem, ViewState
from viewer.ui.views import captions
from viewer.ui.widgets.parts import Text

LEFT = Qt.MouseButton.LeftButton
LABELS = ("pneumonia", "nodule", "effusion")


class _Method:
    name: ClassVar[str] = "grad-cam"
    title: ClassVar[str] = "Grad-CAM"
    paper: ClassVar[str] = ""
    signed: ClassVar[bool] = True
    target_dependent: ClassVar[bool] = True

    def settings(self) -> dict[str, Any]:
        return {}


def _state() -> ViewState:
    series = Series(
        "1",
        "CR",
        np.zeros((1, 8, 8), np.uint8),
        Geometry(np.eye(4)),
        Display(((1.0, 0.0),)),
        identity=Identity("DOE^JANE", "4711"),
        body_part="CHEST",
    )
    source = ModelInput(series, 0, torch.zeros(1, 1, 8, 8), np.eye(4))
    scores = tuple(
        Score(label, 0.5, value, threshold=0.5)
        for label, value in zip(LABELS, (0.82, 0.41, 0.001), strict=True)
    )
    prediction = Prediction(source, "Chest CNN", "3f9a" + "0" * 58 + "c1", "cpu", scores)
    shown = Attribution(
        np.zeros((1, 2, 2), np.float32),
        np.eye(4),
        "logit",
        predictions=(prediction,),
        explainer=_Method(),
        target=Target("pneumonia", 0),
    )
    methods = (
        MethodItem("grad-cam", "Grad-CAM", "CAM", "Places.", "1", {"layer": None}),
        MethodItem(
            "score-cam", "Score-CAM", "CAM", "Places.", "many", {"layer": None}, "Two dimensions only."
        ),
        MethodItem("saliency", "Saliency", "gradient", "Pixels.", "1", {"steps": 5}, None, {"steps": int}),
    )
    return ViewState().changed(
        items=(
            SeriesItem("CHEST", ("CR · 8 × 8",), (), np.zeros((8, 8), np.uint8)),
            SeriesItem("Head", ("CT · 93 slices",), ("slices are missing",)),
        ),
        not_opened=(("a.txt", "not an image"), ("b.txt", "not an image"), ("c.dcm", "truncated")),
        number=0,
        series=series,
        model=ModelItem(
            "Chest CNN", "3f9a" + "0" * 58 + "c1", "cpu", LABELS, ("block1", "block2"), methods, False
        ),
        prediction=prediction,
        target="pneumonia",
        attribution=shown,
        style=Style("inferno", (0.0, 0.4), 0.5, 0.1),
        probed=Probed(812, 402, "5 211", "−204 HU", "+0.27"),
    )


@pytest.fixture
def state() -> ViewState:
    return _state()


@pytest.fixture
def shown(qtbot: QtBot, state: ViewState) -> Callable[..., Any]:
    """`shown(TopBar)` is the widget on the screen with the state in it; keywords change the state."""

    def make(kind: type[QWidget], **changes: Any) -> Any:
        over = (QWidget(),) if kind is MessageBar else ()
        widget: Any = kind(*over)
        for one in (*over, widget):
            qtbot.addWidget(one)
        for one in over:
            one.show()
        widget.show(state.changed(**changes))
        widget.resize(300, 600) if widget.maximumWidth() > 1000 else None
        if kind in (TopBar, StatusBar):
            widget.resize(1280, widget.height())
        QWidget.show(widget)
        qtbot.waitExposed(widget)
        return widget

    return make


def heard(*signals: SignalInstance) -> list[tuple[object, ...]]:
    """A list that fills with the arguments of what is emitted."""
    told: list[tuple[object, ...]] = []
    for signal in signals:
        signal.connect(lambda *arguments: told.append(arguments))
    return told


SIGNALS = {
    SeriesPanel: ("series_chosen", "narrow_toggled"),
    PredictionPanel: ("target_chosen", "model_requested"),
    ExplainPanel: (
        "method_chosen",
        "target_chosen",
        "layer_chosen",
        "setting_changed",
        "explain_requested",
        "cancel_requested",
    ),
    DisplayPanel: ("style_changed", "lock_toggled", "overlay_toggled"),
    TopBar: ("mask_requested", "layout_chosen", "open_requested", "model_requested", "export_requested"),
    MessageBar: ("action", "dismissed"),
}


@pytest.mark.parametrize("kind", SIGNALS)
def test_showing_a_state_emits_nothing(
    kind: type[QWidget], shown: Callable[..., Any], state: ViewState
) -> None:
    widget = shown(kind)
    told = heard(*(getattr(widget, name) for name in SIGNALS[kind]))
    other = state.changed(
        number=1,
        target="effusion",
        method="saliency",
        settings={"steps": 9},
        layer="block1",
        style=Style("blue-white-red", (-1.0, 1.0), 0.9, 0.5, "signed", "nearest"),
        locked=False,
        overlay=False,
        masked=False,
        layout="1",
        busy=Busy("explaining", 3, 9),
        notice=Notice("A.", "warning", "Do it", "do"),
    )
    for one in (other, ViewState(), state, other):
        widget.show(one)
    assert told == []


# --- series ---------------------------------------------------------------------------------------


def _middle(view: Any, row: int) -> QPoint:
    return view.visualRect(view.model().index(row)).center()


def test_a_click_and_the_keys_choose_a_series(shown: Callable[..., Any], qtbot: QtBot) -> None:
    panel = shown(SeriesPanel)
    told = heard(panel.series_chosen)
    qtbot.mouseClick(panel.list.viewport(), LEFT, pos=_middle(panel.list, 1))
    qtbot.keyClick(panel.list, Qt.Key.Key_Up)
    qtbot.keyClick(panel.list, Qt.Key.Key_Up)
    assert told == [(1,), (0,)]


def test_the_series_panel_folds(shown: Callable[..., Any], qtbot: QtBot) -> None:
    panel = shown(SeriesPanel)
    told = heard(panel.narrow_toggled)
    qtbot.mouseClick(panel.fold, LEFT)
    assert panel.width() == 56
    assert not panel.title.isVisible()
    qtbot.keyClick(panel.fold, Qt.Key.Key_Space)
    assert panel.width() > 200
    assert told == [(True,), (False,)]


def test_what_was_not_opened_says_why(shown: Callable[..., Any], qtbot: QtBot) -> None:
    panel = shown(SeriesPanel)
    part = panel.not_opened
    assert part.why.quiet_part == "3 files · "
    assert not part.reasons.isVisible()
    qtbot.mouseClick(part.why, LEFT)
    assert part.reasons.isVisible()
    assert not part.search.isVisible()
    assert part.reasons.toPlainText() == "not an image\na.txt\nb.txt\ntruncated\nc.dcm"
    qtbot.mouseClick(part.why, LEFT)
    assert not part.reasons.isVisible()


def test_of_many_files_one_can_be_searched_for(shown: Callable[..., Any], qtbot: QtBot) -> None:
    several = tuple((f"{n}.txt", "not an image") for n in range(9))
    panel = shown(SeriesPanel, not_opened=(*several, ("IM1", "The file is truncated.")))
    part = panel.not_opened
    qtbot.mouseClick(part.why, LEFT)
    qtbot.keyClicks(part.search, "TRUNC")
    assert part.reasons.toPlainText() == "The file is truncated.\nIM1"
    part.search.clear()
    qtbot.keyClicks(part.search, "4.t")
    assert part.reasons.toPlainText() == "not an image\n4.txt"
    qtbot.keyClicks(part.search, "q")
    assert part.reasons.toPlainText() == "No file and no reason is called so."


def test_what_was_searched_for_stands_open_to_the_last_reason(qtbot: QtBot) -> None:
    part = RefusedFiles()
    qtbot.addWidget(part)
    part.put([(f"{n} {k}.txt", f"reason {n}") for n in range(_MOST_REASONS) for k in range(4)], opened=True)
    assert part.toPlainText().count("hide") == _MOST_REASONS
    assert part.toPlainText().endswith(f"{_MOST_REASONS - 1} 3.txt")


def test_a_strip_of_thumbnails_still_says_that_files_were_not_opened(
    shown: Callable[..., Any], qtbot: QtBot
) -> None:
    panel = shown(SeriesPanel)
    panel.set_narrow(True)
    part = panel.not_opened
    assert part.mark.isVisible()
    assert part.mark.accessibleName() == "3 files were not opened: why?"
    assert not part.why.isVisible()
    assert part.count.text() == "3"
    told = heard(panel.narrow_toggled)
    qtbot.mouseClick(part.mark, LEFT)
    assert told == [(False,)]
    assert part.reasons.isVisible()
    assert not part.mark.isVisible()


def test_of_very_many_files_and_reasons_some_are_named(shown: Callable[..., Any]) -> None:
    many = tuple((f"{k}.dcm", "cut off" if k % 2 else f"{k} of 50000 bytes") for k in range(50_000))
    panel = shown(SeriesPanel, not_opened=many)
    lines = panel.not_opened.reasons.toPlainText().split("\n")
    assert panel.not_opened.why.quiet_part == "50000 files · "
    assert lines[:4] == ["0 of 50000 bytes", "0.dcm", "cut off", "25000 files · which?"]
    assert lines[-1] == "… and 24801 files more; “series --json” lists all."
    assert len(lines) == 401
    panel.not_opened.reasons.anchorClicked.emit(QUrl("1"))
    lines = panel.not_opened.reasons.toPlainText().split("\n")
    assert sum(line.endswith(".dcm") for line in lines) == 2000 + 199
    assert "… and 23000 more" in lines


def test_a_list_that_grows_stays_where_it_was(
    shown: Callable[..., Any], state: ViewState, qtbot: QtBot
) -> None:
    panel = shown(SeriesPanel)
    rows = tuple(SeriesItem(f"{k}", ("CT · 1 image so far",)) for k in range(60))
    panel.show(state.changed(items=rows, number=None, previewed=40))
    bar = panel.list.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 500)
    bar.setValue(500)
    panel.show(state.changed(items=(*rows, *rows[:9]), number=None, previewed=40))
    assert panel.list.model().rowCount() == 69
    qtbot.waitUntil(lambda: bar.maximum() > 3000)
    assert (bar.value(), panel.list.currentIndex().row()) == (500, 40)
    panel.show(state.changed(items=rows[:3], number=2))
    assert (panel.list.model().rowCount(), panel.list.currentIndex().row()) == (3, 2)


def test_many_files_with_one_reason_are_one_line_that_opens(shown: Callable[..., Any], qtbot: QtBot) -> None:
    many = tuple((f"IM{n:02d}", "truncated") for n in range(55))
    panel = shown(SeriesPanel, not_opened=(("a.txt", "not an image"), *many))
    qtbot.mouseClick(panel.not_opened.why, LEFT)
    closed = "not an image\na.txt\ntruncated\n55 files · which?"
    assert panel.not_opened.reasons.toPlainText() == closed
    panel.not_opened.reasons.setFocus()
    for key in (Qt.Key.Key_Tab, Qt.Key.Key_Return):
        qtbot.keyClick(panel.not_opened.reasons, key)
    lines = panel.not_opened.reasons.toPlainText().splitlines()
    assert lines == ["not an image", "a.txt", "truncated", "55 files · hide", *(name for name, _ in many)]
    for key in (Qt.Key.Key_Tab, Qt.Key.Key_Return):
        qtbot.keyClick(panel.not_opened.reasons, key)
    assert panel.not_opened.reasons.toPlainText() == closed


@pytest.mark.parametrize(
    ("warning", "said"),
    [
        (
            "No pixel spacing in the file; lengths can only be given in pixels.",
            "No pixel spacing in the file",
        ),
        ("This is a single slice, so there is no volume.", "This is a single slice"),
        ("2 images, which share one place, are shown.", "2 images, which share one place, are shown"),
    ],
)
def test_the_list_says_what_a_warning_warns_of(warning: str, said: str) -> None:
    assert gist(warning) == said


def test_a_thumbnail_alone_asks_no_row_for_its_size(
    shown: Callable[..., Any], state: ViewState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = shown(SeriesPanel)
    rows = tuple(SeriesItem(f"{k}", ("CT · 8 slices",)) for k in range(9))
    panel.show(state.changed(items=rows))
    qtbot.wait(50)
    asked: set[str] = set()
    delegate = panel.list.itemDelegate()
    broken = delegate._paragraphs
    monkeypatch.setattr(
        delegate, "_paragraphs", lambda item, room: asked.add(item.title) or broken(item, room)
    )
    pictured = dataclasses.replace(rows[0], thumbnail=np.zeros((8, 8), np.uint8))
    panel.show(state.changed(items=(pictured, *rows[1:])))
    qtbot.wait(50)
    assert asked <= {"0"}
    renamed = dataclasses.replace(rows[1], facts=("CT · 9 slices",))
    panel.show(state.changed(items=(pictured, renamed, *rows[2:])))
    qtbot.waitUntil(lambda: len(asked) == 9)


def test_an_empty_list_says_what_to_do(shown: Callable[..., Any]) -> None:
    panel = shown(SeriesPanel, items=(), not_opened=(), number=None)
    assert panel.empty.isVisible()
    assert not panel.not_opened.isVisible()


# --- prediction -----------------------------------------------------------------------------------


def test_a_click_explains_a_label(shown: Callable[..., Any], qtbot: QtBot) -> None:
    panel = shown(PredictionPanel)
    told = heard(panel.target_chosen)
    qtbot.mouseClick(panel.list.viewport(), LEFT, pos=_middle(panel.list, 1))
    qtbot.keyClick(panel.list, Qt.Key.Key_Down)
    qtbot.keyClick(panel.list, Qt.Key.Key_Return)
    assert told == [("nodule",), ("effusion",)]


def test_the_model_is_named_and_its_numbers_are_scores(shown: Callable[..., Any], state: ViewState) -> None:
    panel = shown(PredictionPanel)
    assert (panel.model_name.full, panel.model_facts.full) == ("Chest CNN", "· 3f9a…c1")
    assert panel.caption.full == "Scores, not probabilities"
    assert state.answer.prediction is not None
    sure = tuple(dataclasses.replace(score, calibrated=True) for score in state.answer.prediction.scores)
    calibrated = dataclasses.replace(state.answer.prediction, scores=sure)
    panel.show(state.changed(prediction=calibrated))
    assert panel.caption.full == "Calibrated probabilities"
    tip = panel.list.model().index(0).data(Qt.ItemDataRole.ToolTipRole)
    assert tip == "pneumonia 0.82\nCalled · probability, called from 0.50 · logit 0.5"


def test_the_answer_is_what_how_sure_and_of_what(shown: Callable[..., Any], state: ViewState) -> None:
    panel = shown(PredictionPanel)
    answer = panel.answer
    assert (answer.label.full, answer.number.full) == ("pneumonia", "0.82")
    assert answer.called.text() == "Called · score, called from 0.50"
    assert answer.region.text() == "of the whole image"
    assert answer.mapTo(panel, QPoint()).y() < panel.list.mapTo(panel, QPoint()).y()
    panel.show(state.changed(target="nodule"))
    assert (answer.label.full, answer.number.full) == ("nodule", "0.41")
    assert answer.called.text() == "Not called · score, called from 0.50"


def test_a_model_of_one_label_says_it_once(shown: Callable[..., Any], state: ViewState) -> None:
    assert state.answer.model is not None
    assert state.answer.prediction is not None
    model = dataclasses.replace(state.answer.model, labels=LABELS[:1])
    said = dataclasses.replace(state.answer.prediction, scores=state.answer.prediction.scores[:1])
    panel = shown(PredictionPanel, model=model, prediction=said)
    assert panel.answer.isVisible()
    assert not panel.list.isVisible()
    assert shown(PredictionPanel).list.isVisible()


def test_nothing_is_said_of_the_place_before_its_score(shown: Callable[..., Any]) -> None:
    panel = shown(PredictionPanel, prediction=None)
    answer = panel.answer
    assert (answer.label.full, answer.number.full) == ("pneumonia", "–")
    assert (answer.called.text(), answer.region.text()) == ("", "")


def test_the_rows_are_there_before_the_scores(shown: Callable[..., Any], state: ViewState) -> None:
    panel = shown(PredictionPanel, prediction=None)
    before = panel.sizeHint().height()
    panel.show(state)
    assert panel.sizeHint().height() == before


def test_without_a_model_a_button_opens_one(shown: Callable[..., Any], qtbot: QtBot) -> None:
    panel = shown(PredictionPanel, model=None, prediction=None)
    told = heard(panel.model_requested)
    qtbot.mouseClick(panel.no_model.open_model, LEFT)
    assert len(told) == 1


def test_many_labels_scroll(shown: Callable[..., Any], state: ViewState) -> None:
    assert state.answer.model is not None
    model = dataclasses.replace(state.answer.model, labels=tuple(f"label {i}" for i in range(40)))
    panel = shown(PredictionPanel, model=model, prediction=None)
    assert panel.list.height() == 12 * 26
    assert panel.list.verticalScrollBar().maximum() > 0


# --- explain --------------------------------------------------------------------------------------


def test_methods_stand_under_their_family_and_the_unsuitable_are_grey(shown: Callable[..., Any]) -> None:
    panel = shown(ExplainPanel)
    entries = panel.method.model()
    assert isinstance(entries, QStandardItemModel)
    rows = [entries.item(i) for i in range(entries.rowCount())]
    assert [(row.text(), row.isEnabled()) for row in rows] == [
        ("CAM", False),
        ("Grad-CAM", True),
        ("Score-CAM", False),
        ("GRADIENT", False),
        ("Saliency", True),
    ]
    assert rows[2].toolTip() == "Two dimensions only."
    assert panel.method.currentText() == "Grad-CAM"


def test_method_target_and_layer_are_chosen(shown: Callable[..., Any], qtbot: QtBot) -> None:
    panel = shown(ExplainPanel)
    told = heard(panel.method_chosen, panel.target_chosen, panel.layer_chosen)
    qtbot.keyClick(panel.method, Qt.Key.Key_Down)  # over the grey one and the family
    qtbot.keyClick(panel.target, Qt.Key.Key_Down)
    qtbot.keyClick(panel.layer, Qt.Key.Key_Down)
    line = panel.layer.lineEdit()
    line.selectAll()
    qtbot.keyClicks(line, "block9.conv")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    line.selectAll()
    qtbot.keyClick(line, Qt.Key.Key_Delete)
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert told == [("saliency",), ("nodule",), ("block1",), ("block9.conv",), (None,)]


def test_a_setting_is_changed(shown: Callable[..., Any], qtbot: QtBot) -> None:
    panel = shown(ExplainPanel, method="saliency")
    told = heard(panel.setting_changed)
    qtbot.keyClick(panel.form.controls["steps"], Qt.Key.Key_Up)
    assert told == [("steps", 6)]
    assert not panel.layer.isEnabled()


def test_run_makes_room_for_progress_and_cancel(
    shown: Callable[..., Any], state: ViewState, qtbot: QtBot
) -> None:
    panel = shown(ExplainPanel)
    run, cancel = heard(panel.explain_requested), heard(panel.cancel_requested)
    height = panel.sizeHint().height()
    qtbot.mouseClick(panel.run_bar.run, LEFT)
    panel.run_bar.run.setFocus()
    panel.show(state.changed(busy=Busy("integrating", 21, 32)))
    assert panel.sizeHint().height() == height
    assert panel.run_bar.words.full == "step 21 / 32"
    assert panel.window().focusWidget() is panel.run_bar.cancel
    qtbot.mouseClick(panel.run_bar.cancel, LEFT)
    panel.show(state.changed(busy=Busy("starting engine")))
    assert panel.run_bar.words.full == "starting engine…"
    assert (len(run), len(cancel)) == (1, 1)


def test_what_cannot_run_says_why(shown: Callable[..., Any]) -> None:
    assert shown(ExplainPanel, model=None).run_bar.run.toolTip() == "Open a model first."
    panel = shown(ExplainPanel, method="score-cam")
    assert not panel.run_bar.run.isEnabled()
    assert panel.run_bar.run.toolTip() == "Two dimensions only."


# --- display --------------------------------------------------------------------------------------


def test_sliders_by_mouse_and_keys(shown: Callable[..., Any], qtbot: QtBot) -> None:
    panel = shown(DisplayPanel)
    assert (panel.opacity.value(), panel.threshold.value()) == (50, 25)
    told = heard(panel.style_changed)
    qtbot.mouseClick(panel.opacity, LEFT, pos=panel.opacity.place(80).toPoint())
    qtbot.keyClick(panel.threshold, Qt.Key.Key_Right)
    [(name, opacity), (other, threshold)] = told
    assert (name, other) == ("opacity", "threshold")
    assert opacity == pytest.approx(0.8, abs=0.02)
    assert threshold == pytest.approx(0.26 * 0.4)


def test_combos_switch_and_lock(shown: Callable[..., Any], qtbot: QtBot) -> None:
    panel = shown(DisplayPanel)
    told = heard(panel.style_changed, panel.overlay_toggled, panel.lock_toggled)
    for combo in (panel.table, panel.sign, panel.interpolation):
        qtbot.keyClick(combo, Qt.Key.Key_Down)
    qtbot.mouseClick(panel.overlay, LEFT)
    qtbot.mouseClick(panel.lock, LEFT)
    assert told == [
        ("colours", "viridis"),
        ("sign", "signed"),
        ("interpolation", "nearest"),
        (False,),
        (False,),
    ]


def test_the_range_is_told_with_its_unit(shown: Callable[..., Any]) -> None:
    panel = shown(DisplayPanel)
    assert panel.range.full == "0 … 0.4"
    assert "logit" in panel.range.toolTip()
    assert not shown(DisplayPanel, attribution=None).threshold.isEnabled()


# --- bars -----------------------------------------------------------------------------------------


def test_the_top_bar_passes_on_every_button(shown: Callable[..., Any], qtbot: QtBot) -> None:
    bar = shown(TopBar)
    buttons = {
        "search_requested": bar.search,
        "export_requested": bar.export,
        "settings_requested": bar.settings,
        "theme_toggled": bar.theme,
    }
    for name, button in buttons.items():
        told = heard(getattr(bar, name))
        qtbot.mouseClick(button, LEFT)
        qtbot.keyClick(button, Qt.Key.Key_Space)
        assert told == [(), ()]
    told = heard(bar.mask_requested)
    qtbot.mouseClick(bar.patient, LEFT)
    qtbot.mouseClick(bar.patient, LEFT, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(bar.patient, Qt.Key.Key_Space)
    assert told == [(True,), (False,), (True,)]  # it is masked
    told = heard(bar.layout_chosen)
    qtbot.mouseClick(bar.layouts.buttons["1|1"], LEFT)  # it is chosen already
    qtbot.mouseClick(bar.layouts.buttons["1"], LEFT)
    assert told == [("1",)]
    assert bar.layouts.buttons["1|1"].isChecked()  # until a state says otherwise


def test_the_patient_is_masked(shown: Callable[..., Any], state: ViewState) -> None:
    bar = shown(TopBar)
    assert bar.patient.full == "Patient ●●●●●●"
    assert "DOE" not in bar.patient.toolTip() + bar.patient.accessibleName()
    bar.show(state.changed(masked=False))
    assert bar.patient.full == "DOE JANE · 4711"
    bar.show(ViewState())
    assert bar.patient.full == "No image"
    assert not bar.export.isEnabled()


def test_the_status_bar_always_says_what_it_must(shown: Callable[..., Any], state: ViewState) -> None:
    bar = shown(StatusBar)
    facts = [fact.full for fact in (bar.row, bar.column, bar.raw, bar.value, bar.map, bar.device)]
    assert facts == ["row 812", "column 402", "raw 5 211", "−204 HU", "map +0.27", "CPU"]
    place = bar.map.x()
    bar.show(state.changed(probed=Probed(1, 2, "3", "4 HU", "0")))
    bar.layout().activate()
    assert bar.map.x() == place  # nothing moves when a number gets shorter
    bar.show(state.changed(probed=Probed(1, 2, "-1024", "-1.5e-05 s-1", "-0.2")))
    assert [fact.full for fact in (bar.raw, bar.value, bar.map)] == ["raw −1024", "−1.5e−05 s-1", "map −0.2"]
    bar.show(state.changed(memory=Memory(300 * 2**20, 3 * 2**29)))
    assert bar.memory.full == "Slices 300 MiB of 1.5 GiB"
    bar.show(ViewState())
    assert bar.research.text() == "For research use only. Not for diagnostic use."


def test_a_message_acts_and_goes(shown: Callable[..., Any], state: ViewState, qtbot: QtBot) -> None:
    bar = shown(MessageBar, notice=Notice("Outside.", "stop", "Go on", "override"))
    action, gone = heard(bar.action), heard(bar.dismissed)
    qtbot.mouseClick(bar.button, LEFT)
    qtbot.mouseClick(bar.close_button, LEFT)
    assert action == [("override",)]
    assert len(gone) == 1
    bar.show(state.changed(notice=Notice("Done.")))
    assert not bar.button.isVisible()
    bar.show(state.changed(notice=None))
    assert not bar.isVisible()


# --- export ---------------------------------------------------------------------------------------


def test_the_export_dialogue(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = ExportDialog(folder=tmp_path)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitExposed(dialog)
    assert dialog.values() == (tmp_path, ("png", "npz", "json"), False)
    # The folder is typed without a press before.
    assert (dialog.focusWidget(), dialog.folder.selectedText()) == (dialog.folder, str(tmp_path))
    height = dialog.sizeHint().height()
    assert not dialog.warning.isVisible()
    qtbot.mouseClick(dialog.identity, LEFT)
    assert dialog.warning.isVisible()
    assert dialog.sizeHint().height() == height
    qtbot.mouseClick(dialog.formats["npz"], LEFT)
    assert dialog.values() == (tmp_path, ("png", "json"), True)
    for name in ("png", "json"):
        qtbot.keyClick(dialog.formats[name], Qt.Key.Key_Space)
    assert not dialog.write.isEnabled()
    qtbot.mouseClick(dialog.formats["png"], LEFT)
    with qtbot.waitSignal(dialog.accepted):
        qtbot.mouseClick(dialog.write, LEFT)


def test_what_is_impossible_for_a_series_cannot_be_chosen(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npz = BY_NAME["npz"]
    monkeypatch.setattr(type(npz), "unsuitable", lambda _self, series: f"No {series.modality} can be so.")
    dialog = ExportDialog(folder=tmp_path, series=_state().view.series)
    qtbot.addWidget(dialog)
    box = dialog.formats["npz"]
    assert (box.isEnabled(), box.isChecked(), box.toolTip()) == (False, False, "No CR can be so.")
    assert dialog.values().formats == ("png", "json")
    assert ExportDialog(folder=tmp_path).values().formats == ("png", "npz", "json")


def test_text_is_cut_in_the_middle_and_told_in_the_tip(qtbot: QtBot) -> None:
    text = Text("a long name of a series with a number 12345")
    qtbot.addWidget(text)
    text.resize(120, 20)
    text.show()
    qtbot.waitExposed(text)
    assert "…" in text.text()
    assert text.text().endswith("5")
    assert text.toolTip() == "a long name of a series with a number 12345"
    text.resize(600, 20)
    qtbot.waitUntil(lambda: text.text() == text.full)
    assert text.toolTip() == ""


def test_enter_in_the_folder_field_exports(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = ExportDialog()
    qtbot.addWidget(dialog)
    dialog.open()
    dialog.folder.setText(str(tmp_path / "new"))
    with qtbot.waitSignal(dialog.accepted):
        qtbot.keyClick(dialog.folder, Qt.Key.Key_Return)
    assert dialog.values().folder == tmp_path / "new"


def test_doubtful_scores_are_said_beside_them_and_over_the_map(shown: Callable[..., Any]) -> None:
    said = dataclasses.replace(_state().answer.prediction, implausible="The outputs are the same.", runs=10)
    panel = shown(PredictionPanel, prediction=said)
    assert panel.doubts.isVisible()
    assert panel.doubts.text().startswith("The outputs are the same. The network gives another answer")
    state = ViewState().changed(prediction=said)
    assert captions.caveats(state) == ((IMPLAUSIBLE, "warning"), (VARIES, "warning"))
    assert not shown(PredictionPanel, prediction=_state().answer.prediction).doubts.isVisible()


def test_an_unknown_intended_use_is_said_beside_the_scores(shown: Callable[..., Any]) -> None:
    panel = shown(PredictionPanel, unknown="the card of Net does not say which studies it accepts.")
    assert panel.unknown.isVisible()
    assert panel.unknown.text().startswith("Intended use unknown: the card of Net does not say")
    assert not panel.outside.isVisible()
    assert not shown(PredictionPanel, unknown=None).unknown.isVisible()


def test_what_was_overridden_stays_said_beside_the_scores(shown: Callable[..., Any]) -> None:
    reason = "The model was made for MR."
    panel = shown(PredictionPanel, gate="open", outside=reason)
    assert panel.outside.isVisible()
    assert panel.outside.text() == f"Outside the model's intended use: {reason}"
    assert not shown(PredictionPanel, gate="open", outside=None).outside.isVisible()
    assert not shown(PredictionPanel, gate="outside", outside=reason).outside.isVisible()  # nothing is said
