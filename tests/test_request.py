# SPDX-License-Identifier: Apache-2.0
"""Requests: two that mean the same are equal, and nothing that changes a map leaves them so."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program import LABELS, change_card, write_model, write_stack

from plugins.eigen_cam import EigenCAM
from plugins.grad_cam import GradCAM
from plugins.integrated_gradients import IntegratedGradients
from plugins.kernel_shap import KernelSHAP
from plugins.occlusion import Occlusion
from viewer import dicom, session
from viewer.errors import ExplainerError, ModelError, SeriesError
from viewer.explain import Explainer, discover, suggest
from viewer.models import Model
from viewer.types import Place, Region, Request, Series, Sweep, Target
from viewer.types.digest import canonical, digest

MASS, NODULE = Target("mass", 1), Target("nodule", 2)


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


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model that reads patches of volumes."""
    facts = {"dimensions": 3, "size": [4, 8, 8], "fit": "patch", "values": {"window": [0, 2000]}}
    return session.load_model(write_model(tmp_path_factory.mktemp("volumes"), 3, input=facts))


def same(one: Request, other: Request) -> bool:
    """Whether two requests are one, which equality, hash and key say together."""
    equal = one == other
    assert (one.key == other.key) == equal
    assert not equal or hash(one) == hash(other)
    assert len({one, other}) == 2 - equal
    return equal


def box(series: Series, corners: tuple[int, int, int, int] = (4, 6, 8, 12), name: str = "block") -> Region:
    return Region.box(series, 2, corners, name)


# --- what means the same --------------------------------------------------------------------------


@pytest.mark.parametrize("name", [found.name for found in discover()])
def test_defaults_may_be_left_out_or_written_down_in_any_way(name: str, series: Series, model: Model) -> None:
    (cls,) = (found.load() for found in discover() if found.name == name)
    plain = session.request(series, model, name)
    defaults = {k: v for k, v in cls().settings().items() if k != "layer"}
    assert same(session.request(series, model, name, settings={}), plain)
    assert same(session.request(series, model, cls()), plain)
    assert same(session.request(series, model, name, settings=defaults), plain)
    texts = {k: str(v) for k, v in defaults.items()}
    assert same(session.request(series, model, name, settings=texts), plain)
    floats = {k: float(v) if type(v) is int else v for k, v in defaults.items()}
    assert same(session.request(series, model, name, settings=floats), plain)


def test_a_setting_is_the_same_as_text_and_as_any_number(series: Series, model: Model) -> None:
    def of(value: Any) -> Request:
        return session.request(series, model, "integrated-gradients", settings={"steps": value})

    assert same(of(50), of("50"))
    assert same(of(50), of(50.0))
    assert same(of("50.0"), of(50))
    assert same(of(0), session.request(series, model, "integrated-gradients"))
    assert not same(of(50), of(51))
    error = [
        session.request(series, model, "integrated-gradients", settings={"error": value})
        for value in (1, 1.0, "1", "1.0", "1e0")
    ]
    assert all(same(one, session.request(series, model, "integrated-gradients")) for one in error)


def test_the_suggested_layer_is_the_same_by_name(series: Series, model: Model) -> None:
    first, *others = suggest(model)
    plain = session.request(series, model, "grad-cam")
    assert plain.layer == first
    assert same(session.request(series, model, "grad-cam", layer=first), plain)
    assert same(session.request(series, model, GradCAM(first)), plain)
    assert not same(session.request(series, model, "grad-cam", layer=others[0]), plain)
    unknown = session.request(series, model, "grad-cam", layer="nowhere")
    assert (unknown.layer, same(unknown, plain)) == ("nowhere", False)
    assert session.request(series, model, "saliency").layer is None


def test_a_method_that_is_the_same_for_every_label_has_one_request(series: Series, model: Model) -> None:
    assert same(session.request(series, model, EigenCAM(), MASS), session.request(series, model, "eigen-cam"))
    assert session.request(series, model, "eigen-cam", "mass").target is None
    assert not same(
        session.request(series, model, "grad-cam", MASS), session.request(series, model, "grad-cam")
    )


