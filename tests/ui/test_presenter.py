# SPDX-License-Identifier: Apache-2.0
"""What the window does, without a window: a spec'd mock view, real workers, a real small study."""

import json
import random
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest
from desk import Desk
from PIL import Image
from program import COLUMNS, LABELS, ROWS, Whyscope, arrays_of, write_model, write_stack
from pydicom import dcmread

from viewer import demo, dicom, overlay, session
from viewer.caveats import UNKNOWN_USE
from viewer.dicom import UNKNOWN_PLACE, Arrival, arrivals
from viewer.dicom.decoder_pool import CHILDREN, DecodingError, shared_decoder
from viewer.dicom.display import modality_values
from viewer.dicom.memory import KEPT
from viewer.dicom.scan import MANY
from viewer.settings import Limits
from viewer.task import Task
from viewer.types import Prediction, Window
from viewer.ui.presenter.evidence import next_peak, volume_profile
from viewer.ui.presenter.slice_profile import NOTHING_DRAWN
from viewer.ui.state import ViewState, choice_of, position_of
from viewer.ui.views import captions
from viewer.wording import OUTSIDE_USE


def test_a_study_opens_at_its_first_series_in_the_middle(desk: Desk, study: Path) -> None:
    desk.presenter.studies.open([study])
    state = desk.wait(lambda s: s.view.values is not None)
    assert [i.title for i in state.studies.items] == ["Made-up block", "Other"]
    assert (state.view.number, state.view.slice) == (0, 2)
    assert state.studies.not_opened == (("notes.txt", "This is neither DICOM nor a PNG or JPEG picture."),)
    assert state.view.values.max() == 300
    assert state.view.levels == (-1000, 999)  # the file's window of 2000 about 0: PS3.3 C.11.2.1.2
    desk.at_rest()
    assert all(i.thumbnail is not None for i in desk.state.studies.items)


def test_the_truth_is_outlined_on_its_slices_only(desk: Desk) -> None:
    desk.presenter.studies.open([demo.studies()[0]])
    desk.wait(lambda s: s.view.outlines)
    assert [one.name for one in desk.state.view.outlines] == ["Nodule"]
    assert desk.state.studies.not_opened == ()
    desk.presenter.studies.choose_series(1)
    assert desk.state.view.outlines == ()
    desk.at_rest()
    seen = []
    for slice in range(desk.state.view.series.shape[0]):
        desk.presenter.go_to(slice)
        seen += [slice] if desk.state.view.outlines else []
    assert len(seen) == 5
    assert np.ptp(seen) == 4


def test_nothing_there_is_a_sentence(desk: Desk, tmp_path: Path) -> None:
    desk.presenter.studies.open([tmp_path / "nowhere"])
    assert "nowhere" in desk.wait(lambda s: s.shell.notice).shell.notice.text


def test_the_model_predicts_and_explains_unasked(desk: Desk, study: Path, model: Path) -> None:
    state = desk.explained(study, model)
    assert [s.label for s in state.answer.prediction.scores] == list(LABELS)
    assert state.request.target == state.answer.prediction.top.label
    assert state.answer.attribution.slice == 2
    assert state.view.map.shape == state.view.values.shape


