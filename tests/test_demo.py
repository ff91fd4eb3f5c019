# SPDX-License-Identifier: Apache-2.0
"""The demo's files open, say what they are, and are told rightly by the demo's networks."""

import json
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import yaml
from PIL import Image
from program import Whyscope

from viewer import affine, demo, dicom, session
from viewer.types import Series

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts" / "demo"))

import studies  # noqa: E402


def series_of(folder: int, modality: str) -> Series:
    found = dicom.scan([demo.studies()[folder]]).series
    return next(series for series in found if series.modality == modality)


def truth(name: str, series: Series) -> np.ndarray:
    """A shipped mask as (slice, row, column) of the series that it belongs to."""
    seg = hd.seg.segread(demo.studies()[0] / f"truth-{name}.dcm")
    mask = seg.get_pixels_by_source_instance(list(series.sop_uids), assert_missing_frames_are_empty=True)
    return mask[..., 0] > 0


# --- what is shipped ------------------------------------------------------------------------------


def test_the_demo_is_small() -> None:
    files = [path for path in demo.folder().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25e6
    assert sum(path.stat().st_size for path in files if path.suffix == ".safetensors") < 6e6


@pytest.mark.parametrize("folder", [0, 1])
def test_the_studies_open_without_a_warning(folder: int) -> None:
    study = dicom.scan([demo.studies()[folder]])
    assert [series.modality for series in study.series] == ["DX", "CT"]
    assert len(study.other) == (2 if folder == 0 else 0)  # the truth
    assert not study.refused
    for series in study.series:
        assert series.body_part == "CHEST"
        assert not series.warnings
        assert "Sample^" in series.identity.patient
    x_ray, ct = study.series
    assert x_ray.view == "PA"
    assert x_ray.display.inverted is (folder == 1)
    assert x_ray.geometry.letters() == ("R", "L", "H", "F")
    assert x_ray.geometry.spacing == (None, 1.0, 1.0)
    assert dicom.presented(x_ray, 0)[100:200, 150:234].mean() > 0.6  # the middle is dense, and bright
    assert ct.shape == (60, 181, 256)
    assert ct.geometry.spacing == pytest.approx((5.0, 1.5, 1.5))
    assert ct.geometry.letters() == ("R", "L", "A", "P")
    assert [window.center for window in ct.display.windows] == [-600, 40]
    middle = dicom.modality_values(ct, 30)
    assert middle[:10].mean() == pytest.approx(-1000, abs=30)
    assert middle.min() >= -1024


def test_the_truth_lies_where_the_nodule_is() -> None:
    lesion = studies.PEOPLE[0].lesion
    assert lesion is not None
    ct = series_of(0, "CT")
    mask = truth("ct", ct)
    voxels = np.stack([dicom.modality_values(ct, i) for i in range(ct.shape[0])])
    assert voxels[mask].mean() == pytest.approx(lesion.density, abs=150)
    middle = affine.apply(ct.geometry.matrix, np.argwhere(mask).mean(0))
    assert middle == pytest.approx(lesion.centre, abs=2)
    volume = mask.sum() * 5 * 1.5 * 1.5
    assert volume == pytest.approx(4 / 3 * np.pi * lesion.radius**3, rel=0.25)

    x_ray = series_of(0, "DX")
    shadow = truth("radiograph", x_ray)[0]
    row, column = np.argwhere(shadow).mean(0)
    assert (column - 191.5, 149.5 - row) == pytest.approx((lesion.centre[0], lesion.centre[2]), abs=2)


def test_the_real_radiographs_name_their_source() -> None:
    text = (demo.folder() / "ATTRIBUTION.md").read_text("utf-8")
    assert "Wang" in text
    assert "nihcc.app.box.com" in text
    pictures = sorted((demo.folder() / "studies" / "3-real").glob("*.png"))
    assert pictures
    assert all(path.name in text for path in pictures)


@pytest.mark.parametrize(("name", "modality"), [("cnn", "DX"), ("vit", "DX"), ("cnn3d", "CT")])
def test_the_networks_tell_the_studies_apart(name: str, modality: str) -> None:
    model = session.load_model(demo.models()[name])
    assert session.predict(series_of(0, modality), model)[0].top.positive
    assert not session.predict(series_of(1, modality), model)[0].top.positive
    other = series_of(0, "CT" if modality == "DX" else "DX")
    assert model.accepts(other)
    card = yaml.safe_load((demo.models()[name] / "model.yaml").read_text("utf-8"))
    assert card["measured"]["auc"] >= 0.95
    assert "short" not in card["measured"]
    assert "never seen a patient" in card["intended_use"]


def test_a_real_radiograph_lies_outside_what_the_networks_are_for() -> None:
    (picture, *_) = dicom.scan([demo.studies()[2]]).series
    assert session.load_model(demo.models()["cnn"]).accepts(picture)


# --- how it is made -------------------------------------------------------------------------------


def test_making_the_files_again_gives_the_same_files(tmp_path: Path) -> None:
    person = studies.Person(4, 17, "Sample^Test", "O", "19700101", True)
    once, again = (studies.write_person(tmp_path / name, person, 6.0, 6.0) for name in ("once", "again"))
    files = sorted(path.relative_to(once) for path in once.rglob("*.dcm"))
    assert len(files) == 63
    assert all((once / path).read_bytes() == (again / path).read_bytes() for path in files)
    (x_ray, ct) = dicom.scan([once]).series
    assert (x_ray.shape, ct.shape) == ((1, 50, 64), (60, 45, 64))


# --- the command ----------------------------------------------------------------------------------


def test_the_demo_explains_the_radiograph(demo_folder: Path) -> None:
    document = json.loads((demo_folder / "explained" / "result.json").read_text("utf-8"))
    methods = [entry["method"] for entry in document["attributions"]]
    assert methods == ["grad-cam", "hires-cam", "integrated-gradients", "occlusion"]
    assert not document["skipped"]
    assert document["override"] is None
    for entry in document["attributions"]:
        with Image.open(demo_folder / "explained" / entry["files"]["png"]) as picture:
            assert min(picture.size) > 500
    (label,) = document["predictions"][0]["labels"]
    assert label["probability"] > 0.5


def test_the_demo_command_prints_where_the_pictures_are(
    tmp_path: Path, demo_folder: Path, whyscope: Whyscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = sorted((demo_folder / "explained").glob("*.png"))
    monkeypatch.setattr(demo, "run", lambda out, task: pictures)
    done = whyscope("demo", "--out", tmp_path)
    assert done.status == 0
    assert [Path(line) for line in done.out.splitlines()[1:]] == pictures
    assert "pictures are" in done.out


@pytest.mark.parametrize(
    ("name", "modality", "method"),
    [
        ("cnn", "DX", "grad-cam"),
        ("cnn", "DX", "hires-cam"),
        ("cnn", "DX", "occlusion"),
        ("cnn3d", "CT", "grad-cam"),
        ("cnn3d", "CT", "hires-cam"),
        ("vit", "DX", "attention-relevance"),
        ("vit", "DX", "legrad"),
        ("vit", "DX", "occlusion"),
    ],
)
def test_the_map_peaks_at_the_nodule(name: str, modality: str, method: str) -> None:
    from measure import hit

    series = series_of(0, modality)
    explained = session.ask(series, session.load_model(demo.models()[name]), [method])
    assert hit(explained.attributions[0], truth("ct" if modality == "CT" else "radiograph", series))
