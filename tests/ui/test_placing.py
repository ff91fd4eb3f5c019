# SPDX-License-Identifier: Apache-2.0
"""Networks that read a patch, in the window: placed, in the middle, swept; each map at its own place."""

import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import companion_files as files
import numpy as np
import pytest
import torch
from desk import Desk
from program import COLUMNS, LABELS, ROWS, arrays_of, write_model, write_stack

from viewer import affine, dicom, overlay, session
from viewer.models import Model
from viewer.overlay.outline import box, outlines, trimmed
from viewer.types import DerivedMap, Region, Sweep
from viewer.ui import jobs
from viewer.ui.presenter.maps import _input_bytes
from viewer.ui.presenter.running import leading
from viewer.ui.state import NOWHERE, WHOLE, ViewState, choice_of, position_of
from viewer.ui.views import captions

SIZES = {2: [8, 8], 3: [4, 8, 8]}
PLACES: dict[int, tuple[tuple[int, ...], ...]] = {
    2: ((5, 9), (12, 20), (0, 27)),
    3: ((2, 5, 9), (7, 12, 20), (0, 19, 3)),
}


def patch_model(folder: Path, dimensions: int = 2, **fields: Any) -> Path:
    facts = {
        "dimensions": dimensions, "size": SIZES[dimensions], "fit": "patch", "values": {"window": [0, 2000]},
    }  # fmt: skip
    return write_model(folder, dimensions, input=facts, **fields)