def test_another_label_comes_from_what_is_kept(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    desk.jobs.run = create_autospec(desk.jobs.run)
    for label in LABELS:
        desk.presenter.explaining.choose_target(label)
        assert desk.state.answer.attribution.target.words == label
    desk.jobs.run.assert_not_called()


def test_maps_are_laid_over_the_slice_by_the_worker(
    desk: Desk, study: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shown label's and, where they are small, those of the others; the window's thread lays none."""
    threads = []
    on_source = overlay.on_source
    monkeypatch.setattr(
        overlay, "on_source", lambda *asked: threads.append(threading.current_thread()) or on_source(*asked)
    )
    state = desk.explained(study, model)
    for label in LABELS:
        desk.presenter.explaining.choose_target(label)
        shown = desk.state
        assert np.array_equal(
            shown.view.map, on_source(shown.answer.attribution, state.view.slice), equal_nan=True
        )
    assert len(threads) == len(LABELS)
    assert threading.main_thread() not in threads


def test_another_method_of_the_family_runs_no_network(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    calls = []
    desk.presenter.explaining._maps.model._module.register_forward_hook(lambda *_: calls.append(1))
    for method in ("hires-cam", "layer-cam", "eigen-cam"):
        desk.presenter.explaining.choose_method(method)
        state = desk.wait(
            partial(
                lambda m, s: s.answer.attribution is not None and s.answer.attribution.explainer.name == m,
                method,
            )
        )
        assert state.answer.attribution.slice == 2
    desk.presenter.explaining.choose_against(next(n for n in LABELS if n != state.request.target))
    desk.presenter.explaining.choose_method("grad-cam")
    desk.wait(lambda s: s.answer.attribution is not None and s.answer.attribution.target.minus is not None)
    assert calls == []


def test_why_this_rather_than_that(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    target = desk.state.request.target
    other = next(label for label in LABELS if label != target)
    desk.presenter.explaining.choose_against(other)
    assert desk.state.answer.attribution is None
    state = desk.wait(lambda s: s.answer.attribution is not None)
    assert (state.answer.attribution.target.label, state.answer.attribution.target.minus) == (target, other)
    desk.presenter.explaining.choose_target(other)
    state = desk.state
    assert state.request.against is None
    assert state.answer.attribution.target.words == other


def test_the_evidence_follows_the_label(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    for label in LABELS:
        desk.presenter.explaining.choose_target(label)
        shown = desk.state.answer.prediction.scores
        assert desk.state.answer.profile[2] == next(s.probability for s in shown if s.label == label)


def test_signed_maps_wear_colours_with_a_middle(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.presenter.display.set_style("sign", "signed")
    assert desk.state.views.style.colours == "blue-white-red"
    desk.presenter.display.set_style("sign", "positive")
    assert desk.state.views.style.colours == "inferno"


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.display.set_style("opacity", 0.3),
        lambda p: p.display.set_style("threshold", 0.01),
        lambda p: p.display.set_style("colours", "viridis"),
        lambda p: p.display.set_style("interpolation", "nearest"),
        lambda p: p.display.toggle_overlay(),
        lambda p: p.display.invert(),
        lambda p: p.studies.mask(False),
        lambda p: p.display.drag_window(10, -4),
        lambda p: p.display.preset(2),
        lambda p: p.display.preset(0),
        lambda p: p.display.preset(1),
        lambda p: p.display.choose_layout("1"),
        lambda p: p.point(3.2, 4.9),
    ],
)
def test_display_never_runs_anything(desk: Desk, study: Path, model: Path, change: Any) -> None:
    desk.explained(study, model)
    desk.at_rest()
    before = desk.state
    desk.jobs.run = create_autospec(desk.jobs.run)
    change(desk.presenter)
    desk.jobs.run.assert_not_called()
    assert desk.state is not before
    assert desk.state.answer.attribution is before.answer.attribution


def test_the_window_follows_the_drag_and_comes_back(desk: Desk, study: Path) -> None:
    desk.presenter.studies.open([study])
    state = desk.wait(lambda s: s.view.values is not None)
    low, high = state.view.levels
    desk.presenter.display.drag_window(100, 0)
    assert desk.state.view.levels[1] - desk.state.view.levels[0] == pytest.approx(1.5 * (high - low))
    desk.presenter.display.drag_window(0, 10)
    assert sum(desk.state.view.levels) > low + high
    desk.presenter.display.preset(1)
    assert desk.state.view.levels == (low, high)


def test_the_probe_reads_native_values(desk: Desk, study: Path) -> None:
    desk.presenter.studies.open([study])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.point(5.1, 7.2)
    probed = desk.state.shell.probed
    assert (probed.row, probed.column, probed.raw, probed.value) == (5, 7, "1324", "300 HU")
    desk.presenter.point(-3, 1)
    assert desk.state.shell.probed is None


def test_a_study_outside_the_card_stops_until_overridden(desk: Desk, study: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "mr", accepts={"modality": ["MR"]})
    desk.presenter.studies.open([study])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.explaining.load_model(model)
    state = desk.wait(lambda s: s.answer.gate == "outside")
    assert state.shell.notice.kind == "stop"
    assert state.answer.attribution is None
    desk.presenter.dismiss()
    desk.presenter.explaining.explain()
    assert desk.state.shell.notice.wish == "override"  # the way on is not lost with the bar
    desk.presenter.explaining.take_action("override")
    state = desk.wait(lambda s: s.answer.attribution is not None)
    assert "MR" in state.answer.attribution.predictions[0].override
    # What was closed with the bar stays said, for as long as the answer is shown.
    assert state.shell.notice is None
    assert (OUTSIDE_USE, "stop") in captions.explained(state, True).top_left


def test_an_unknown_intended_use_asks_nothing_and_stays_said(desk: Desk, study: Path, tmp_path: Path) -> None:
    desk.presenter.studies.open([study])
    desk.presenter.explaining.load_model(write_model(tmp_path / "any", accepts={}))
    state = desk.wait(lambda s: s.answer.attribution is not None)
    assert (state.answer.gate, state.answer.outside, state.shell.notice) == ("open", None, None)
    assert "does not say" in state.answer.unknown
    assert (UNKNOWN_USE, "text") in captions.explained(state, True).top_left
    assert state.answer.attribution.prediction.unknown == state.answer.unknown
    desk.presenter.explaining.load_model(write_model(tmp_path / "ct", accepts={"modality": ["CT"]}))
    state = desk.wait(lambda s: s.answer.attribution is not None and s.answer.unknown is None)
    assert (UNKNOWN_USE, "text") not in captions.explained(state, True).top_left


def test_another_model_that_accepts_the_study_explains_it(desk: Desk, study: Path, tmp_path: Path) -> None:
    desk.presenter.studies.open([study])
    desk.presenter.explaining.load_model(write_model(tmp_path / "mr", accepts={"modality": ["MR"]}))
    desk.wait(lambda s: s.answer.gate == "outside")
    desk.presenter.explaining.load_model(write_model(tmp_path / "ct"))
    state = desk.wait(lambda s: s.answer.attribution is not None)
    assert (state.answer.gate, state.answer.outside) == ("open", None)


def test_code_beside_the_weights_waits_for_the_decision(desk: Desk, study: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "code", architecture="network.py:Net", arguments={})
    marker = tmp_path / "ran"
    (model / "network.py").write_text(
        f"open({str(marker)!r}, 'w').close()\n"
        "from viewer.models.builtin import SmallCNN\n"
        "Net = lambda: SmallCNN(1, 3, [4, 6])\n",
        "utf-8",
    )
    desk.presenter.studies.open([study])
    desk.presenter.explaining.load_model(model)
    notice = desk.wait(lambda s: s.shell.notice and s.shell.notice.action).shell.notice
    assert "SHA-256" in notice.text
    assert "network.py" in notice.text
    assert not marker.exists()
    desk.presenter.explaining.take_action(notice.wish)
    desk.wait(lambda s: s.answer.model is not None)
    assert marker.exists()


def test_the_same_code_does_not_ask_again_and_other_code_does(desk: Desk, tmp_path: Path) -> None:
    model = write_model(tmp_path / "code", architecture="network.py:Net", arguments={})
    code = "from viewer.models.builtin import SmallCNN\nNet = lambda: SmallCNN(1, 3, [4, 6])\n"
    (model / "network.py").write_text(code, "utf-8")
    explaining = desk.presenter.explaining
    explaining.load_model(model)
    explaining.take_action(desk.wait(lambda s: s.shell.notice and s.shell.notice.action).shell.notice.wish)
    desk.wait(lambda s: s.answer.model is not None and s.shell.notice is None)
    assert len(desk.state.shell.preferences.trusted) == 1
    explaining.load_model(model)
    assert "trusted before" in desk.wait(lambda s: not s.shell.under_way and s.shell.notice).shell.notice.text
    assert desk.state.shell.notice.kind == "info"
    (model / "network.py").write_text(code + "# changed\n", "utf-8")
    explaining.load_model(model)
    assert (
        desk.wait(lambda s: not s.shell.under_way and s.shell.notice).shell.notice.action
        == "Trust and run it"
    )
    desk.presenter.preferences.forget_trusted()
    (model / "network.py").write_text(code, "utf-8")
    explaining.load_model(model)
    desk.wait(lambda s: s.shell.loading)
    assert (
        desk.wait(lambda s: not s.shell.under_way and s.shell.notice).shell.notice.action
        == "Trust and run it"
    )


def test_only_the_bytes_that_were_shown_are_trusted(desk: Desk, tmp_path: Path) -> None:
    model = write_model(tmp_path / "code", architecture="network.py:Net", arguments={})
    marker = tmp_path / "ran"
    (model / "network.py").write_text("Net = None\n", "utf-8")
    desk.presenter.explaining.load_model(model)
    notice = desk.wait(lambda s: s.shell.notice and s.shell.notice.action).shell.notice
    (model / "network.py").write_text(f"open({str(marker)!r}, 'w').close()\nNet = None\n", "utf-8")
    desk.presenter.explaining.take_action(notice.wish)
    again = desk.wait(
        lambda s: not s.shell.under_way and s.shell.notice and s.shell.notice.text != notice.text
    ).shell.notice
    assert again.action == "Trust and run it"
    assert not marker.exists()
    assert desk.state.shell.preferences.trusted == ()


def test_a_label_below_its_threshold_hides_the_map_until_asked(
    desk: Desk, study: Path, tmp_path: Path
) -> None:
    model = write_model(
        tmp_path / "high",
        output={"labels": list(LABELS), "activation": "sigmoid", "thresholds": {"mass": 0.999}},
    )
    desk.explained(study, model)
    desk.presenter.explaining.choose_target("mass")
    assert (desk.state.answer.gate, desk.state.map_shown) == ("negative", False)
    desk.presenter.explaining.take_action("show")
    assert desk.state.map_shown
    desk.presenter.explaining.choose_target("nodule")
    assert (desk.state.answer.gate, desk.state.answer.asked) == ("open", False)


def test_the_profile_fills_and_leads_to_the_evidence(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    profile = desk.state.answer.profile
    assert len(profile) == 5
    assert None not in profile
    desk.presenter.next_evidence()
    assert profile[desk.state.view.slice] == max(profile)


def test_the_next_evidence_is_where_something_is_drawn(desk: Desk, study: Path, tmp_path: Path) -> None:
    """A label's map is hidden on a slice where the model does not call it, so that none is led there."""
    plain = desk.explained(study, write_model(tmp_path / "plain"))
    desk.at_rest()
    target = plain.request.target
    profile = [one for one in desk.state.answer.profile if one is not None]
    middle = sorted(profile)[2]
    output = {"labels": list(LABELS), "activation": "sigmoid"}
    for threshold, some in ((middle, True), (max(profile) + 1e-4, False)):
        careful = write_model(tmp_path / f"{some}", output={**output, "thresholds": {target: threshold}})
        desk.presenter.explaining.load_model(careful)
        desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
        desk.at_rest()
        desk.presenter.explaining.choose_target(target)
        desk.at_rest()
        before = desk.state.view.slice
        for _ in range(4):
            desk.presenter.next_evidence()
            desk.at_rest()
            if some:
                assert desk.state.answer.gate == "open"
        if not some:
            assert desk.state.view.slice == before
            assert desk.state.shell.notice.text == NOTHING_DRAWN


def test_the_next_evidence_of_a_volume_reaches_the_threshold(desk: Desk, study: Path, tmp_path: Path) -> None:
    desk.explained(study, write_model(tmp_path / "volume", dimensions=3))
    desk.at_rest()
    state = desk.state
    tops = [float(np.nanmax(overlay.on_source(state.answer.attribution, i))) for i in range(5)]
    desk.presenter.display.set_style("threshold", sorted(tops)[-1] * 0.9999)
    for _ in range(3):
        desk.presenter.next_evidence()
        assert tops[desk.state.view.slice] >= desk.state.views.style.threshold
    desk.presenter.display.set_style("threshold", max(tops) * 2)
    before = desk.state.view.slice
    desk.presenter.next_evidence()
    assert (desk.state.view.slice, desk.state.shell.notice.text) == (before, NOTHING_DRAWN)


def test_a_slow_run_can_be_cancelled(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    desk.presenter.explaining.choose_method("integrated-gradients")
    desk.presenter.explaining.set_setting("steps", 600)
    desk.presenter.explaining.set_setting("chunk", 1)
    desk.presenter.explaining.explain()
    desk.wait(lambda s: s.shell.busy and s.shell.busy.total > 1)
    desk.presenter.cancel()
    assert desk.state.shell.busy is None
    assert desk.state.shell.notice.text == "Cancelled."
    desk.qtbot.wait(100)
    assert desk.state.answer.attribution is None


def of_its_place(state: ViewState, values: list[np.ndarray], truth: Sequence[Prediction]) -> None:
    """Everything that a state shows is of its series, slice, label and method; the first two known well."""
    if state.view.values is not None:
        assert np.array_equal(state.view.values, values[state.view.slice])
        assert state.view.levels == (-1000, 999)
    if state.answer.prediction is not None:
        assert state.answer.prediction.input.series is state.view.series
        assert state.answer.prediction.input.slice == state.view.slice
        for found, wanted in zip(state.answer.prediction.scores, truth[state.view.slice].scores, strict=True):
            assert (found.label, found.probability) == (wanted.label, pytest.approx(wanted.probability))
    assert len(state.answer.profile) in (0, len(values))
    for score, whole in zip(state.answer.profile, truth, strict=False):
        assert score is None or score == pytest.approx(whole.score(state.request.target).probability)
    for one in [
        state.answer.attribution,
        *(tile.map for tile in state.answer.layer_strip if tile is not None),
    ]:
        if one is not None:
            assert one.series is state.view.series
            assert one.slice == state.view.slice
            assert one.explainer.name == state.request.method
            assert one.target.words == state.request.target
    if state.view.map is not None:
        shown = state.answer.attribution
        expected = overlay.as_drawn(shown, overlay.on_source(shown, state.view.slice))
        assert np.array_equal(state.view.map, expected, equal_nan=True)


def test_nothing_of_another_place_is_ever_shown(desk: Desk, study: Path, model: Path) -> None:
    """Random switching of series, slice, label and method while quick and slow explainers run."""
    write_stack(study / "b", 3, uid="1.2.826.78", SeriesDescription="Other", RescaleIntercept=-424)
    desk.explained(study, model)
    chance = random.Random(5)
    quick, slow = ("grad-cam", "saliency", "hires-cam"), ("occlusion", "integrated-gradients")
    for _ in range(160):
        wish = chance.choice(("series", "slice", "label", "method", "slow method", "wait"))
        if wish == "series":
            desk.presenter.studies.choose_series(chance.randrange(2))
        elif wish == "slice":
            desk.presenter.go_to(chance.randrange(5))
        elif wish == "label":
            desk.presenter.explaining.choose_target(chance.choice(LABELS))
        elif wish == "method":
            desk.presenter.explaining.choose_method(chance.choice(quick))
        elif wish == "slow method":
            desk.presenter.explaining.choose_method(chance.choice(slow))
            desk.presenter.explaining.explain()
            if chance.random() < 0.3:  # this one may end
                desk.at_rest()
        else:
            desk.qtbot.wait(chance.randrange(15))
    desk.at_rest()
    drawn = [s for s in desk.shown if s.view.map is not None]
    assert len(drawn) > 5
    assert any(s.request.method in slow for s in drawn)
    assert any(s.answer.profile and None not in s.answer.profile for s in desk.shown)
    loaded = session.load_model(model)
    stacks = {s.view.series.uid: s.view.series for s in desk.shown if s.view.series is not None}
    assert len(stacks) == 2
    known = {
        uid: ([modality_values(one, i) for i in range(one.shape[0])], session.predict(one, loaded, "all"))
        for uid, one in stacks.items()
    }
    for state in desk.shown:
        if state.view.series is None:
            assert (state.view.values, state.answer.prediction, state.answer.attribution, state.view.map) == (
                None,
                None,
                None,
                None,
            )
        else:
            of_its_place(state, *known[state.view.series.uid])


def test_a_volume_is_explained_once_for_all_slices(desk: Desk, study: Path, tmp_path: Path) -> None:
    desk.explained(study, write_model(tmp_path / "volume", dimensions=3))
    desk.at_rest()
    first = desk.state
    assert sum(first.answer.profile) == pytest.approx(1)
    desk.presenter.step(1)
    assert desk.state.answer.attribution is first.answer.attribution
    assert not np.array_equal(desk.state.view.map, first.view.map)
    assert desk.state.answer.profile == volume_profile(first.answer.attribution)


def test_the_export_is_that_of_the_command_line(
    desk: Desk, study: Path, model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    """The same picture, arrays and document; the window asks for all labels at once, which rounds."""
    desk.explained(study, model)
    desk.presenter.display.set_style("opacity", 0.4)
    desk.presenter.export(tmp_path / "out", ("png", "npz", "json"), False)
    desk.wait(lambda s: s.shell.notice and s.shell.notice.text.startswith("Written"))

    def read(folder: str) -> tuple[dict[str, Any], np.ndarray, dict[str, np.ndarray]]:
        text = (tmp_path / folder / "result.json").read_text("utf-8")
        told = json.loads(text, parse_float=lambda number: f"{float(number):.4g}")
        (entry,) = told["attributions"]
        assert entry.pop("seconds")
        picture, arrays = (tmp_path / folder / entry["files"][kind] for kind in ("png", "npz"))
        with Image.open(picture) as shown:
            return told, np.asarray(shown.convert("RGB"), int), arrays_of(arrays)

    ours, drawn, arrays = read("out")
    (entry,) = ours["attributions"]
    layer = entry["settings"]["layer"]
    done = whyscope(
        "explain", study, "--series", 0, "--slice", 2, "--model", model, "--method", entry["method"],
        "--target", "top", *(("--layer", layer) if layer else ()), "--style", "opacity=0.4",
        "--out", tmp_path / "told",
    )  # fmt: skip
    assert done.status == 0, done.err
    theirs, drawn_there, arrays_there = read("told")
    assert ours == theirs
    assert drawn.shape == drawn_there.shape
    assert np.abs(drawn - drawn_there).max() <= 2
    assert arrays.keys() == arrays_there.keys()
    size = np.abs(arrays["native"]).max()
    assert np.allclose(arrays["native"], arrays_there["native"], atol=1e-5 * size)
    assert np.allclose(arrays["map"], arrays_there["map"], atol=1e-5 * size, equal_nan=True)
    assert np.array_equal(arrays["matrix"], arrays_there["matrix"])


@pytest.mark.parametrize("key", [6, 1])
def test_a_preset_of_the_window_is_drawn_alike_on_the_command_line(
    desk: Desk, study: Path, model: Path, tmp_path: Path, whyscope: Whyscope, key: int
) -> None:
    """Of what `result.json` holds, the name of the preset and the function of a window of the file too."""
    for path in (study / "a").iterdir():
        file = dcmread(path)
        file.WindowCenter, file.WindowWidth = [0, 700], [2000, 900]
        file.save_as(path)
    desk.explained(study, model)
    desk.presenter.display.preset(key)
    desk.presenter.export(tmp_path / "out", ("png",), False)
    desk.wait(lambda s: s.shell.notice and s.shell.notice.text.startswith("Written"))
    (ours,) = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))["attributions"]
    window, style = ours["display"]["window"], ours["style"]
    assert (window["name"], window["function"]) == (
        ("mediastinum", "LINEAR_EXACT") if key == 6 else ("", "LINEAR")
    )
    style["range"] = ",".join(map(str, style["range"]))
    done = whyscope(
        "explain", study, "--series", 0, "--slice", 2, "--model", model, "--method", ours["method"],
        "--layer", ours["layer"], "--target", ours["label"], "--out", tmp_path / "told", "--format", "png",
        "--window", "{center},{width},{name},{function}".format(**window),
        *(word for name, value in style.items() for word in ("--style", f"{name}={value}")),
    )  # fmt: skip
    assert done.status == 0, done.err
    (theirs,) = json.loads((tmp_path / "told" / "result.json").read_text("utf-8"))["attributions"]
    assert (theirs["display"], theirs["style"]) == (
        ours["display"],
        {**style, "range": theirs["style"]["range"]},
    )
    one, other = (
        np.asarray(Image.open(tmp_path / folder / entry["files"]["png"]).convert("RGB"), int)
        for folder, entry in (("out", ours), ("told", theirs))
    )
    assert np.abs(one - other).max() <= 2  # all labels at once round otherwise


def test_the_export_of_a_volume_shows_what_the_window_shows(desk: Desk, study: Path, tmp_path: Path) -> None:
    desk.explained(study, write_model(tmp_path / "volume", dimensions=3))
    desk.presenter.go_to(1)
    desk.presenter.display.invert()
    desk.presenter.export(tmp_path / "out", ("png",), False)
    desk.wait(lambda s: s.shell.notice and s.shell.notice.text.startswith("Written"))
    (entry,) = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))["attributions"]
    assert entry["display"] == {"slice": 1, "window": None, "inverted": True}


