# SPDX-License-Identifier: Apache-2.0
"""Regions by name: boxes, segments of the study, SEG files; and maps that are limited to one."""

import json
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
from oblique import COLUMNS, ROWS, SLICES, stack
from program import Whyscope, arrays_of, is_sentence, write_model
from pydicom.sr.codedict import codes

from viewer import dicom
from viewer.errors import ExplainerError, SeriesError, WhyscopeError
from viewer.explain import read_region
from viewer.types import Region, Series


@dataclass(frozen=True)
class Drawn:
    """A study with a SEG of two segments, and the same SEG in a folder of its own."""

    folder: Path
    file: Path
    series: Series
    segmentations: tuple[dicom.Segmentation, ...]
    masks: tuple[np.ndarray, np.ndarray]

    def read(self, text: str, slices: range = range(SLICES)) -> Region:
        return read_region(text, self.series, slices, self.segmentations)

    def marked(self, text: str, slices: range = range(SLICES)) -> np.ndarray:
        region = self.read(text, slices)
        return np.asarray(region.on(np.eye(4), self.series.shape))


def segment(number: int, name: str) -> SegmentDescription:
    kind = hd.seg.SegmentAlgorithmTypeValues.MANUAL
    return SegmentDescription(number, name, codes.SCT.Tissue, codes.SCT.Organ, kind)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    folder, away = tmp_path_factory.mktemp("study"), tmp_path_factory.mktemp("away")
    sources = stack(folder)
    pixels = np.zeros((SLICES, ROWS, COLUMNS, 2), np.uint8)
    pixels[2:4, 3:6, 7:9, 0] = 1
    pixels[3:5, 1:3, 1:6, 1] = 1
    described = [segment(1, "tumour"), segment(2, "kidney: left")]
    kind = SegmentationTypeValues.BINARY
    made = Segmentation(
        sources, pixels, kind, described, hd.UID(), 9, hd.UID(), 1, "maker", "model", "1", "1"
    )
    for place in (folder, away):
        made.save_as(place / "seg.dcm")
    study = dicom.scan([folder])
    return Drawn(
        folder,
        away / "seg.dcm",
        study.series[0],
        study.segmentations,
        (pixels[..., 0] > 0, pixels[..., 1] > 0),
    )


def test_a_box_is_on_the_slices_that_are_explained(drawn: Drawn) -> None:
    for slices in (range(3, 4), range(SLICES)):
        wanted = np.zeros(drawn.series.shape, bool)
        wanted[slices.start : slices.stop, 2:5, 1:12] = True
        assert np.array_equal(drawn.marked("2,1,4,11", slices), wanted)
    wanted = np.zeros(drawn.series.shape, bool)
    wanted[1:3, 2:5, 1:12] = True
    assert np.array_equal(drawn.marked("1, 2,1, 2,4,11"), wanted)


def test_a_segment_of_the_study_and_a_file_are_regions(drawn: Drawn) -> None:
    tumour, kidney = drawn.masks
    assert np.array_equal(drawn.marked("tumour"), tumour)
    assert np.array_equal(drawn.marked("kidney: left"), kidney)
    assert np.array_equal(drawn.marked(str(drawn.file)), tumour | kidney)
    assert np.array_equal(drawn.marked(f"{drawn.file}:tumour"), tumour)
    assert drawn.read(str(drawn.file)).name == "tumour + kidney: left"
    assert drawn.read("tumour").origin == "seg"


def test_a_region_that_is_none_is_told(drawn: Drawn) -> None:
    for text, told in (
        ("1,2,3", "is not a box"),
        ("2,1,4,12", "does not lie in the image of 10 × 12"),
        ("4,2,1,6,4,11", "does not lie in the volume of 6 × 10 × 12"),
        ("liver", r"or name a SEG file or a segment of this study \(tumour, kidney: left\)\."),
        (f"{drawn.file}:liver", "has no segment 'liver'; it has: tumour, kidney: left."),
        (f"{drawn.folder / '0.dcm'}", "is no segmentation"),
    ):
        with pytest.raises((ExplainerError, SeriesError), match=told) as error:
            drawn.read(text)
        assert isinstance(error.value, WhyscopeError)
    twice = (*drawn.segmentations, *drawn.segmentations)
    with pytest.raises(ExplainerError, match="There are 2 segmentations with a segment 'tumour'"):
        read_region("tumour", drawn.series, range(1), twice)


def test_a_segmentation_of_other_images_is_told(drawn: Drawn, tmp_path: Path) -> None:
    stack(tmp_path, FrameOfReferenceUID="1.2.3.99", SeriesInstanceUID="1.2.3.98", StudyInstanceUID="1.2.3.97")
    for file in tmp_path.glob("*.dcm"):
        dataset = pydicom.dcmread(file)
        dataset.SOPInstanceUID += ".7"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(file)
    (other,) = dicom.scan([tmp_path]).series
    with pytest.raises(ExplainerError, match=r"seg\.dcm was not drawn on this series"):
        read_region(str(drawn.file), other, range(1))


METHODS = "occlusion,rise,feature-ablation,kernel-shap,grad-cam"
QUICK = ("--set", "window=2,masks=20,features=6,samples=20,baseline=zero")