@pytest.fixture(params=[2, 3], ids=["2D", "3D"])
def dimensions(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def paths(tmp_path: Path) -> Path:
    """A study of two stacks."""
    write_stack(tmp_path / "study" / "a", 9)
    write_stack(tmp_path / "study" / "b", 5, uid="1.2.826.78", SeriesDescription="Other")
    return tmp_path / "study"


@pytest.fixture
def placed(desk: Desk, paths: Path, tmp_path: Path, dimensions: int) -> Desk:
    """The presenter with a patch in the middle, explained."""
    desk.explained(paths, patch_model(tmp_path / "model", dimensions))
    desk.at_rest()
    return desk


def put(desk: Desk, place: tuple[int, ...]) -> ViewState:
    """Place the patch by hand: in a volume, on its slice."""
    if len(place) == 3:
        desk.presenter.go_to(place[0])
    desk.presenter.patches.place(*place[-2:])
    desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    desk.at_rest()
    return desk.state


def wanted(desk: Desk, at: Any, method: str = "grad-cam") -> Any:
    """What the program without a window finds of the shown slice or volume."""
    state, model = desk.state, desk.presenter.explaining._maps.model
    slice = None if state.answer.model.volume else state.view.slice
    assert state.request.target is not None
    return session.ask(state.view.series, model, [method], state.request.target, slice, at)


def same(state: ViewState, found: Any) -> None:
    (one,) = found.attributions
    shown = state.answer.attribution
    np.testing.assert_allclose(shown.values, one.values, rtol=1e-4, atol=1e-6 * np.abs(one.values).max())
    np.testing.assert_allclose(shown.matrix, one.matrix)
    assert len(shown.predictions) == len(found.predictions)
    for a, b in zip(shown.predictions, found.predictions, strict=True):
        assert [s.logit for s in a.scores] == pytest.approx([s.logit for s in b.scores], abs=1e-5)
    drawn = overlay.as_drawn(shown, overlay.on_source(shown, state.view.slice))
    np.testing.assert_array_equal(state.view.map, drawn)


def idle(desk: Desk) -> Any:
    """No job may be asked for from now on."""
    desk.jobs.run = create_autospec(desk.jobs.run)
    return desk.jobs.run


# --- placed ---------------------------------------------------------------------------------------


def test_a_place_has_its_own_prediction_and_map_those_of_the_command_line(
    placed: Desk, dimensions: int
) -> None:
    middle = placed.state
    assert middle.request.placed is None
    same(middle, wanted(placed, None))
    maps, said = [middle.answer.attribution], [middle.answer.prediction]
    for place in PLACES[dimensions]:
        state = put(placed, place)
        assert state.request.placed == place
        same(state, wanted(placed, place))
        assert state.answer.prediction is state.answer.attribution.predictions[0]
        maps.append(state.answer.attribution)
        said.append(state.answer.prediction)
    assert len({id(one) for one in maps}) == len(PLACES[dimensions]) + 1
    assert len({one.scores for one in said}) > 1


def test_going_back_to_a_place_runs_nothing(placed: Desk, dimensions: int) -> None:
    known = {place: put(placed, place).answer.attribution for place in PLACES[dimensions]}
    asked = idle(placed)
    for place, attribution in known.items():
        if dimensions == 3:
            placed.presenter.explaining.look(place)
        else:
            placed.presenter.patches.place(*place)
        assert placed.state.answer.attribution is attribution
        assert placed.state.answer.prediction is attribution.predictions[0]
    placed.presenter.patches.middle()
    assert placed.state.request.placed is None
    assert placed.state.answer.attribution not in known.values()
    kinds = {call.args[1] for call in asked.call_args_list}
    assert kinds <= {"slice", "ahead"}


def test_the_border_goes_round_what_the_map_covers(placed: Desk, dimensions: int) -> None:
    """Pixel by pixel: a pixel has a value of the map where its middle lies in the field, and nowhere else."""
    covered = 0
    for place in PLACES[dimensions]:
        state = put(placed, place)
        for slice in range(state.view.series.shape[0]):
            placed.presenter.go_to(slice)
            state = placed.wait(lambda s: s.view.map is not None)
            index = np.stack(np.meshgrid([slice], range(ROWS), range(COLUMNS), indexing="ij"), -1)
            at = affine.apply(affine.inverse(state.request.patch.matrix), index)[0]
            inside = np.logical_and.reduce(
                [affine.inside(at[..., i], n) for i, n in enumerate(state.request.patch.shape)]
            )
            blank = state.answer.attribution.shows_nothing
            np.testing.assert_array_equal(np.isfinite(state.view.map), inside & (not blank))
            covered += inside.sum() * (not blank)
            placed.at_rest()
    assert covered


def test_another_slice_keeps_row_and_column(desk: Desk, paths: Path, tmp_path: Path) -> None:
    desk.explained(paths, patch_model(tmp_path / "model"))
    put(desk, (12, 20))
    for slice in (0, 8, 3):
        desk.presenter.go_to(slice)
        state = desk.wait(lambda s: s.answer.attribution is not None)
        assert (state.request.placed, state.answer.attribution.slice) == ((12, 20), slice)
        desk.at_rest()
        same(desk.state, wanted(desk, (12, 20)))


def test_the_profile_is_that_of_the_place(desk: Desk, paths: Path, tmp_path: Path) -> None:
    desk.explained(paths, patch_model(tmp_path / "model"))
    desk.wait(lambda s: s.answer.profile and None not in s.answer.profile)
    middle = desk.state.answer.profile
    state = put(desk, (5, 9))
    desk.wait(lambda s: s.answer.profile and None not in s.answer.profile)
    model, target = desk.presenter.explaining._maps.model, state.request.target
    found = session.predict(state.view.series, model, "all", (5, 9))
    assert desk.state.answer.profile == pytest.approx([p.score(target).probability for p in found], abs=1e-6)
    assert desk.state.answer.profile != middle
    desk.presenter.patches.middle()
    assert desk.state.answer.profile == middle


def test_another_study_or_model_puts_it_in_the_middle(placed: Desk, dimensions: int, tmp_path: Path) -> None:
    put(placed, PLACES[dimensions][0])
    placed.presenter.studies.choose_series(1)
    assert (placed.state.request.placed, placed.state.request.swept) == (None, None)
    state = placed.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    same(state, wanted(placed, None))
    put(placed, PLACES[dimensions][0])
    placed.presenter.explaining.load_model(patch_model(tmp_path / "other", dimensions))
    placed.wait(
        lambda s: s.request.placed is None and s.answer.attribution is not None and s.shell.busy is None
    )


def test_a_place_beside_the_image_is_the_nearest_pixel(desk: Desk, paths: Path, tmp_path: Path) -> None:
    desk.explained(paths, patch_model(tmp_path / "model"))
    desk.presenter.patches.place(-0.5, COLUMNS - 0.5)
    assert desk.state.request.placed == (0, COLUMNS - 1)


def test_a_slow_method_waits_and_the_prediction_does_not(placed: Desk, dimensions: int) -> None:
    placed.presenter.explaining.choose_method("occlusion")
    placed.at_rest()
    place = PLACES[dimensions][0]
    if dimensions == 3:
        placed.presenter.go_to(place[0])
    placed.presenter.patches.place(*place[-2:])
    assert (placed.state.answer.prediction, placed.state.answer.attribution) == (None, None)
    state = placed.wait(lambda s: s.answer.prediction is not None)
    assert state.answer.attribution is None
    (said,) = session.predict(
        state.view.series,
        placed.presenter.explaining._maps.model,
        None if dimensions == 3 else state.view.slice,
        place,
    )
    assert [s.logit for s in state.answer.prediction.scores] == pytest.approx(
        [s.logit for s in said.scores], abs=1e-5
    )


@pytest.mark.parametrize("gone_to", ["middle", "slice"])
def test_a_score_that_comes_late_is_not_shown_elsewhere(
    placed: Desk, dimensions: int, gone_to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    middle, going, run = placed.state.answer.prediction, threading.Event(), placed.jobs.run

    def held(lane: Any, kind: str, work: Callable[[Any], Any], *rest: Any) -> None:
        late = kind == "predict"
        run(lane, kind, (lambda task: (going.wait(20), work(task))[1]) if late else work, *rest)

    placed.presenter.explaining.choose_method("occlusion")
    placed.at_rest()
    monkeypatch.setattr(placed.jobs, "run", held)
    placed.presenter.patches.place(*PLACES[dimensions][0][-2:])
    placed.wait(lambda _s: placed.jobs.active("predict"))
    if gone_to == "middle":
        placed.presenter.patches.middle()
    else:
        placed.presenter.go_to(0)
    going.set()
    placed.at_rest()
    if gone_to == "middle":
        assert placed.state.answer.prediction is middle
    elif dimensions == 2:
        assert placed.state.answer.prediction.input.slice == 0  # its own, though the method is slow
    else:  # the patch of a volume stays where it is
        assert placed.state.answer.prediction not in (None, middle)


def test_a_model_of_the_whole_image_has_no_patch(desk: Desk, paths: Path, tmp_path: Path) -> None:
    patches = desk.presenter.patches
    patches.middle()
    assert "Open a model" in desk.state.shell.notice.text
    before = desk.explained(paths, write_model(tmp_path / "model"))
    desk.at_rest()
    for wish in (lambda: patches.place(3, 3), patches.place_here, patches.middle, lambda: patches.sweep("")):
        desk.presenter.dismiss()
        wish()
        assert "reads the whole image" in desk.state.shell.notice.text
        assert desk.state.answer.attribution is before.answer.attribution
        assert (desk.state.request.placed, desk.state.request.swept, desk.state.request.patch) == (
            None,
            None,
            None,
        )
    assert captions.patched(desk.state) == ()


def test_placing_here_is_where_the_pointer_is(desk: Desk, paths: Path, tmp_path: Path) -> None:
    desk.explained(paths, patch_model(tmp_path / "model"))
    desk.presenter.point(None, None)
    desk.presenter.patches.place_here()
    assert "hold Ctrl" in desk.state.shell.notice.text
    desk.presenter.point(7.4, 13.6)
    desk.presenter.patches.place_here()
    assert desk.state.request.placed == (7, 14)


def test_undo_goes_back_to_the_place_before_and_runs_nothing(placed: Desk, dimensions: int) -> None:
    middle = placed.state.answer.attribution
    first, second = PLACES[dimensions][:2]
    known = [middle, put(placed, first).answer.attribution, put(placed, second).answer.attribution]
    display = placed.presenter.display
    asked = idle(placed)
    for attribution, place in ((known[1], first), (known[0], None)):
        display.undo()
        assert (placed.state.request.placed, placed.state.answer.attribution) == (place, attribution)
    display.redo()
    assert (placed.state.request.placed, placed.state.answer.attribution) == (first, known[1])
    assert {call.args[1] for call in asked.call_args_list} <= {"slice", "ahead"}


def test_the_corner_names_the_place(placed: Desk, dimensions: int) -> None:
    text = lambda: [line for line, _role in captions.plain(placed.state).bottom_left]  # noqa: E731
    assert "patch in the middle" in text()
    put(placed, PLACES[dimensions][0])
    assert {2: "patch at row 5, column 9", 3: "patch at Im 3, row 5, column 9"}[dimensions] in text()


# --- swept ----------------------------------------------------------------------------------------


def swept(desk: Desk, over: str = WHOLE) -> ViewState:
    desk.presenter.patches.sweep(over)
    desk.at_rest()
    assert desk.state.answer.attribution is None
    return run(desk)


def run(desk: Desk) -> ViewState:
    """As the button does."""
    desk.presenter.explaining.explain()
    desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    desk.at_rest()
    return desk.state


def test_a_sweep_waits_for_the_reader_and_is_that_of_the_command_line(placed: Desk, dimensions: int) -> None:
    one = placed.state.answer.attribution
    placed.presenter.patches.sweep(WHOLE)
    placed.at_rest()
    state: ViewState = placed.state
    assert (state.answer.attribution, state.answer.prediction, state.shell.busy) == (None, None, None)
    assert ("not searched yet: the whole " + {2: "slice", 3: "scan"}[dimensions], "accent") in (
        captions.patched(state)
    )
    assert state.request.search.blocks == len(wanted(placed, Sweep(refine=False)).predictions)
    state = run(placed)
    found = wanted(placed, Sweep())
    same(state, found)
    assert np.isfinite(state.view.map).all()
    best = state.answer.attribution.swept.best[0]
    assert state.request.patch is best.field  # the border of the best block
    assert best.score.logit == pytest.approx(state.answer.attribution.score.logit, abs=1e-5)
    many = len(found.predictions)
    assert many > 10
    assert captions.patched(state)[0][0].startswith("searched: the whole ")
    assert captions.explained(state, True).top_left[1][0].endswith(f"best of {many} blocks")
    score = lambda p: p.score(state.request.target).logit  # noqa: E731
    assert score(state.answer.prediction) == pytest.approx(max(score(p) for p in found.predictions), abs=1e-5)
    asked = idle(placed)
    placed.presenter.patches.sweep(None)
    assert placed.state.answer.attribution is one
    placed.presenter.patches.sweep(WHOLE)
    assert placed.state.answer.attribution is state.answer.attribution
    asked.assert_not_called()


def test_what_a_sweep_keeps_in_memory_is_counted(placed: Desk, dimensions: int) -> None:
    """The patches are views of one input; what is said of a place keeps no more than its own patch."""
    state = swept(placed)
    size = _input_bytes(state.answer.attribution)
    held = {p.input.tensor.untyped_storage().nbytes() for p in state.answer.attribution.predictions}
    assert held == {size}
    said = placed.presenter.explaining._maps.prediction(position_of(state))
    assert said.input.tensor.untyped_storage().nbytes() == 4 * np.prod(SIZES[dimensions])
    assert torch.equal(said.input.tensor, state.answer.prediction.input.tensor)


def test_one_patch_after_a_sweep_lies_where_it_lay(placed: Desk, dimensions: int) -> None:
    one = put(placed, PLACES[dimensions][1])
    swept(placed)
    placed.presenter.patches.sweep(None)
    assert placed.state.request.placed == PLACES[dimensions][1]
    assert placed.state.answer.attribution is one.answer.attribution


def test_a_click_ends_the_sweep(placed: Desk, dimensions: int) -> None:
    swept(placed)
    state = put(placed, PLACES[dimensions][0])
    assert (state.request.swept, state.request.placed) == (None, PLACES[dimensions][0])
    same(state, wanted(placed, PLACES[dimensions][0]))


def test_the_target_of_a_sweep_is_the_label_with_the_highest_score_of_any_patch(
    desk: Desk, paths: Path, tmp_path: Path
) -> None:
    desk.explained(paths, patch_model(tmp_path / "model"))
    desk.at_rest()
    desk.presenter.patches.sweep(WHOLE)
    desk.presenter._store.note(target=None)
    state = run(desk)
    assert state.request.target == leading(state.answer.attribution.predictions).top.label
    for label in LABELS:  # all came from one sweep of a slice
        desk.presenter.explaining.choose_target(label)
        assert desk.state.answer.attribution.target.words == label
        best = max(p.score(label).logit for p in desk.state.answer.attribution.predictions)
        assert desk.state.answer.prediction.score(label).logit == best


def holding(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """The next sweep begins, and then waits until it may go on."""
    began, go = threading.Event(), threading.Event()
    really = Model.tiling

    def tiling(*asked: Any) -> Any:
        began.set()
        assert go.wait(20)
        return really(*asked)

    monkeypatch.setattr(Model, "tiling", tiling)
    return began, go


def test_a_cancelled_sweep_leaves_nothing(placed: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    one = placed.state.answer.attribution
    began, go = holding(monkeypatch)
    placed.presenter.patches.sweep(WHOLE)
    placed.presenter.explaining.explain()
    placed.wait(lambda _s: began.is_set())
    assert placed.state.shell.busy is not None
    placed.presenter.cancel()
    go.set()
    placed.at_rest()
    assert (placed.state.answer.attribution, placed.state.shell.busy) == (None, None)
    assert placed.state.shell.notice.text == "Cancelled."
    assert not placed.presenter.explaining._maps.all(position_of(placed.state), choice_of(placed.state))
    placed.presenter.patches.sweep(None)
    assert placed.state.answer.attribution is one


def test_a_sweep_that_ends_late_lands_on_its_own_slice(
    desk: Desk, paths: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.explained(paths, patch_model(tmp_path / "model"))
    desk.at_rest()
    began, go = holding(monkeypatch)
    desk.presenter.patches.sweep(WHOLE)
    desk.presenter.explaining.explain()
    desk.wait(lambda _s: began.is_set())
    desk.presenter.go_to(7)
    desk.wait(lambda s: s.view.values is not None)
    assert desk.state.shell.busy is not None  # it goes on
    go.set()
    desk.wait(lambda s: s.shell.busy is None)
    desk.at_rest()
    assert (desk.state.view.slice, desk.state.answer.attribution, desk.state.answer.prediction) == (
        7,
        None,
        None,
    )
    asked = idle(desk)
    desk.presenter.go_to(4)
    assert desk.state.answer.attribution.slice == 4
    assert len(desk.state.answer.attribution.predictions) > 1
    assert {call.args[1] for call in asked.call_args_list} <= {"slice", "ahead"}


def test_progress_counts_the_patches(placed: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_REPORT_EVERY", 0.0)
    state = swept(placed)
    told = {
        s.shell.busy.total
        for s in placed.shown
        if s.shell.busy is not None and s.shell.busy.doing == "sweeping patches"
    }
    assert told == {state.answer.attribution.swept.grid}


def test_no_state_ever_holds_what_belongs_to_another_place(placed: Desk, dimensions: int) -> None:
    """Places, slices, labels and sweeps at random, whatever is under way."""
    dice = random.Random(5)
    presenter = placed.presenter
    wishes: list[Callable[[], Any]] = [
        *(lambda p=p: presenter.explaining.look(p) for p in (*PLACES[dimensions], None)),
        lambda: presenter.go_to(dice.randrange(9)),
        lambda: presenter.explaining.choose_target(dice.choice(LABELS)),
        lambda: presenter.patches.sweep(WHOLE),
        lambda: presenter.patches.sweep(None),
        presenter.explaining.explain,
        lambda: placed.qtbot.wait(30),
    ]
    for place in PLACES[dimensions]:
        put(placed, place)  # known, so that they are shown at once
    del placed.shown[:]
    for _ in range(160):
        dice.choice(wishes)()
    placed.at_rest()
    model = presenter.explaining._maps.model
    seen = [s for s in placed.shown if s.answer.attribution is not None]
    assert len(seen) > 5
    for state in seen:
        made = state.answer.attribution
        assert made.slice == (None if dimensions == 3 else state.view.slice)
        assert made.target.words == state.request.target
        assert state.answer.prediction in made.predictions
        if state.request.swept == WHOLE:
            assert len(made.predictions) > 1
            continue
        field = model.field(state.view.series, made.slice, state.request.placed)
        (said,) = made.predictions
        np.testing.assert_array_equal(said.input.matrix, field.matrix)
        np.testing.assert_array_equal(state.request.patch.matrix, field.matrix)


# --- regions --------------------------------------------------------------------------------------


@pytest.fixture
def regions(desk: Desk, tmp_path: Path, dimensions: int) -> Desk:
    """A stack whose segments lie on slices 1 to 4, rows 14 to 25."""
    folder = tmp_path / "brought"
    sources = files.stack(folder, "1.2.70", 1.0)
    files.segmentation(folder / "seg.dcm", sources)
    model = patch_model(tmp_path / "model", dimensions, accepts={"modality": ["MR"]})
    desk.explained(folder, model)
    desk.wait(lambda s: s.regions.regions)
    desk.at_rest()
    return desk


def test_a_region_is_swept_in_its_box(regions: Desk, dimensions: int) -> None:
    region = regions.state.regions.regions[1]
    box: Any = ((14, 18), (25, 25)) if dimensions == 2 else ((1, 14, 18), (4, 25, 25))
    state = swept(regions, region.source)
    assert state.at == Sweep(box)
    same(state, wanted(regions, Sweep(box)))
    assert captions.patched(state)[0][0].startswith("searched: thing 2")
    assert state.request.patch is state.answer.attribution.swept.best[0].field  # the best block is outlined


def test_a_region_that_is_not_on_the_slice_is_said(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "brought"
    files.segmentation(folder / "seg.dcm", files.stack(folder, "1.2.70", 1.0))
    desk.explained(folder, patch_model(tmp_path / "model", accepts={"modality": ["MR"]}))
    desk.wait(lambda s: s.regions.regions)
    source = desk.state.regions.regions[0].source
    there = swept(desk, source)
    desk.presenter.go_to(5)
    desk.at_rest()
    assert desk.state.at == NOWHERE
    assert captions.patched(desk.state) == (
        ("thing 1 does not lie on this slice: nothing to search", "warning"),
    )
    desk.presenter.explaining.explain()
    desk.at_rest()
    assert desk.state.shell.notice.text.startswith("The region does not lie on this slice")
    assert desk.state.answer.attribution is None
    desk.presenter.go_to(there.view.slice)
    desk.at_rest()
    assert desk.state.answer.attribution is there.answer.attribution


def test_the_box_of_a_region_holds_it_and_no_more(paths: Path) -> None:
    (series, _other) = dicom.scan([paths]).series
    mask = np.zeros((9, ROWS, COLUMNS), bool)
    mask[2:5, 3:8, 0:6] = True
    mask[3, 10, 27] = True
    region = trimmed(Region(mask, np.eye(4), series, "blob", "drawn"))
    assert box(region) == ((2, 3, 0), (4, 10, 27))
    (two,), (three,) = outlines((region,), 2), outlines((region,), 3)
    assert box(region, two) == ((3, 0), (7, 5))
    assert box(region, three) == ((3, 0), (10, 27))


# --- export ---------------------------------------------------------------------------------------


def comparable(folder: Path) -> Any:
    found = json.loads((folder / "result.json").read_text("utf-8"))
    for entry in found["attributions"]:
        for name in ("seconds", "files", "style", "display", "min", "max"):
            entry.pop(name)
    for said in found["predictions"]:
        for label in said["labels"]:
            label["logit"], label["probability"] = (round(label[n], 4) for n in ("logit", "probability"))
    return {name: found[name] for name in ("series", "model", "predictions", "attributions", "skipped")}


@pytest.mark.parametrize("over", [None, WHOLE], ids=["placed", "swept"])
def test_the_export_is_that_of_the_command_line(
    placed: Desk, dimensions: int, over: str | None, paths: Path, tmp_path: Path, whyscope: Any
) -> None:
    place = PLACES[dimensions][0]
    state = put(placed, place) if over is None else swept(placed)
    placed.presenter.export(tmp_path / "window", ("npz", "json"), False)
    placed.wait(lambda s: s.shell.notice is not None and "Written" in s.shell.notice.text)
    where = [] if dimensions == 3 else ["--slice", state.view.slice]
    done = whyscope(
        "explain", paths, "--model", tmp_path / "model", "--method", "grad-cam",
        "--target", state.request.target,
        "--series", 0, *where, "--at", ",".join(map(str, place)) if over is None else "sweep",
        "--layer", state.answer.attribution.layer, "--format", "npz,json", "--out", tmp_path / "line",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert comparable(tmp_path / "window") == comparable(tmp_path / "line")
    (mine,), (theirs,) = (sorted((tmp_path / name).glob("*.npz")) for name in ("window", "line"))
    assert mine.name == theirs.name
    for name, array in arrays_of(theirs).items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(arrays_of(mine)[name], array, rtol=1e-4, atol=1e-7)


# --- beside other things --------------------------------------------------------------------------


def test_both_maps_of_a_comparison_are_of_the_place(placed: Desk, dimensions: int) -> None:
    placed.presenter.comparing.keep()
    placed.presenter.explaining.choose_method("hires-cam")
    placed.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    put(placed, PLACES[dimensions][0])
    compared = placed.wait(
        lambda s: s.answer.compared is not None and s.answer.compared.one.map is not None
    ).answer.compared
    assert compared is not None
    for side in (compared.one, compared.other):
        made: Any = side.map.parents[0] if isinstance(side.map, DerivedMap) else side.map
        (said,) = made.predictions
        np.testing.assert_array_equal(said.input.matrix, placed.state.request.patch.matrix)
    placed.presenter.patches.sweep(WHOLE)
    placed.at_rest()
    assert placed.state.answer.compared.one.map is None  # nothing sweeps unasked


def test_strip_and_sheet_are_of_the_place_and_sweep_nothing_unasked(
    desk: Desk, paths: Path, tmp_path: Path
) -> None:
    desk.explained(paths, patch_model(tmp_path / "model"))
    desk.presenter.display.choose_layout("sheet")
    put(desk, (5, 9))
    state = desk.wait(
        lambda s: all(s.answer.layer_strip) and all(cell.tile for cell in s.answer.contact_sheet)
    )
    for tile in (*state.answer.layer_strip, *(cell.tile for cell in state.answer.contact_sheet)):
        np.testing.assert_array_equal(tile.map.predictions[0].input.matrix, state.request.patch.matrix)
    desk.presenter.patches.sweep(WHOLE)
    desk.at_rest()
    assert not any(desk.state.answer.layer_strip)
    assert not any(cell.tile for cell in desk.state.answer.contact_sheet)
    run(desk)
    assert sum(tile is not None for tile in desk.state.answer.layer_strip) == 1
    desk.presenter.layer_strip.wish()
    state = desk.wait(lambda s: all(s.answer.layer_strip))
    assert len({len(tile.map.predictions) for tile in state.answer.layer_strip}) == 1
    assert len(state.answer.layer_strip[0].map.predictions) > 1


def test_points_of_one_place_keep_the_patch_as_far_as_they_reach(
    desk: Desk, tmp_path: Path, dimensions: int
) -> None:
    """The last b-value lacks its last slice."""
    files.diffusion(tmp_path / "dwi", lacking=5)
    desk.explained(tmp_path / "dwi", patch_model(tmp_path / "m", dimensions, accepts={"modality": ["MR"]}))
    desk.at_rest()
    place = {2: (30, 12), 3: (5, 30, 12)}[dimensions]
    put(desk, place)
    desk.presenter.step_point(1)
    state = desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    assert (state.view.number, state.request.placed) == (1, place)
    desk.at_rest()
    same(desk.state, wanted(desk, place))
    desk.presenter.step_point(1)
    state = desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    assert (state.view.number, state.request.placed) == (2, {2: (30, 12), 3: (4, 30, 12)}[dimensions])
    desk.at_rest()
    same(desk.state, wanted(desk, state.request.placed))


def test_outside_the_intended_use_no_patch_is_read(desk: Desk, paths: Path, tmp_path: Path) -> None:
    desk.presenter.studies.open([paths])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.explaining.load_model(patch_model(tmp_path / "model", accepts={"modality": ["MR"]}))
    desk.wait(lambda s: s.answer.gate == "outside")
    desk.presenter.patches.place(5, 9)
    desk.at_rest()
    assert (desk.state.answer.prediction, desk.state.answer.attribution, desk.state.request.patch) == (
        None,
        None,
        None,
    )
    assert captions.patched(desk.state) == ()
    desk.presenter.explaining.take_action("override")
    state = desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    assert state.request.placed == (5, 9)
    same(state, wanted_all_the_same(desk, (5, 9)))


def wanted_all_the_same(desk: Desk, at: Any) -> Any:
    state, model = desk.state, desk.presenter.explaining._maps.model
    assert state.request.target is not None
    return session.ask(
        state.view.series,
        model,
        ["grad-cam"],
        state.request.target,
        state.view.slice,
        at,
        outside_intended_use=True,
    )