def test_peaks_come_highest_first_and_start_again() -> None:
    visited: list[int] = []
    profile = (0.1, 0.5, 0.2, None, 0.9, 0.3, 0.4)
    assert [next_peak(profile, visited) for _ in range(4)] == [4, 1, 6, 4]
    assert next_peak((None, None), []) is None
    assert next_peak((0.0, 0.0), []) is None
    visited.clear()
    drawn = {1, 6}.__contains__
    assert [next_peak(profile, visited, drawn) for _ in range(3)] == [1, 6, 1]
    assert next_peak(profile, visited, lambda _slice: False) is None
    assert next_peak(profile, visited, {0, 2}.__contains__) == 2  # beside the peaks
    assert next_peak((0.0, 0.2, 0.5, 0.4, 0.3, 0.26, 0.1), [], {2}.__contains__) == 2  # not its middle


@pytest.mark.parametrize(
    ("profile", "middle"),
    [
        ((0.0, 0.1, 0.8, 0.1, 0.0), 2),  # narrow: the peak itself
        ((0.2, 0.9, None, 0.1), 1),
        ((0.0, 0.4, 0.4, 0.4, 0.0), 2),  # a plateau
        ((0.0, 0.2, 0.5, 0.4, 0.3, 0.26, 0.1), 3),  # shared with the next cell
        ((0.0, 0.6, 0.4, 0.7, 0.5, 0.0), 3),  # not across a valley
        ((0.5, 0.4), 0),
    ],
)
def test_a_peak_is_approached_at_the_middle_of_its_hill(
    profile: tuple[float | None, ...], middle: int
) -> None:
    assert next_peak(profile, []) == middle