@pytest.mark.parametrize("region", ["tumour", "file", "3,7,5,8"])
def test_maps_are_limited_to_a_region_and_say_so(
    drawn: Drawn, region: str, tmp_path: Path, whyscope: Whyscope
) -> None:
    model = write_model(
        tmp_path / "model",
        input={"size": [ROWS, COLUMNS], "values": {"range": [0, 1]}, "clip": [0, 10]},
        accepts={},
    )
    words = (
        "explain", drawn.folder, "--model", model, "--slice", 3, "--method", METHODS, *QUICK, "--json",
        "--format", "npz,json,png", "--out", tmp_path / "out",
    )  # fmt: skip
    document = whyscope(*words, "--within", drawn.file if region == "file" else region).document
    inside = drawn.masks[0][3] | (drawn.masks[1][3] if region == "file" else False)
    *perturbed, cam = document["attributions"]
    assert cam["method"] == "grad-cam"
    assert cam["within"] is None  # it does not change the image
    for entry in perturbed:
        name = {"file": "tumour + kidney: left", "3,7,5,8": "box 3,7,5,8"}.get(region, region)
        assert entry["within"]["name"] == name
        arrays = arrays_of(tmp_path / "out" / entry["files"]["npz"])
        native = arrays["native"][0]
        assert not native[~inside].any()
        stored = json.loads(str(arrays["provenance"]))
        assert stored["within"]["name"] == name
        assert native[inside].any()


OVER = ("--set", "over=segments", "--set", "baseline=zero")


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ((), ["tumour", "kidney: left", "the rest"]),
        (("file",), ["tumour", "kidney: left", "the rest"]),
        (("file:kidney: left", "3,7,5,8"), ["kidney: left", "box 3,7,5,8", "the rest"]),
        (("tumour", "4,8,9,9"), ["tumour", "tumour & box 4,8,9,9", "box 4,8,9,9", "the rest"]),
    ],
)
def test_segments_are_features_with_names_and_values(
    drawn: Drawn, named: tuple[str, ...], expected: list[str], tmp_path: Path, whyscope: Whyscope
) -> None:
    model = write_model(
        tmp_path / "model",
        input={"size": [ROWS, COLUMNS], "values": {"range": [0, 1]}, "clip": [0, 10]},
        accepts={},
    )
    options = [word for text in named for word in ("--features", text.replace("file", str(drawn.file)))]
    document = whyscope(
        "explain", drawn.folder, "--model", model, "--slice", 3, "--method", "kernel-shap,feature-ablation",
        *OVER, *options, "--json", "--out", tmp_path / "out",
    ).document  # fmt: skip
    for entry in document["attributions"]:
        assert list(entry["features"]) == expected
        assert {region["name"] for region in entry["regions"]} == {
            name for name in expected if name != "the rest" and "&" not in name
        }
        arrays = arrays_of(tmp_path / "out" / entry["files"]["npz"])
        stored = json.loads(str(arrays["provenance"]))
        assert (stored["features"], stored["regions"]) == (entry["features"], entry["regions"])
        first = drawn.marked("tumour" if expected[0] == "tumour" else "kidney: left")[3]
        if "&" not in "".join(expected):
            assert np.unique(arrays["native"][0][first]) == pytest.approx([entry["features"][expected[0]]])


def test_features_that_no_method_takes_or_that_are_not_there_are_told(
    drawn: Drawn, tmp_path: Path, whyscope: Whyscope
) -> None:
    model = write_model(tmp_path / "model", input={"size": [ROWS, COLUMNS]}, accepts={})
    alone = tmp_path / "alone"
    alone.mkdir()
    stack(alone)
    for folder, words, told in (
        (drawn.folder, ("--features", "tumour"), "add --set over=segments"),
        (drawn.folder, ("--features", "liver", *OVER), "a segment of this study (tumour, kidney: left)"),
        (alone, OVER, "No segmentation lies on this series"),
    ):
        done = whyscope(
            "explain", folder, "--model", model, "--slice", 3, "--method", "kernel-shap", *words,
            "--out", tmp_path / "out",
        )  # fmt: skip
        assert done.status == 1
        assert is_sentence(done.err)
        assert told in done.err
    assert not (tmp_path / "out").exists()


def test_of_all_slices_those_are_explained_on_which_the_region_lies(
    drawn: Drawn, tmp_path: Path, whyscope: Whyscope
) -> None:
    model = write_model(tmp_path / "model", input={"size": [ROWS, COLUMNS]}, accepts={})
    words = (
        "explain", drawn.folder, "--model", model, "--slice", "all", "--method", "feature-ablation", "--json",
        "--format", "json", "--out", tmp_path / "out", "--set", "features=4",
    )  # fmt: skip
    found = whyscope(*words, "--within", "tumour").document["attributions"]
    assert [entry["slice"] for entry in found] == [2, 3]
    found = whyscope(*words, "--within", "3,7,5,8").document["attributions"]
    assert [entry["slice"] for entry in found] == list(range(SLICES))


def test_a_target_takes_the_same_regions(drawn: Drawn, tmp_path: Path, whyscope: Whyscope) -> None:
    """A classifier has no place to ask about, and says so only after the region was found."""
    model = write_model(tmp_path / "model", input={"size": [ROWS, COLUMNS]}, accepts={})
    words = ("explain", drawn.folder, "--model", model, "--slice", 3, "--method", "saliency",
             "--out", tmp_path / "out")  # fmt: skip
    for region in ("tumour", f"{drawn.file}:kidney: left", str(drawn.file)):
        done = whyscope(*words, "--target", f"mass@{region}")
        assert done.status == 1
        assert "needs a network with an output per pixel" in done.err
    done = whyscope(*words, "--target", "mass@liver")
    assert done.status == 1
    assert is_sentence(done.err)
    assert "a segment of this study (tumour, kidney: left)" in done.err