def test_the_middle_is_a_place_that_needs_no_words(series: Series, patches: Model, volumes: Model) -> None:
    plain = session.place(series, patches)
    assert plain == Place(2)
    assert session.place(series, patches, 2) == session.place(series, patches, 2, (9.5, 13.5)) == plain
    assert session.place(series, patches, None, (2, 9.5, 13.5)) == plain
    assert session.place(series, patches, 2, (9.5, 13)) == Place(2, (9.5, 13.0))
    assert session.place(series, volumes) == session.place(series, volumes, None, (1.5, 9.5, 13.5)) == Place()


def test_features_count_for_methods_over_segments_alone(series: Series, model: Model) -> None:
    one, two = box(series), box(series, (1, 1, 3, 3))
    over = KernelSHAP(over="segments")
    assert same(
        session.request(series, model, KernelSHAP(), features=[one]),
        session.request(series, model, KernelSHAP()),
    )
    orders = [session.request(series, model, over, features=f) for f in ([one, two], [two, one], [one])]
    assert len(set(orders)) == 3
    assert same(session.request(series, model, over, features=(box(series), two)), orders[0])


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "window": st.integers(0, 40),
            "stride": st.integers(0, 40),
            "coarse_to_fine": st.booleans(),
            "baseline": st.sampled_from(["minimum", "zero", "mean", "blur"]),
        },
    ),
    st.fixed_dictionaries({}, optional={"window": st.integers(0, 2), "coarse_to_fine": st.booleans()}),
    st.sampled_from([lambda v: v, str, lambda v: float(v) if type(v) is int else v]),
)
def test_requests_are_equal_only_where_the_methods_do_the_same(
    series: Series, model: Model, one: dict[str, Any], other: dict[str, Any], written: Any
) -> None:
    first = session.request(series, model, "occlusion", settings={k: written(v) for k, v in one.items()})
    assert same(first, session.request(series, model, Occlusion(**one)))
    second = session.request(series, model, "occlusion", settings=other)
    assert same(first, second) == (Occlusion(**one) == Occlusion(**other))


# --- what does not --------------------------------------------------------------------------------


def test_everything_that_is_asked_counts(series: Series, model: Model, patches: Model) -> None:
    region, whole = box(series), Occlusion()
    plain = session.request(series, model, whole, MASS, Place(2))
    others = [
        replace(plain, series=digest("another")),
        replace(plain, model=patches.digest),
        replace(plain, place=Place(1)),
        replace(plain, place=Place(2, (9.5, 13.0))),
        replace(plain, place=Place(2, Sweep())),
        replace(plain, place=Place(2, Sweep(overlap=0.25))),
        replace(plain, place=Place(2, Sweep(((0, 0), (9, 9))))),
        replace(plain, explainer=Occlusion(window=2)),
        replace(plain, explainer=IntegratedGradients()),
        replace(plain, target=NODULE),
        replace(plain, target="top"),
        replace(plain, target=Target("mass", 1, "nodule", 2)),
        replace(plain, target=Target("nodule", 2, "mass", 1)),
        replace(plain, target=Target("mass", 1, region=region)),
        replace(plain, target=Target("top", 1)),  # a label of that name
        replace(plain, layer="features"),
        replace(plain, within=region),
        replace(plain, features=(region,)),
        replace(plain, contents=(("baseline", digest("a file")),)),
    ]
    assert len({plain, *others}) == 1 + len(others)
    assert len({one.key for one in (plain, *others)}) == 1 + len(others)
    assert plain != plain.key


def test_two_methods_of_one_name_are_never_one_request(series: Series, model: Model) -> None:
    class Mine(Occlusion):
        """A stranger's method under a name of ours."""

    assert session.request(series, model, Mine()) != session.request(series, model, Occlusion())


STRANGER = """
from plugins.occlusion import Occlusion
class Mine(Occlusion):
    factor = {factor}
"""