def test_a_finding_between_two_coarse_cells_is_found_between_them() -> None:
    cells = np.array([0.0, 0.0, 0.45, 0.55, 0.0, 0.0])  # six slices each: its middle is slice 17.8
    profile = np.interp(np.arange(36), np.arange(6) * 6 + 2.5, cells)
    assert int(profile.argmax()) in (20, 21)
    assert next_peak(tuple(profile / profile.sum()), []) == pytest.approx(17.8, abs=1)


def test_the_mask_covers_the_files_own_words_too(desk: Desk, tmp_path: Path) -> None:
    study = write_stack(tmp_path / "named", 2, SeriesDescription="Chest of Zoidberg")
    desk.presenter.studies.open([study])
    assert desk.wait(lambda s: s.studies.items).studies.items[0].title == "Chest of ●●●"
    desk.presenter.studies.mask(False)
    assert desk.state.studies.items[0].title == "Chest of Zoidberg"


def test_the_windows_of_the_file_come_in_turn(desk: Desk, tmp_path: Path) -> None:
    several: dict[str, Any] = {"WindowCenter": [40, 500], "WindowWidth": [400, 2000]}
    write_stack(tmp_path / "s", 3, **several, WindowCenterWidthExplanation=["SOFT", "BONE"])
    desk.presenter.studies.open([tmp_path / "s"])
    desk.wait(lambda s: s.view.values is not None)
    bone = Window(500, 2000, "BONE")
    assert (desk.state.view.window, captions.window_words(desk.state)) == (None, "C 40  W 400  SOFT")
    said = []
    for _ in range(3):
        desk.presenter.display.preset(1)
        said.append((desk.state.view.window, desk.state.view.levels))
    assert said == [(bone, (-500.0, 1499.0)), (None, (-160.0, 239.0)), (bone, (-500.0, 1499.0))]
    assert captions.window_words(desk.state) == "C 500  W 2000  BONE"
    desk.presenter.display.preset(2)
    desk.presenter.display.preset(1)
    assert desk.state.view.window is None


