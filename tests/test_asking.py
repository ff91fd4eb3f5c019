# SPDX-License-Identifier: Apache-2.0
"""Asking by request: what is refused, what one forward serves, and that each is given its own map."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from program import LABELS, change_card, write_model, write_stack
from torch import Tensor

from plugins.eigen_cam import EigenCAM
from plugins.grad_cam import GradCAM
from plugins.kernel_shap import KernelSHAP
from plugins.layer_cam import LayerCAM
from plugins.occlusion import Occlusion
from plugins.saliency import Saliency
from viewer import api, dicom, session
from viewer.errors import ExplainerError, ModelError, SeriesError
from viewer.explain import Cost, Explainer, ForwardCache, Probe
from viewer.models import Model
from viewer.types import Attribution, Override, Place, Region, Request, Series, Sweep, Target

TARGETS = tuple(Target(label, i) for i, label in enumerate(LABELS))
MASS = TARGETS[1]


@pytest.fixture(scope="module")
def series(stack: Path) -> Series:
    (found,) = dicom.scan([stack]).series
    return found


@pytest.fixture(scope="module")
def model(small_model: Path) -> Model:
    return session.load_model(small_model)


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model that reads patches."""
    facts = {"dimensions": 2, "size": [8, 8], "fit": "patch", "values": {"window": [0, 2000]}}
    return session.load_model(write_model(tmp_path_factory.mktemp("patches"), input=facts))


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Callable[[Model], list[int]]:
    """`counted(model)` holds how many images each forward of it has been given since."""

    def count(model: Model) -> list[int]:
        assert model.structure.layers  # found out once, by a run of its own
        model.try_out()  # and so is what made-up images show
        sizes: list[int] = []
        handle = model._module.register_forward_pre_hook(lambda _m, given: sizes.append(len(given[0])))
        request.addfinalizer(handle.remove)
        return sizes

    return count


def alone(series: Series, model: Model, one: Request) -> Attribution:
    return session.explain(series, model, [one]).of(one)


def like(one: Attribution, other: Attribution) -> bool:
    """Whether two maps say the same of the same."""
    assert one.predictions[0].input.slice == other.predictions[0].input.slice
    assert one.explainer == other.explainer
    words = (one.target and one.target.words, other.target and other.target.words)
    return words[0] == words[1] and np.allclose(one.values, other.values, atol=1e-6)


# --- one forward ----------------------------------------------------------------------------------


def test_all_that_is_asked_of_a_place_comes_out_of_one_forward(
    series: Series, model: Model, counted: Callable[[Model], list[int]]
) -> None:
    region = Region.box(series, 2, (4, 6, 8, 12), "block")
    asked = [
        session.request(series, model, method, target, Place(2), within=within)
        for method, target, within in (
            (GradCAM(), MASS, None),
            (GradCAM(), TARGETS[0], None),
            (LayerCAM(), TARGETS[2], None),
            (EigenCAM(), "top", None),
            (GradCAM(), Target("mass", 1, "nodule", 2), None),
            (Saliency(), "top", None),
            (GradCAM(), MASS, region),  # another request, though this method asks nobody for a region
        )
    ]
    sizes = counted(model)
    found = session.explain(series, model, asked)
    assert sizes == [1]
    assert len(found.attributions) == len(asked)
    assert len(found.predictions) == 1
    for one in asked:
        assert like(found.of(one), alone(series, model, one)), one
    assert found.of(asked[5]).target.label == found.predictions[0].top.label
    assert found.of(asked[3]).target is None


def test_each_method_runs_for_its_own_targets_alone(
    series: Series, model: Model, counted: Callable[[Model], list[int]]
) -> None:
    """The union of all would multiply what a slow method costs, and a map for each would be made twice."""
    given: list[int] = []

    class Watched(Occlusion):
        def compute(self, probe: Probe) -> Any:
            given.append(len(probe.targets))
            return super().compute(probe)

    asked = [session.request(series, model, Saliency(), target, Place(1)) for target in TARGETS]
    asked += [session.request(series, model, Watched(window=8), target, Place(1)) for target in TARGETS[:2]]
    asked += [session.request(series, model, Watched(window=4, stride=8), MASS, Place(1))]
    found = session.explain(series, model, [*asked, *asked])
    assert given == [2, 1]
    assert len(found.attributions) == len(asked) == len(found.answers)


