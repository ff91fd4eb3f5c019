# SPDX-License-Identifier: Apache-2.0
"""Check with the library: of the drawn map alone, when asked for, and never in the way of anything else."""

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import captum.attr  # noqa: F401 - else the first test would wait for the imports
import companion_files as files
import pytest
import pytorch_grad_cam  # noqa: F401
from desk import Desk
from program import write_model, write_stack
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from safetensors.torch import save_file

from viewer import session
from viewer.explain.double import AGREES
from viewer.types import PeerCheck
from viewer.ui.panels import method_card
from viewer.ui.panels.method_card import check_words
from viewer.ui.state import Busy, ViewState, reply
from viewer.ui.window import Window

ROOT = Path(__file__).parents[2]


class Held:
    """The libraries' answer, held back until it is let go."""

    def __init__(self) -> None:
        self.began, self.go = threading.Event(), threading.Event()
        self.ended = threading.Semaphore(0)
        self.cancelled: list[bool] = []

    def __call__(self, *words: Any, **named: Any) -> tuple[PeerCheck, ...]:
        self.began.set()
        assert self.go.wait(20)
        self.cancelled.append(named["task"].cancelled)
        self.ended.release()
        return _PEER(*words, **named)


_PEER = session.peer


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    made = Held()
    monkeypatch.setattr(session, "peer", made)
    yield made
    made.go.set()


@pytest.fixture
def explained(desk: Desk, study: Path, model: Path) -> Desk:
    """A map of the middle slice by Grad-CAM, and nothing under way."""
    desk.explained(study, model)
    desk.at_rest()
    return desk


def checked(desk: Desk) -> tuple[PeerCheck, ...]:
    assert desk.presenter.library_check.check()
    return desk.wait(lambda s: s.answer.checks and s.shell.busy is None).answer.checks


def belongs(state: ViewState) -> bool:
    """Whether what a state tells of a library is of its own map, and work is said while it goes on only."""
    drawn, checks = state.finished, state.answer.checks
    if state.answer.checking and (drawn is None or state.shell.busy != Busy("checking")):
        return False
    if not checks:
        return True
    about = {(one.method, one.label, one.slice, one.layer) for one in checks}
    return drawn is not None and about == {
        (drawn.explainer.name, drawn.target.words, drawn.slice, drawn.layer)
    }  # fmt: skip


def test_both_libraries_agree_and_it_is_said_of_that_map_alone(explained: Desk) -> None:
    before = explained.state
    assert (before.answer.checks, before.answer.checking) == ((), False)
    captums, grad_cams = checked(explained)
    assert (captums.library, grad_cams.library) == ("captum", "grad-cam")
    for check in (captums, grad_cams):
        assert 0 <= check.difference < AGREES
        assert check.largest > 0
        assert (check.fault, check.reason) == ("", "")
    going_on = [s for s in explained.shown if s.answer.checking]
    assert going_on
    assert all(s.shell.busy == Busy("checking") for s in going_on)
    assert explained.state.answer.attribution is before.answer.attribution
    explained.presenter.explaining.choose_target("mass" if before.request.target != "mass" else "nodule")
    assert explained.state.answer.checks == ()
    explained.presenter.explaining.choose_target(before.request.target)
    assert explained.state.answer.checks == (captums, grad_cams)
    assert all(map(belongs, explained.shown))


def test_what_is_known_is_not_asked_again(explained: Desk, held: Held) -> None:
    held.go.set()
    found = checked(explained)
    held.began.clear()
    assert explained.presenter.library_check.check()
    explained.at_rest()
    assert not held.began.is_set()
    assert explained.state.answer.checks is found
    explained.presenter.explaining.explain()  # another map, if of the same values
    explained.wait(lambda s: s.shell.busy is None)
    assert explained.state.answer.checks == ()