def test_a_window_in_hounsfield_units_is_kept_from_other_values(desk: Desk, tmp_path: Path) -> None:
    """The lung window would show an MR image black, and say that this is lung."""
    write_stack(tmp_path / "s", 3, Modality="MR", RescaleType="US")
    desk.presenter.studies.open([tmp_path / "s"])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.display.preset(3)
    assert desk.state.view.window is None
    assert desk.state.shell.notice is not None
    assert "Hounsfield" in desk.state.shell.notice.text
    desk.presenter.display.preset(0)
    assert captions.window_words(desk.state).endswith("auto")


def test_a_table_of_the_file_comes_before_its_windows(desk: Desk, study: Path) -> None:
    desk.presenter.studies.open([study])
    series = desk.wait(lambda s: s.view.values is not None).view.series
    assert series is not None
    table = (0, np.linspace(0, 1, 100).astype(np.float32))
    shown = replace(series, display=replace(series.display, voi_lut=table))
    desk.presenter._store.show(series=shown)
    desk.presenter.display.preset(2)
    windows = []
    for _ in range(3):
        desk.presenter.display.preset(1)
        windows.append(desk.state.view.window)
    assert windows == [None, series.display.windows[0], None]
    desk.presenter.display.drag_window(10, 0)
    assert desk.state.view.curve is None
    assert desk.state.view.window is not None
    assert desk.state.view.window.width == pytest.approx(50 / 0.5 * 1.05, rel=0.02)


def test_what_the_file_lays_over_a_slice_comes_with_it_and_goes_with_a_key(
    desk: Desk, tmp_path: Path
) -> None:
    edges: dict[str, Any] = {"ShutterLeftVerticalEdge": 3, "ShutterRightVerticalEdge": 9}
    edges |= {"ShutterUpperHorizontalEdge": 2, "ShutterLowerHorizontalEdge": 8}
    write_stack(tmp_path / "s", 3, ShutterShape="RECTANGULAR", **edges)
    desk.presenter.studies.open([tmp_path / "s"])
    laid = desk.wait(lambda s: s.view.values is not None).view.graphics
    assert laid is not None
    assert laid.overlay is None
    assert laid.shutter is not None
    assert np.argwhere(~laid.shutter).min(axis=0).tolist() == [1, 2]
    assert np.argwhere(~laid.shutter).max(axis=0).tolist() == [7, 8]
    assert desk.state.view.values is not None
    assert (
        desk.state.view.values.max() == 300
    )  # hidden from the reader's eye, not from the model or the probe
    desk.presenter.display.toggle_annotations()
    assert not desk.state.views.annotated
    desk.presenter.display.undo()
    assert desk.state.views.annotated
    desk.presenter.step(1)
    assert desk.wait(lambda s: s.view.values is not None and s.view.slice == 2).view.graphics is not laid