def test_two_plugins_of_one_name_have_keys_of_their_own(
    series: Series, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where both write to one store: from two packages, and from one before and after it was edited."""

    def key(module: str, factor: int) -> str:
        path = tmp_path / f"{module}.py"
        path.write_text(STRANGER.format(factor=factor), "utf-8")
        spec = importlib.util.spec_from_file_location(module, path)
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module, loaded)
        spec.loader.exec_module(loaded)
        assert (loaded.Mine.name, loaded.Mine.factor) == ("occlusion", factor)
        return session.request(series, model, loaded.Mine()).key

    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # else the second of one second would be the first
    ours = session.request(series, model, Occlusion()).key
    keys = [ours, key("one_stranger", 1), key("another_stranger", 1), key("one_stranger", 2)]
    assert len(set(keys)) == 4
    assert key("one_stranger", 1) == keys[1]


def test_a_request_is_written_down_without_a_path(series: Series, model: Model, tmp_path: Path) -> None:
    region = box(series)
    path = tmp_path / "Zoidberg^Wilhelmina.npy"
    np.save(path, np.zeros(model.input_shape, np.float32))
    program = Path(__file__).parents[1] / "plugins" / "occlusion.py"
    one = session.request(series, model, Occlusion(baseline=str(path)), MASS, within=region)
    assert one.document() == {
        "series": series.digest,
        "model": model.digest,
        "place": {"slice": 2, "at": None},
        "method": "occlusion",
        "program": ["plugins.occlusion.Occlusion", digest(program.read_text("utf-8"))],
        "settings": {
            "window": 0, "stride": 0, "baseline": one.contents[0][1], "coarse_to_fine": False, "budget": 0,
            "batch": 0,
        },
        "target": {"label": "mass", "minus": None, "region": None},
        "layer": None,
        "within": region.digest,
        "features": [],
    }  # fmt: skip
    assert one.key == digest(one.document())
    assert "Zoidberg" not in f"{one.document()}{one.key}"


KEY = """
from viewer.types import Place, Request, Sweep, Target
class Method:
    name, title, paper, signed, target_dependent = "occlusion", "", "", True, True
    def settings(self):
        return {"b": 1.0, "a": {"y", }, "layer": None, "c": (2, True)}
request = Request("s", "m", Place(1, Sweep(((0, 1), (2.5, 3)))), Method(), Target("mass", 1))
print(request.key)
"""


def test_a_key_is_the_same_in_every_process() -> None:
    def key(seed: int) -> str:
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(__file__).parents[1])}
        words = [sys.executable, "-c", KEY]
        return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout

    assert key(1) == key(2)
    assert len(key(1).strip()) == 32


# --- contents: regions, baselines, cards ------------------------------------------------------------


def test_an_edited_region_is_another_and_its_grid_does_not_count(series: Series, model: Model) -> None:
    mask = np.zeros(series.shape, bool)
    mask[2, 4:9, 6:13] = True
    region = Region(mask, np.eye(4), series, "block", "seg", source="a file")
    plain = session.request(series, model, "occlusion", within=region)
    assert same(session.request(series, model, "occlusion", within=region.trimmed()), plain)
    assert same(session.request(series, model, "occlusion", within=box(series)), plain)
    moved = replace(region, source="another file", colour=(1, 2, 3))
    assert same(session.request(series, model, "occlusion", within=moved), plain)
    edited = mask.copy()
    edited[2, 8, 12] = False
    numbers = mask.astype(np.uint8) * 7  # a mask is what is above zero
    assert same(session.request(series, model, "occlusion", within=replace(region, mask=numbers)), plain)
    shifted = np.eye(4)
    shifted[2, 3] = 1
    others = [
        replace(region, mask=edited),
        replace(region, matrix=shifted),
        replace(region, matrix=np.diag([1, 1, 0.5, 1])),
        replace(region, name="other"),
        replace(region, mask=np.zeros_like(mask)),
    ]
    found = {session.request(series, model, "occlusion", within=one) for one in others}
    assert len(found | {plain}) == 1 + len(others)
    inside = [
        session.request(series, model, "occlusion", Target("mass", 1, region=r)) for r in (region, others[0])
    ]
    assert not same(*inside)


def test_a_box_is_the_same_however_its_numbers_are_written(series: Series, model: Model) -> None:
    one, two = (
        session.requests(series, model, ["occlusion"], "mass", within=text)[0]
        for text in ("4,6,8,12", " 4, 6, +8,12")
    )
    assert same(one, two)


@given(st.integers(0, 2**24 - 1), st.integers(0, 2**24 - 1))
@settings(max_examples=50)
def test_two_masks_have_one_digest_only_where_they_mark_the_same(one: int, other: int) -> None:
    def digest_of(bits: int) -> str:
        mask = np.array([bits >> i & 1 for i in range(24)], bool).reshape(2, 3, 4)
        return Region(mask, np.eye(4), None, "made", "drawn").digest

    assert (digest_of(one) == digest_of(other)) == (one == other)


def test_a_baseline_is_what_is_in_its_file(series: Series, model: Model, tmp_path: Path) -> None:
    def of(path: Path) -> Request:
        return session.request(series, model, Occlusion(baseline=str(path)))

    first, second = tmp_path / "one.npy", tmp_path / "two.npy"
    np.save(first, np.zeros(model.input_shape, np.float32))
    np.save(second, np.zeros(model.input_shape, np.float32))
    plain = of(first)
    assert same(of(second), plain)
    assert not same(session.request(series, model, Occlusion()), plain)
    np.save(first, np.full(model.input_shape, 1e-3, np.float32))
    assert not same(of(first), plain)
    folder = tmp_path / "images"
    folder.mkdir()
    first.rename(folder / "a.npy")
    whole = of(folder)
    (folder / "a.npy").rename(folder / "b.npy")
    assert same(of(folder), whole)
    np.save(folder / "b.npy", np.zeros(1))
    assert not same(of(folder), whole)
    assert of(tmp_path / "absent.npy").contents == ()
    assert not same(of(tmp_path / "absent.npy"), of(tmp_path / "gone.npy"))


def test_the_baseline_of_a_card_is_what_is_in_its_file(series: Series, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", explain={"baseline": "mean.npy"})
    model = session.load_model(folder)
    np.save(folder / "mean.npy", np.zeros(model.input_shape, np.float32))
    method = Occlusion(baseline="data set")
    plain = session.request(series, model, method)
    np.save(folder / "mean.npy", np.full(model.input_shape, 1e-3, np.float32))
    assert not same(session.request(series, model, method), plain)
    assert session.request(series, model, Occlusion()).contents == ()


def test_contents_that_are_known_need_no_file(series: Series, model: Model, tmp_path: Path) -> None:
    method = Occlusion(baseline=str(tmp_path / "absent.npy"))
    known = session.request(series, model, method, contents=(("baseline", "digest"),))
    assert known.settings["baseline"] == "digest"


def test_an_edited_card_or_study_makes_other_requests(tmp_path: Path) -> None:
    folder, study = write_model(tmp_path / "model"), write_stack(tmp_path / "study")

    def of() -> Request:
        (series,) = dicom.scan([study]).series
        return session.request(series, session.load_model(folder), "grad-cam")

    plain = of()
    assert same(of(), plain)
    change_card(folder, calibration={"temperature": 2})
    edited = of()
    assert edited.series == plain.series
    assert edited.model != plain.model
    study = study.rename(tmp_path / "moved")
    assert same(of(), edited)
    os.utime(sorted(study.iterdir())[0], (1, 1))
    assert of().series != edited.series


# --- places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slice", "at"),
    [
        (-1, None),
        (0, (1.0,)),
        (0, (1.0, 2.0, 3.0)),
        (None, (1.0, 2.0)),
        (0, (-0.5, 2.0)),
        (0, (float("nan"), 2.0)),
        (0, (float("inf"), 2.0)),
        (0, Sweep(((1, 1, 1), (2, 2, 2)))),
        (None, Sweep(((1, 1), (2, 2)))),
        (0, Sweep(((3, 1), (2, 2)))),
        (0, Sweep(((1, 3), (2, 2)))),
        (0, Sweep(((-1, 1), (2, 2)))),
        (0, Sweep(((), ()))),
        (0, Sweep(overlap=1)),
        (0, Sweep(overlap=-0.01)),
        (0, Sweep(overlap=float("nan"))),
    ],
)
def test_what_can_be_no_place_is_refused(slice: int | None, at: Any) -> None:
    with pytest.raises(SeriesError):
        Place(slice, at)


def test_the_ends_of_what_can_be_a_place_are_taken() -> None:
    assert Place(0, (0, 0)).at == (0.0, 0.0)
    assert Place(None, (0, 0, 0)).slice is None
    assert Place(0, Sweep(((2, 2), (2, 2)), 0)) == Place(0, Sweep(((2.0, 2.0), (2.0, 2.0)), 0.0))
    assert Place(0, Sweep(overlap=0.999)).at == Sweep(overlap=0.999)
    with pytest.raises(TypeError):
        Place(1.5)  # type: ignore[arg-type]


Number = st.one_of(st.integers(0, 3), st.sampled_from([0.0, -0.0, 1.0, 1.5, np.float32(2), np.int64(3)]))


@given(st.tuples(Number, Number), st.tuples(Number, Number))
def test_places_are_equal_only_where_their_numbers_are(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    first, second = Place(np.int64(1), one), Place(1, other)  # type: ignore[arg-type]
    assert (first == second) == (one == other)
    assert (canonical(first) == canonical(second)) == (one == other)
    if one == other:
        assert hash(first) == hash(second)


@pytest.mark.parametrize(("slices", "middle"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_the_middle_slice_and_the_ends(
    slices: int, middle: int, patches: Model, model: Model, tmp_path: Path
) -> None:
    (series,) = dicom.scan([write_stack(tmp_path, slices)]).series
    assert session.place(series, model).slice == middle
    assert session.places(series, model, "all") == [Place(i) for i in range(slices)]
    last = slices - 1
    assert [session.place(series, model, i).slice for i in (0, last)] == [0, last]
    assert session.place(series, patches, None, (last, 1, 2)) == Place(last, (1, 2))
    for wrong in (slices, -1):
        with pytest.raises(ModelError, match=f"There is no slice {wrong}; the series has slices 0 to {last}"):
            session.place(series, model, wrong)
        with pytest.raises(ModelError, match=f"There is no slice {wrong}"):
            session.place(series, patches, wrong, Sweep())
        with pytest.raises(ModelError, match=f"There is no slice {wrong}"):
            session.place(series, patches, None, (wrong, 1, 2))


def test_a_patch_lies_within_the_image_to_its_very_ends(
    series: Series, patches: Model, volumes: Model
) -> None:
    rows, columns = series.shape[1:]
    assert (rows, columns) == (20, 28)
    for inside in ((0, 0), (19, 27)):
        assert session.place(series, patches, 1, inside) == Place(1, inside)
        assert session.place(series, volumes, None, (3, *inside)) == Place(None, (3, *inside))
    for at in ((-0.001, 0), (0, -0.001), (19.001, 0), (0, 27.001), (20, 0), (0, 28)):
        with pytest.raises(ModelError, match="lies outside the image"):
            session.place(series, patches, 1, at)
    with pytest.raises(ModelError, match="lies outside the image, which goes from 0 to 3"):
        session.place(series, volumes, None, (3.001, 0, 0))


def test_places_that_the_model_has_not_are_told(
    series: Series, model: Model, volumes: Model, patches: Model
) -> None:
    with pytest.raises(ModelError, match="for networks that read a patch"):
        session.place(series, model, 1, (1, 1))
    with pytest.raises(ModelError, match="for networks that read a patch"):
        session.place(series, model, 1, Sweep())
    with pytest.raises(ModelError, match="reads the whole volume"):
        session.place(series, volumes, 1)
    with pytest.raises(ModelError, match="A place in a volume is SLICE,ROW,COLUMN"):
        session.place(series, volumes, None, (1, 2))
    with pytest.raises(ModelError, match="The box of a sweep of this network is ROW,COLUMN"):
        session.place(series, patches, 1, Sweep(((1, 1, 1), (2, 2, 2))))
    assert session.places(series, volumes, "all") == [Place()]
    assert session.places(series, patches, "all", (1, 3, 4)) == [Place(1, (3, 4))]


def test_a_request_in_words_is_for_one_map(series: Series, model: Model) -> None:
    one = session.request(series, model, "grad-cam", "mass-nodule")
    assert isinstance(one.target, Target)
    assert (one.target.label, one.target.minus) == ("mass", "nodule")
    for words in ({"target": "all"}, {"layer": ",".join(suggest(model)[:2])}):
        with pytest.raises(ExplainerError, match="A request is for one map"):
            session.request(series, model, "grad-cam", **words)  # type: ignore[arg-type]
    every = session.requests(series, model, ["grad-cam", "saliency"], "all", "all")
    assert len(set(every)) == len(every) == 4 * 2 * len(LABELS)
    assert isinstance(every[0].explainer, Explainer)