@pytest.mark.parametrize("there", [True, False])
def test_another_slice_ends_it_and_what_comes_late_is_not_shown(
    explained: Desk, held: Held, there: bool
) -> None:
    """Whether the map of the other slice is there at once or has to be made."""
    p, first = explained.presenter, explained.state.view.slice
    if there:
        p.go_to(first + 1)
        explained.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
        p.go_to(first)
        explained.at_rest()
    assert p.library_check.check()
    assert held.began.wait(20)
    p.go_to(first + 1)
    assert not explained.state.answer.checking
    assert explained.state.shell.busy != Busy("checking")
    held.go.set()
    assert held.ended.acquire(timeout=20)
    explained.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    explained.at_rest()
    assert held.cancelled == [True]
    p.go_to(first)
    explained.at_rest()
    assert not any(s.answer.checks for s in explained.shown)


def test_it_can_be_cancelled_and_asked_for_again(explained: Desk, held: Held) -> None:
    p = explained.presenter
    assert p.library_check.check()
    assert held.began.wait(20)
    p.cancel()
    state = explained.state
    assert state.shell.notice == reply("Cancelled.")
    assert (state.shell.busy, state.answer.checking) == (None, False)
    assert state.answer.attribution is not None
    held.go.set()
    assert held.ended.acquire(timeout=20)
    explained.at_rest()
    assert held.cancelled == [True]
    assert explained.state.answer.checks == ()
    assert len(checked(explained)) == 2


def test_a_run_goes_before_it_and_it_waits_for_a_run(explained: Desk, held: Held) -> None:
    p = explained.presenter
    assert p.library_check.check()
    assert held.began.wait(20)
    p.explaining.explain()
    assert not explained.state.answer.checking
    assert explained.state.shell.busy == Busy("explaining")
    assert not p.library_check.check()
    assert "under way" in explained.state.shell.notice.text
    held.go.set()
    explained.wait(lambda s: s.shell.busy is None)
    explained.at_rest()
    assert held.cancelled == [True]
    assert explained.state.answer.checks == ()