class Held:
    """A scan that waits after every telling until it is let go on."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self._go = threading.Semaphore(0)
        listener = desk.presenter.studies.preview.listener
        monkeypatch.setattr(arrivals, "EVERY", 0.0)
        monkeypatch.setattr(arrivals, "_LATEST", 0.0)

        def waiting(task: Task) -> Callable[[tuple[Arrival, ...]], None]:
            tell = listener(task)

            def held(found: tuple[Arrival, ...]) -> None:
                tell(found)
                self._go.acquire(timeout=10)

            return held

        monkeypatch.setattr(desk.presenter.studies.preview, "listener", waiting)

    def go(self, files: int = 10**6) -> None:
        """Let the scan read so many more files, or all."""
        self._go.release(files)


def test_the_first_image_is_shown_and_not_explained_while_the_others_are_read(
    desk: Desk, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.presenter.explaining.load_model(model)
    desk.wait(lambda s: s.answer.model is not None)
    held = Held(desk, monkeypatch)
    desk.presenter.studies.open([write_stack(tmp_path / "many", MANY)])
    state = desk.wait(lambda s: s.view.values is not None)
    assert [i.warnings for i in state.studies.items] == [(UNKNOWN_PLACE,)]
    assert (
        state.view.number,
        state.studies.previewed,
        state.view.series.shape[0],
        state.shell.reading is not None,
    ) == (None, 0, 1, True)
    assert captions.plain(state).top_left[1] == ("Im ? · still being read", "warning")
    desk.presenter.studies.mask(False)
    desk.presenter.step(1)
    desk.presenter.explaining.explain()
    desk.presenter.point(1, 1)
    desk.presenter.export(tmp_path / "out", ["json"], False)
    assert (desk.state.view.slice, desk.state.answer.attribution, desk.state.answer.prediction) == (
        0,
        None,
        None,
    )
    assert not desk.jobs.active("explain")
    assert not (tmp_path / "out").exists()
    held.go()
    state = desk.wait(
        lambda s: s.view.number is not None and s.view.values is not None and s.answer.attribution is not None
    )
    assert (state.view.series.shape[0], state.view.slice) == (MANY, MANY // 2)
    assert UNKNOWN_PLACE not in state.studies.items[0].warnings
    desk.at_rest()


def test_a_cancelled_scan_takes_its_first_image_away(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(desk, monkeypatch)
    desk.presenter.studies.open([write_stack(tmp_path / "many", MANY)])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.cancel()
    assert (
        desk.state.studies.items,
        desk.state.view.series,
        desk.state.view.values,
        desk.state.shell.reading,
    ) == ((), None, None, None)
    held.go()
    desk.at_rest()
    assert desk.state.view.series is None


BRIGHTEST = {"last": 300, "first": 324}


def two_series(folder: Path) -> Path:
    """Files of two series in turn; that of the first file comes last in the list."""
    folder.mkdir()
    for number, name in ((2, "last"), (1, "first")):
        stack = write_stack(
            folder.parent / name, MANY // 2, f"1.2.826.{number}", SeriesDescription=name,
            SeriesNumber=number, RescaleIntercept=BRIGHTEST[name] - 1324,
        )  # fmt: skip
        for k, path in enumerate(sorted(stack.iterdir(), key=lambda p: dcmread(p).InstanceNumber)):
            path.rename(folder / f"{k:03}-{number == 1:d}.dcm")
    return folder


def test_series_appear_as_they_are_found_and_count_their_images(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(desk, monkeypatch)
    desk.presenter.studies.open([two_series(tmp_path / "two")])
    state = desk.wait(lambda s: s.studies.items)
    assert [(i.title, i.facts) for i in state.studies.items] == [("last", ("CT · 1 image so far",))]
    held.go(2)
    state = desk.wait(lambda s: len(s.studies.items) == 2 and "2 images" in s.studies.items[0].facts[0])
    assert [i.facts for i in state.studies.items] == [("CT · 2 images so far",), ("CT · 1 image so far",)]
    assert [i.warnings for i in state.studies.items] == [(UNKNOWN_PLACE,), ()]
    unchanged = state.studies.items[1]
    held.go(1)
    held.go(1)
    state = desk.wait(lambda s: "3 images" in s.studies.items[0].facts[0])
    assert any(unchanged is i for shown in desk.shown for i in shown.studies.items)
    held.go()
    state = desk.wait(lambda s: s.view.number is not None and s.view.values is not None)
    assert [i.title for i in state.studies.items] == ["first", "last"]
    assert [i.facts[0] for i in state.studies.items] == [f"CT · {MANY // 2} slices"] * 2
    assert (state.view.number, state.view.slice, state.studies.previewed) == (0, MANY // 4, None)
    desk.at_rest()


def test_the_series_that_was_chosen_while_it_was_read_stays_chosen_at_its_image(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(desk, monkeypatch)
    desk.presenter.studies.open([two_series(tmp_path / "two")])
    held.go(3)
    desk.wait(lambda s: len(s.studies.items) == 2 and s.view.values is not None)
    desk.presenter.studies.choose_series(1)
    assert (desk.state.studies.previewed, desk.state.view.values, desk.state.view.series.description) == (
        1,
        None,
        "first",
    )
    desk.presenter.studies.choose_series(0)  # it was read before: nothing has to come
    assert (desk.state.studies.previewed, desk.state.view.values.max()) == (0, 300)
    desk.presenter.studies.choose_series(1)
    desk.presenter.studies.choose_series(7)
    held.go(1)
    state = desk.wait(lambda s: s.view.values is not None and s.studies.previewed == 1)
    assert state.view.values.max() == 324
    desk.presenter.studies.choose_series(0)
    held.go()
    state = desk.wait(lambda s: s.view.number is not None and s.view.values is not None)
    assert (state.studies.items[state.view.number].title, state.view.slice, state.view.values.max()) == (
        "last",
        0,
        300,
    )
    desk.at_rest()
    for state in desk.shown:  # every image that was ever shown was one of the series beside it
        if state.view.values is not None and state.studies.previewed is not None:
            assert state.view.values.max() == BRIGHTEST[state.view.series.description]


def test_a_copy_of_the_chosen_image_stands_for_it(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(desk, monkeypatch)
    folder = two_series(tmp_path / "two")
    shutil.copy(folder / "000-0.dcm", folder / "copy.dcm")
    desk.presenter.studies.open([folder])
    held.go(2)
    desk.wait(lambda s: len(s.studies.items) == 2)
    desk.presenter.studies.choose_series(0)
    held.go()
    state = desk.wait(lambda s: s.view.number is not None and s.view.values is not None)
    assert (state.studies.items[state.view.number].title, state.view.slice) == ("last", 0)
    desk.at_rest()


def test_what_is_open_stays_until_another_study_has_been_read(
    desk: Desk, tmp_path: Path, study: Path
) -> None:
    desk.presenter.studies.open([study])
    desk.wait(lambda s: s.view.values is not None)
    desk.at_rest()
    desk.presenter.studies.open([write_stack(tmp_path / "many", MANY)])
    desk.at_rest()
    assert all(UNKNOWN_PLACE not in i.warnings for state in desk.shown for i in state.studies.items)
    assert desk.state.view.series.shape[0] == MANY


def test_slices_that_must_be_decoded_are_read_before_they_are_wanted(desk: Desk, tmp_path: Path) -> None:
    desk.presenter.studies.open([write_stack(tmp_path / "packed", 9)])
    desk.at_rest()
    slices, series = desk.presenter.slices, desk.state.view.series
    assert [slices._kept((0, i)) is not None for i in range(9)] == [i == 4 for i in range(9)]
    voxels: Any = series.voxels
    voxels._ahead = 2
    order: list[int] = []
    reads = voxels._read
    voxels._read = lambda i: (order.append(i), reads(i))[1]
    desk.presenter.go_to(7)
    desk.at_rest()
    assert [order[0], *(set(order[i : i + 2]) for i in (1, 3, 5)), order[7]] == [7, {6, 8}, {5, 3}, {2, 1}, 0]
    assert all(slices._kept((0, i)) is not None for i in range(9))
    desk.jobs.run = create_autospec(desk.jobs.run)
    desk.presenter.go_to(2)
    assert desk.state.view.values is slices._kept((0, 2)).values
    desk.jobs.run.assert_not_called()


def test_a_volume_larger_than_the_memory_for_slices_scrolls(desk: Desk, tmp_path: Path) -> None:
    """With room for two slices what is shown is right and stays, whatever is read beside it."""
    each = ROWS * COLUMNS * (2 + 4)  # as stored and as modality values
    desk.presenter.prefer("slice_memory", 2 * each)
    desk.presenter.studies.open([write_stack(tmp_path / "large", 9)])
    desk.at_rest()
    series = desk.state.view.series
    voxels: Any = series.voxels
    voxels._ahead = 2
    expected = [modality_values(series, i) for i in range(9)]
    for slice in (*range(9), *reversed(range(9)), 4, 0, 8):
        desk.presenter.go_to(slice)
        desk.at_rest()
        np.testing.assert_array_equal(desk.state.view.values, expected[slice])
        assert desk.presenter.slices.shown is not None
        assert KEPT.get(desk.presenter.slices._own, (0, slice)) is not None
        for i in range(9):  # somebody else goes through the series
            assert series.voxels[i].shape == (ROWS, COLUMNS)
        assert desk.presenter.slices.shown is not None
        assert KEPT.used <= 3 * each
    assert desk.state.shell.memory.room == 2 * each
    desk.presenter.prefer("slice_memory", 40 * each)
    assert desk.state.shell.memory.room == 40 * each
    desk.presenter.go_to(4)
    desk.at_rest()
    assert all(desk.presenter.slices._kept((0, i)) is not None for i in range(9))
    assert 9 * each <= desk.state.shell.memory.used == KEPT.used <= 10 * each  # one was read twice


def test_limits_hold_from_the_next_study_on(desk: Desk, study: Path) -> None:
    desk.presenter.studies.open([study])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.prefer("limits", Limits(rows=ROWS - 1))
    desk.presenter.go_to(0)
    desk.at_rest()
    assert desk.state.view.values is not None
    desk.presenter.studies.open([study])
    desk.at_rest()
    assert desk.state.studies.items == ()
    assert any("more than the limit" in reason for _, reason in desk.state.studies.not_opened)


def test_decoders_are_started_before_there_is_an_image(desk: Desk) -> None:
    limits = Limits(decode_seconds=77)
    desk.presenter.prefer("limits", limits)
    desk.presenter.start_decoders()
    desk.at_rest()
    decoders = shared_decoder(limits.decode_seconds, limits.decode_memory)
    assert len(decoders.pids) == CHILDREN
    decoders.close()


def test_a_slice_that_fails_ahead_is_not_spoken_of_and_a_wish_ends_the_reading(
    desk: Desk, tmp_path: Path
) -> None:
    desk.presenter.studies.open([write_stack(tmp_path / "packed", 9)])
    desk.at_rest()
    voxels: Any = desk.state.view.series.voxels
    voxels._ahead, reads = 2, voxels._read

    def broken(index: int) -> np.ndarray:
        if index == 6:
            raise DecodingError("crash")
        return reads(index)

    voxels._read = broken
    desk.presenter.go_to(7)
    desk.at_rest()
    assert desk.state.shell.notice is None
    desk.presenter.go_to(1)
    desk.presenter.slices.leave()
    assert not desk.jobs.active("ahead")
    desk.presenter.go_to(6)
    desk.at_rest()
    notice: Any = desk.state.shell.notice
    assert "Slice 7 of 9" in notice.text


def test_a_preview_is_drawn_and_said_and_gives_way_to_the_map(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    asked, answer = threading.Event(), threading.Event()
    real: Any = session.explain

    def slow(*arguments, preview, **more):
        result = real(*arguments, preview=preview, **more)
        for attribution in result.attributions:
            preview(replace(attribution, values=attribution.values * 0.5))
        asked.set()
        assert answer.wait(10)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "explain", slow)
        desk.presenter.explaining.choose_method("integrated-gradients")
        desk.presenter.explaining.explain()
        state = desk.wait(lambda s: s.answer.preview)
        half = state.answer.attribution.values
        assert state.shell.under_way
        assert captions.explained(state, True).bottom_left[0][0].startswith("Preview")
        desk.presenter.display.set_style("opacity", 0.3)
        desk.presenter.go_to(1)  # of this slice there is nothing yet
        assert desk.state.answer.attribution is None
        assert not desk.state.answer.preview
        desk.presenter.go_to(2)
        assert desk.state.answer.preview
        answer.set()
        state = desk.wait(lambda s: s.answer.attribution is not None and not s.answer.preview)
    np.testing.assert_allclose(state.answer.attribution.values, 2 * half)
    # The range is that of the map, as the command line has it, and the reader's opacity stays.
    style = overlay.automatic_style([state.answer.attribution])
    assert (state.views.style.range, state.views.style.opacity) == (style.range, 0.3)


def test_a_locked_range_ends_with_the_series(desk: Desk, study: Path, model: Path) -> None:
    """In the range of another image a map says neither more nor less; colours and opacity are a taste."""
    state = desk.explained(study, model)
    desk.at_rest()
    presenter, first, maps = desk.presenter, state.view.number, desk.presenter.explaining._maps
    presenter.display.set_style("range", (0.0, 1000.0))
    presenter.display.set_style("threshold", 900.0)
    presenter.display.set_style("opacity", 0.3)
    presenter.go_to(1)
    state = desk.wait(lambda s: s.answer.attribution is not None)
    assert state.views.style.range == (0.0, 1000.0)  # slices of one series compare
    desk.presenter.studies.choose_series(1 - first)
    state = desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    own = overlay.automatic_style(list(maps.all(position_of(state), choice_of(state)).values()))
    assert state.views.locked
    assert (state.views.style.range, state.views.style.threshold) == (own.range, own.threshold)
    assert state.views.style.opacity == 0.3
    desk.presenter.studies.choose_series(first)
    state = desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    assert state.views.style.range == (0.0, 1000.0)


def test_a_preview_goes_with_the_run_that_is_cancelled(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    answer = threading.Event()
    real: Any = session.explain

    def slow(*arguments, preview, task, **more):
        result = real(*arguments, preview=preview, task=task, **more)
        preview(result.attributions[0])
        assert answer.wait(10)
        task.check()
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "explain", slow)
        desk.presenter.explaining.choose_method("integrated-gradients")
        desk.presenter.explaining.explain()
        desk.wait(lambda s: s.answer.preview)
        desk.presenter.cancel()
        assert desk.state.answer.attribution is None
        assert not desk.state.answer.preview
        answer.set()
        desk.at_rest()
    assert desk.state.answer.attribution is None


def test_what_the_old_model_still_computes_is_not_the_new_ones(
    desk: Desk, study: Path, model: Path, tmp_path: Path
) -> None:
    """Another model is loaded while slices are run by the first: nothing of it is shown as the other's."""
    desk.explained(study, model)
    other = write_model(tmp_path / "other", name="Other net", accepts={"modality": ["MR"]})
    desk.presenter.explaining.load_model(other)
    desk.presenter.go_to(4)  # asked of the first model, behind the load
    desk.wait(lambda s: s.answer.model is not None and s.answer.model.name == "Other net")
    desk.at_rest()
    assert desk.state.answer.gate == "outside"
    desk.presenter.explaining.take_action("override")
    desk.wait(lambda s: s.answer.attribution is not None)
    desk.at_rest()
    for state in desk.shown:
        said, shown = state.answer.prediction, state.answer.model
        if said is not None:
            assert said.model == shown.name
            assert (said.override is not None) == (shown.name == "Other net")