def test_places_at_which_the_same_is_asked_go_through_together(
    series: Series, model: Model, counted: Callable[[Model], list[int]]
) -> None:
    every = session.requests(series, model, ["grad-cam", "layer-cam"], "mass", "all")
    one_more = session.request(series, model, "grad-cam", "nodule", Place(0))
    sizes = counted(model)
    found = session.explain(series, model, [*every, one_more])
    assert sorted(sizes) == [1, 3]  # where more is asked, it is asked apart
    assert sorted(p.input.slice for p in found.predictions) == [0, 1, 2, 3]
    for one in (*every, one_more):
        assert found.of(one).slice == one.place.slice
        assert like(found.of(one), alone(series, model, one))


def test_the_batch_of_the_preferences_holds(
    series: Series, model: Model, counted: Callable[[Model], list[int]]
) -> None:
    from viewer.settings import Settings

    asked = session.requests(series, model, ["grad-cam"], "all", "all")
    sizes = counted(model)
    found = session.explain(series, model, asked, preferences=Settings(batch=3))
    assert sizes == [3, 1]
    for one in asked:
        assert like(found.of(one), alone(series, model, one))


def test_equal_requests_are_answered_as_one(series: Series, model: Model) -> None:
    one = session.request(series, model, "occlusion", "mass", settings={"window": 8})
    other = session.request(series, model, "occlusion", "mass", settings={"window": 8.0, "stride": "0"})
    found = session.explain(series, model, [one, other])
    assert len(found.attributions) == 1
    assert found.of(one) is found.of(other)


def test_limits_and_features_are_those_of_each_request(series: Series, model: Model) -> None:
    left, right = (Region.box(series, 2, (2, c, 17, c + 9), name) for c, name in ((2, "left"), (14, "right")))
    asked = [
        session.request(series, model, Occlusion(4, 4), MASS, Place(2), within=within)
        for within in (left, right, None)
    ]
    over = KernelSHAP(samples=8, over="segments")
    asked += [
        session.request(series, model, over, MASS, Place(2), features=some)
        for some in ([left], [left, right])
    ]
    found = session.explain(series, model, asked)
    assert [found.of(one).within for one in asked] == [left, right, None, None, None]
    assert [set(found.of(one).features) for one in asked[3:]] == [
        {"left", "the rest"},
        {"left", "right", "the rest"},
    ]
    for one in asked:
        assert like(found.of(one), alone(series, model, one))


def test_a_sweep_is_one_map_and_shares_each_forward(
    series: Series, patches: Model, counted: Callable[[Model], list[int]]
) -> None:
    where = session.place(series, patches, 2, Sweep(refine=False))
    box = session.place(series, patches, 2, Sweep(((0, 0), (12, 12)), refine=False))
    asked = [
        session.request(series, patches, method, target, where)
        for method, target in (
            (GradCAM(), MASS),
            (GradCAM(), TARGETS[2]),
            (LayerCAM(), MASS),
            (EigenCAM(), "top"),
        )
    ]
    asked += [session.request(series, patches, GradCAM(), MASS, box)]
    sizes = counted(patches)
    found = session.explain(series, patches, asked)
    tilings = [patches.tiling(series, place.at, 2) for place in (where, box)]  # type: ignore[arg-type]
    assert sum(map(len, tilings)) == len(found.predictions)
    # Where the gradient says little of what Eigen-CAM shows of a patch, a further forward does.
    assert 0 <= sum(sizes) - len(found.predictions) <= len(tilings[0])
    assert len(found.attributions) == len(asked)
    for one in asked:
        assert len(found.of(one).predictions) == len(tilings[one.place == box])
        assert like(found.of(one), alone(series, patches, one))


def test_what_is_kept_of_a_forward_serves_the_next_request(
    series: Series, model: Model, counted: Callable[[Model], list[int]]
) -> None:
    kept, sizes = ForwardCache(), counted(model)
    for target in TARGETS:
        one = session.request(series, model, GradCAM(), target, Place(1))
        session.explain(series, model, [one], kept=kept)
    assert sizes == [1]


def test_a_map_lies_on_the_slice_and_the_patch_that_were_asked_for(series: Series, patches: Model) -> None:
    """A place off by one, of a slice or of a row, is another picture."""
    places = [Place(s, at) for s in (0, 3) for at in (None, (0.0, 0.0), (19.0, 27.0), (4.0, 6.0))]
    asked = [session.request(series, patches, Saliency(), MASS, place) for place in places]
    found = session.explain(series, patches, asked)
    for one in asked:
        slice, at = one.place.slice, one.place.at
        source = found.of(one).predictions[0].input
        assert source.slice == found.of(one).slice == slice
        wanted = patches.prepare(series, slice, at)  # type: ignore[arg-type]
        assert torch.equal(source.tensor, wanted.tensor)
        assert np.array_equal(source.matrix, wanted.matrix)
    assert len({found.of(one).values.tobytes() for one in asked}) >= len({p.at for p in places})