def test_a_fault_inside_is_told_and_ends_it(explained: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbles(*_: object, **__: object) -> None:
        raise RuntimeError("the machine stumbled")

    monkeypatch.setattr(session, "peer", stumbles)
    assert explained.presenter.library_check.check()
    state = explained.wait(lambda s: s.shell.notice is not None)
    assert "the machine stumbled" in state.shell.notice.text
    assert (state.shell.busy, state.answer.checking, state.answer.checks) == (None, False, ())


def test_no_check_is_ever_of_something_else(explained: Desk) -> None:
    """Slices, labels and methods at random, whatever is under way."""
    dice, p = random.Random(4), explained.presenter
    for _ in range(80):
        wish = dice.choice(("slice", "label", "method", "check", "check", "rest", "wait", "cancel"))
        if wish == "slice":
            p.go_to(dice.randrange(3))
        elif wish == "label":
            p.explaining.choose_target(dice.choice(("effusion", "mass")))
        elif wish == "method":
            p.explaining.choose_method(dice.choice(("grad-cam", "hires-cam", "saliency")))
        elif wish == "check":
            p.library_check.check()
        elif wish == "cancel":
            p.cancel()
        elif wish == "rest":
            explained.at_rest()
        else:
            explained.qtbot.wait(dice.randrange(60))
    explained.at_rest()
    assert all(map(belongs, explained.shown))
    assert sum(bool(s.answer.checks) for s in explained.shown) > 3
    assert not explained.state.answer.checking


# --- what cannot be checked -----------------------------------------------------------------------


def test_without_a_map_of_our_own_there_is_nothing_to_check(desk: Desk, tmp_path: Path) -> None:
    check = desk.presenter.library_check.check
    assert not check()
    assert "no map" in desk.state.shell.notice.text
    sources = files.stack(tmp_path / "study", "1.2.70", 1.0)
    files.parametric(tmp_path / "study" / "map.dcm", sources)
    accepts = {"modality": ["MR"]}
    desk.explained(tmp_path / "study", write_model(tmp_path / "model", accepts=accepts))
    desk.at_rest()
    assert len(checked(desk)) == 2
    desk.presenter.companions.choose(0)
    assert desk.state.answer.attribution is not None
    assert (desk.state.finished, desk.state.answer.checks) == (None, ())
    assert not check()
    assert "came with the study" in desk.state.shell.notice.text
    desk.presenter.companions.choose(None)
    assert len(desk.state.answer.checks) == 2


def test_a_preview_is_not_checked(explained: Desk) -> None:
    state = explained.state
    assert state.finished is state.answer.attribution
    assert state.changed(preview=True).finished is None


# --- export ---------------------------------------------------------------------------------------


def test_the_export_has_what_is_known_as_on_the_command_line(explained: Desk, tmp_path: Path) -> None:
    def written(name: str) -> dict[str, Any]:
        explained.presenter.export(tmp_path / name, ("json",), False)
        explained.wait(lambda s: s.shell.notice is not None and name in s.shell.notice.text)
        document: dict[str, Any] = json.loads((tmp_path / name / "result.json").read_text("utf-8"))
        return document

    assert "peer" not in written("before")
    found = checked(explained)
    entries = written("after")["peer"]
    assert [entry["library"] for entry in entries] == ["captum", "grad-cam"]
    assert [entry["difference"] for entry in entries] == [check.difference for check in found]
    assert {entry["slice"] for entry in entries} == {explained.state.view.slice}


# --- the card -------------------------------------------------------------------------------------


@pytest.fixture
def shown(window: Window, study: Path, model: Path, qtbot: QtBot) -> Window:
    """The window with a map, and nothing under way."""
    p = window.presenter
    p.studies.open([study])
    qtbot.waitUntil(lambda: p.state.view.values is not None, timeout=20_000)
    p.explaining.load_model(model)
    qtbot.waitUntil(lambda: p.state.answer.attribution is not None and not p.working, timeout=20_000)
    return window


def test_the_card_offers_it_tells_that_it_goes_on_and_what_it_found(
    shown: Window, held: Held, qtbot: QtBot
) -> None:
    card, state = shown.card, lambda: shown.presenter.state
    shown.run("method-card")
    assert (card.check.isVisible(), card.check.text()) == (True, "Check with the library")
    assert not card.checked.isVisible()
    height = card.height()
    qtbot.mouseClick(card.check, Qt.MouseButton.LeftButton)
    assert held.began.wait(20)
    assert (card.check.text(), card.height()) == ("Cancel", height)
    qtbot.mouseClick(card.check, Qt.MouseButton.LeftButton)
    assert not state().answer.checking
    assert card.check.text() == "Check with the library"
    held.go.set()
    qtbot.mouseClick(card.check, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(state().answer.checks), timeout=20_000)
    assert not card.check.isVisible()
    assert card.checked.isVisible()
    assert card.meant.isVisible()
    assert card.checked.text().count("on the same tensor: differs by at most") == 2
    assert "slice" not in card.checked.text()  # that is in view, and counted otherwise
    assert card.rect().contains(card.meant.geometry())


def test_the_command_opens_the_card_and_leaves_it_open(shown: Window, qtbot: QtBot) -> None:
    shown.run("check-library")
    assert shown.card.isVisible()
    shown.run("check-library")
    assert shown.card.isVisible()
    qtbot.waitUntil(lambda: bool(shown.presenter.state.answer.checks), timeout=20_000)
    assert shown.card.checked.text() == check_words(shown.presenter.state.answer.checks)
    shown.card.give_up()
    shown.run("check-library")
    assert shown.card.checked.isVisible()


def test_the_command_opens_no_card_where_there_is_nothing_to_check(window: Window) -> None:
    window.run("check-library")
    assert not window.card.isVisible()
    assert "no map" in window.message.sentence.text()


def test_the_card_of_another_method_and_of_no_map_offers_nothing(shown: Window) -> None:
    card = shown.card
    shown.run("method-card")
    shown.explaining.method.looked_at.emit("saliency")
    assert (card.title.full, card.check.isVisible()) == ("Saliency", False)
    shown.explaining.method.looked_at.emit(None)
    assert card.check.isVisible()
    shown.show_state(shown.presenter.state.changed(busy=Busy("writing")))
    assert not card.check.isEnabled()
    shown.show_state(shown.presenter.state.changed(preview=True))
    assert not card.check.isVisible()


def test_a_known_fault_of_a_library_is_said(shown: Window, tmp_path: Path, qtbot: QtBot) -> None:
    """captum averages over the wrong axes where a layer gives tokens."""
    import timm
    import torch

    facts = {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 24, "num_heads": 3, "in_chans": 1}
    torch.manual_seed(2)
    net = timm.create_model("vit_tiny_patch16_224", num_classes=3, **facts)
    folder = write_model(
        tmp_path / "vit",
        architecture="timm:vit_tiny_patch16_224",
        arguments={**facts, "num_classes": 3},
        input={"dimensions": 2, "size": [32, 32], "values": {"window": [0, 2000]}},
    )
    save_file(net.state_dict(), folder / "model.safetensors")
    p = shown.presenter
    first = p.state.answer.model
    p.explaining.load_model(folder)
    qtbot.waitUntil(
        lambda: p.state.answer.model is not first and p.state.finished is not None and not p.working,
        timeout=20_000,
    )
    shown.run("check-library")
    qtbot.waitUntil(lambda: bool(p.state.answer.checks), timeout=20_000)
    captums, grad_cams = p.state.answer.checks
    assert captums.difference > AGREES > grad_cams.difference
    assert "averages the gradient over the axes" in captums.fault
    assert captums.fault in shown.card.checked.text()


@pytest.mark.parametrize(
    ("difference", "words"),
    [(0.0, "0"), (4.74e-8, "4.7e-08"), (0.00999, "1.0e-02"), (0.014, "0.014"), (1, "1")],
)
def test_a_large_difference_is_a_plain_number(difference: float, words: str) -> None:
    check = PeerCheck("x", "X", "mass", 3, "conv", "captum", "0.9", difference=difference)
    told = f"X of captum 0.9 on the same tensor: differs by at most {words} of the largest value."
    assert check_words([check]) == told


def test_the_card_says_what_is_rounding() -> None:
    check = PeerCheck(
        "x", "X", "mass", 3, "conv", "captum", "0.9", difference=3e-3, double=2e-9, rounding=True
    )
    told = "differs by at most 3.0e-03 of the largest value in single precision, and by 2.0e-09 in double: "
    assert check_words([check]).endswith(f"{told}rounding, not another method.")


def test_the_bound_that_the_card_names_is_the_one_that_counts() -> None:
    assert f"Up to {AGREES:.0e}".replace("e-0", "e-") in method_card.MEANT


def test_libraries_are_imported_when_asked_and_only_those_that_are_needed(tmp_path: Path) -> None:
    study, model = write_stack(tmp_path / "study", 1), write_model(tmp_path / "model")
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from PySide6.QtWidgets import QApplication\n"
        "from viewer.settings import Settings\n"
        "from viewer.ui.window import Window\n"
        "app = QApplication([])\n"
        "w = Window(Settings(device='cpu')); p = w.presenter\n"
        "def rest():\n"
        "    while p.working: app.processEvents(); time.sleep(0.01)\n"
        f"p.explaining.load_model(Path({str(model)!r})); p.studies.open([Path({str(study)!r})]); rest()\n"
        "p.explaining.choose_method('saliency'); rest()\n"
        "assert p.state.finished.title == 'Saliency'\n"
        "w.run('method-card')\n"
        "assert not {'captum', 'pytorch_grad_cam'} & set(sys.modules)\n"
        "w.run('check-library'); rest()\n"
        "assert [c.library for c in p.state.answer.checks] == ['captum']\n"
        "assert 'captum' in sys.modules and 'pytorch_grad_cam' not in sys.modules\n"
        "w.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