def test_the_header_of_a_series_goes_with_it(desk: Desk, study: Path, tmp_path: Path) -> None:
    desk.presenter.studies.open([study])
    desk.at_rest()
    desk.presenter.headers.look()
    state = desk.wait(lambda s: s.shell.header is not None)
    assert state.shell.header.series is state.view.series
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "a.txt").write_text("no image", "utf-8")
    desk.presenter.studies.open([tmp_path / "nothing"])
    desk.at_rest()
    assert desk.state.view.series is None
    assert desk.state.shell.header is None


@pytest.mark.parametrize("later", ["study", "model"])
def test_a_model_that_comes_with_a_study_is_shown_a_series_it_was_made_for(
    desk: Desk, tmp_path: Path, later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_stack(tmp_path / "study", 3)
    write_stack(folder / "other", 4, "1.2.826.78", Modality="MR", SeriesNumber=9)
    model = write_model(tmp_path / "ct", accepts={"modality": ["CT"]})
    module, name = (dicom, "scan") if later == "study" else (session, "load_model")
    go, really = threading.Event(), getattr(module, name)
    monkeypatch.setattr(module, name, lambda *asked, **more: (go.wait(20), really(*asked, **more))[1])
    desk.presenter.explaining.load_model(model)
    desk.presenter.studies.open([folder])
    desk.wait(lambda s: s.answer.model if later == "study" else s.view.values is not None)
    go.set()
    desk.wait(lambda s: s.answer.attribution is not None)
    assert (desk.state.view.series.modality, desk.state.answer.gate) == ("CT", "open")
    assert not any(s.answer.gate == "outside" for s in desk.shown)
    # Afterwards nothing but the reader leads to another series.
    desk.presenter.studies.choose_series(0)
    desk.presenter.explaining.load_model(model)
    desk.wait(lambda s: s.shell.loading is None)
    assert desk.state.view.series.modality == "MR"


def test_a_series_that_the_reader_has_chosen_stays_when_the_model_comes(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_stack(tmp_path / "study", 3)
    write_stack(folder / "other", 4, "1.2.826.78", Modality="MR", SeriesNumber=9)
    go, really = threading.Event(), session.load_model
    monkeypatch.setattr(
        session, "load_model", lambda *asked, **more: (go.wait(20), really(*asked, **more))[1]
    )
    desk.presenter.explaining.load_model(write_model(tmp_path / "ct", accepts={"modality": ["CT"]}))
    desk.presenter.studies.open([folder])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.studies.choose_series(0)
    go.set()
    desk.wait(lambda s: s.answer.model is not None)
    assert (desk.state.view.series.modality, desk.state.answer.gate) == ("MR", "outside")