# --- refusals -------------------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path: Path) -> Series:
    """The same UIDs, other pixels."""
    folder = write_stack(tmp_path / "other")
    path = sorted(folder.iterdir())[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (found,) = dicom.scan([folder]).series
    return found


def test_what_was_asked_of_another_series_is_refused(series: Series, other: Series, model: Model) -> None:
    mine, others = (session.request(s, model, "grad-cam", place=Place(1)) for s in (series, other))
    assert other.uid == series.uid
    assert other.sop_uids == series.sop_uids
    assert session.explain(other, model, [others]).of(others).series is other
    for asked in ([others], [mine, others], [others, mine]):
        with pytest.raises(
            SeriesError, match="This was asked of another series, or of files that have changed"
        ):
            session.explain(series, model, asked)


def test_what_was_asked_of_another_model_is_refused(series: Series, model: Model, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    mine = session.request(series, model, "grad-cam", place=Place(1))
    assert session.load_model(folder).digest == model.digest
    assert session.explain(series, session.load_model(folder), [mine]).of(mine).values.size
    change_card(folder, calibration={"temperature": 2})
    edited = session.load_model(folder)
    assert edited.sha256 == model.sha256
    with pytest.raises(
        ModelError, match="This was asked of another model than Block CNN, or of another card"
    ):
        session.explain(series, edited, [mine])


def test_a_request_that_this_model_cannot_be_asked_is_refused(
    series: Series, model: Model, tmp_path: Path
) -> None:
    plain = session.request(series, model, "grad-cam", MASS, Place(1))
    volumes = session.load_model(write_model(tmp_path, 3))
    for asked_of, wrong, told in (
        (model, replace(plain, place=Place()), "reads slices, and this was asked of a volume"),
        (model, replace(plain, place=Place(4)), "There is no slice 4; the series has slices 0 to 3"),
        (model, replace(plain, place=Place(1, (2, 2))), "for networks that read a patch"),
        (model, replace(plain, target=Target("mass", 2)), "The label 'mass' is not the output 2"),
        (model, replace(plain, target=Target("mass", 1, "nodule", 0)), "'nodule' is not the output 0"),
        (model, replace(plain, target=Target("stranger", 1)), "The label 'stranger' is not the output 1"),
        (volumes, replace(plain, model=volumes.digest), "reads volumes, and this was asked of a slice"),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=told):
            session.explain(series, asked_of, [wrong])


def test_a_baseline_that_has_changed_since_is_refused(series: Series, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "mean.npy"
    absent = session.request(series, model, Occlusion(8, baseline=str(path)), MASS)
    np.save(path, np.zeros(model.input_shape, np.float32))
    asked = session.request(series, model, Occlusion(8, baseline=str(path)), MASS)
    before = session.explain(series, model, [asked]).of(asked)
    np.save(path, np.full(model.input_shape, 0.5, np.float32))
    for stale in (asked, absent):
        with pytest.raises(
            ExplainerError, match="The baseline of Occlusion has changed since this was asked"
        ):
            session.explain(series, model, [stale])
    again = session.request(series, model, Occlusion(8, baseline=str(path)), MASS)
    assert not np.array_equal(session.explain(series, model, [again]).of(again).values, before.values)


def test_a_method_that_cannot_explain_tells_why_and_takes_nothing_from_others(
    series: Series, model: Model, tmp_path: Path
) -> None:
    fine = session.request(series, model, "grad-cam", MASS)
    unsuitable = session.request(series, model, "attention", MASS)
    lost = session.request(series, model, "grad-cam", MASS, layer="nowhere")
    absent = session.request(series, model, Occlusion(baseline=str(tmp_path / "absent.npy")), MASS)
    found = session.explain(series, model, [unsuitable, lost, fine, absent])
    assert like(found.of(fine), alone(series, model, fine))
    assert [name for name, _ in found.refused] == ["attention", "grad-cam", "occlusion"]
    for one, told in (
        (unsuitable, "attention"),
        (lost, "'nowhere' is not in this network"),
        (absent, "absent"),
    ):
        with pytest.raises(ExplainerError, match=told):
            found.of(one)
    with pytest.raises(ExplainerError, match="This was not asked"):
        found.of(session.request(series, model, "grad-cam", TARGETS[0]))


class Wild(Explainer):
    """A stranger's method that wrecks the network, and says nothing of labels."""

    name: ClassVar[str] = "grad-cam"
    title: ClassVar[str] = "Wild"
    family: ClassVar[Any] = "CAM"
    paper: ClassVar[str] = "none"
    shows: ClassVar[str] = "nothing"
    cost: ClassVar[Cost] = Cost("1")

    def compute(self, probe: Probe) -> Tensor:
        with torch.no_grad():
            for parameter in probe.model._module.parameters():
                parameter.zero_()
        return torch.zeros(len(probe.targets), len(probe.inputs), *probe.x.shape[2:])


def test_a_stranger_under_a_name_of_ours_spoils_no_other_request(series: Series, model: Model) -> None:
    asked = [session.request(series, model, method, MASS, Place(2)) for method in (Wild(), GradCAM())]
    found = session.explain(series, model, asked)
    assert not found.of(asked[0]).values.any()
    assert like(found.of(asked[1]), alone(series, model, asked[1]))


def test_nothing_asked_is_nothing_answered(series: Series, model: Model) -> None:
    found = session.explain(series, model, [])
    assert (found.predictions, found.attributions, found.answers) == ((), (), {})


# --- intended use ---------------------------------------------------------------------------------


@pytest.fixture
def not_for_ct(tmp_path: Path) -> Model:
    return session.load_model(write_model(tmp_path / "mr", accepts={"modality": ["MR"]}))


def test_an_override_is_for_one_study_and_one_model(
    series: Series, other: Series, not_for_ct: Model, tmp_path: Path
) -> None:
    """Not for the next study, though its place in the list and its UIDs are those of the one before."""
    said = {session.override(series, not_for_ct)}
    reason = session.gate(series, not_for_ct, said)
    assert reason is not None
    assert "was made for modality MR" in reason
    for study, model in ((other, not_for_ct), (series, relabelled(tmp_path))):
        with pytest.raises(ModelError, match="Repeat with --outside-intended-use"):
            session.gate(study, model, said)
    for outside in (False, (), frozenset[Override]()):
        with pytest.raises(ModelError, match="Repeat with --outside-intended-use"):
            session.gate(series, not_for_ct, outside)
    assert session.gate(other, not_for_ct, True) == reason


def relabelled(folder: Path) -> Model:
    """The same weights under a card that was edited since."""
    path = write_model(folder / "edited", accepts={"modality": ["MR"]}, intended_use="Knees.")
    return session.load_model(path)


def test_no_map_is_made_past_the_gate(series: Series, other: Series, not_for_ct: Model) -> None:
    said = [session.override(series, not_for_ct)]
    ways: Sequence[Callable[[Series, Any], Any]] = (
        lambda study, outside: session.explain(
            study,
            not_for_ct,
            [session.request(study, not_for_ct, "grad-cam")],
            outside_intended_use=outside,
        ),
        lambda study, outside: session.ask(study, not_for_ct, ["grad-cam"], outside_intended_use=outside),
        lambda study, outside: session.predict(study, not_for_ct, outside_intended_use=outside),
    )
    for way in ways:
        found = way(series, said)
        predictions = found if isinstance(found, tuple) else found.predictions
        assert [p.override for p in predictions] == [session.gate(series, not_for_ct, said)]
        for study, outside in ((other, said), (series, False)):
            with pytest.raises(ModelError, match="Repeat with --outside-intended-use"):
                way(study, outside)


# --- in words -------------------------------------------------------------------------------------


def test_words_and_requests_give_the_same_maps_in_the_same_order(series: Series, model: Model) -> None:
    words: dict[str, Any] = {"target": "all", "slice": "all", "settings": {"grad-cam.layer": "blocks.0"}}
    asked = session.requests(series, model, ["saliency", "grad-cam"], **words)
    found = api.explain(series, model, ["saliency", "grad-cam"], **words)
    order = [(a.explainer.name, a.target and a.target.label, a.slice) for a in found.attributions]
    assert order == [
        (name, label, i) for name in ("saliency", "grad-cam") for label in LABELS for i in range(4)
    ]
    again = session.explain(series, model, asked)
    assert set(found.answers) == set(asked)
    for one in asked:
        assert like(again.of(one), found.of(one))


def test_without_a_method_there_are_predictions(series: Series, model: Model) -> None:
    found = api.explain(series, model, [], slice="all")
    assert [p.input.slice for p in found.predictions] == [0, 1, 2, 3]
    assert found.attributions == ()
