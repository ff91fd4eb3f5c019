# SPDX-License-Identifier: Apache-2.0
"""What `whyscope series --json` says of series that are no plain stack: sentences with numbers, and places.

All made synthetic; files are shuffled and renamed before they are read.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import shuffled, write
from program import Whyscope

ROW, DOWN = np.array([0.6, 0.8, 0.0]), np.array([-0.48, 0.36, 0.8])
ACROSS = np.cross(ROW, DOWN)
Places = list[tuple[float, float, float]]


def along(
    steps: list[float], across: np.ndarray = ACROSS, start: tuple[float, ...] = (-30, 12, 55)
) -> Places:
    """Positions at these distances from the start."""
    return [tuple(float(f"{v:.5f}") for v in np.asarray(start) + s * across) for s in steps]  # type: ignore[misc]


def stack(folder: Path, places: Places, each: Callable[[int], dict[str, Any]] = lambda k: {}) -> None:
    """An oblique stack whose slice k lies at the k-th place and holds the value k."""
    for k, place in enumerate(places):
        tags: dict[str, Any] = {
            "InstanceNumber": k + 1,
            "SOPInstanceUID": f"1.2.3.{k + 1}",
            "PixelSpacing": [0.8, 0.5],
        }
        oblique = {"ImageOrientationPatient": [*ROW, *DOWN], "ImagePositionPatient": list(place)}
        write(folder / f"{k}.dcm", np.full((4, 6), k, np.int16), **tags | oblique | each(k))


def told(whyscope: Whyscope, tmp_path: Path) -> list[dict[str, Any]]:
    """The series of what was written, as the command line tells them."""
    said = whyscope("series", shuffled(tmp_path / "made", tmp_path / "names"), "--json")
    assert said.status == 0
    return list(json.loads(said.out)["series"])


EVEN = [0, 2.5, 5, 7.5, 10, 12.5]
TILT = ACROSS + np.tan(np.radians(12)) * DOWN


@pytest.mark.parametrize(
    ("places", "each", "warnings", "volume"),
    [
        (along(EVEN), lambda k: {}, [], True),
        (along(EVEN[::-1]), lambda k: {}, [], True),
        (along(EVEN), lambda k: {"BurnedInAnnotation": "NO"}, [], True),
        (
            along(EVEN), lambda k: {"BurnedInAnnotation": "YES" if k == 3 else "NO"},
            ["Words are burned into the image, perhaps the patient's name: masking cannot hide them."], True,
        ),
        (along(EVEN, -ACROSS), lambda k: {}, [], True),
        (
            along([0, 2.5, 5, 10, 12.5, 20]), lambda k: {},
            [
                "The distance between slices is uneven: from 2.50 mm to 7.50 mm, 2.50 mm in the middle.",
                "Missing slices: 3 in all, 1 between Im 3 and Im 4, 2 between Im 5 and Im 6; "
                "no volume is built.",
            ],
            False,
        ),
        (
            along([0, 2.5, 5, 8.1, 10.6, 13.1]), lambda k: {},
            [
                "The distance between slices is uneven: from 2.50 mm to 3.10 mm, 2.50 mm in the middle.",
                "Each slice is shown where it lies, and no volume is built.",
            ],
            False,
        ),
        (
            along(EVEN, TILT), lambda k: {},
            ["The slices are stacked at a slant of 12.0°, as with a tilted gantry."], True,
        ),
        (
            along([0, 2.5, 5, 5, 7.5, 10]), lambda k: {},
            [
                "Of the 6 slices 2 share a position with another, and nothing in the files says how they "
                "belong together; they are shown one by one and no volume is built."
            ],
            False,
        ),
        (along([0]), lambda k: {}, ["This is a single slice, so there is no volume."], False),
        (
            along(EVEN), lambda k: {"RescaleSlope": 1 + k, "RescaleIntercept": -k},
            [
                "The rescale differs between the slices: slope 1 to 6, intercept -5 to 0; "
                "each slice's own is used."
            ],
            True,
        ),
        (
            along(EVEN), lambda k: {"WindowCenter": 40 + k, "WindowWidth": 400},
            [
                "The window differs between the slices: centre 40 to 45, width 400; "
                "each slice is shown in its own."
            ],
            True,
        ),
    ],
    ids=[
        "even", "reversed", "no words", "words burned in", "other direction", "missing", "uneven", "tilted",
        "shared", "single", "rescale", "window",
    ],
)  # fmt: skip
def test_what_is_odd_is_told_with_its_numbers(
    whyscope: Whyscope,
    tmp_path: Path,
    places: Places,
    each: Callable[[int], dict[str, Any]],
    warnings: list[str],
    volume: bool,
) -> None:
    stack(tmp_path / "made", places, each)
    (entry,) = told(whyscope, tmp_path)
    assert entry["warnings"] == warnings
    assert entry["volume"] is volume
    assert entry["slices"] == entry["files"] == len(places)
    heights = np.asarray(places) @ ACROSS
    true = np.asarray(places)[np.argsort(heights, kind="stable")]
    np.testing.assert_allclose(entry["origin"], true[0], atol=1e-4)
    np.testing.assert_allclose(entry["orientation"], [*ROW, *DOWN], atol=1e-4)
    if entry["origins"] is not None:
        np.testing.assert_allclose(entry["origins"], true, atol=1e-4)
    if volume:
        step = (true[-1] - true[0]) / (len(true) - 1)
        np.testing.assert_allclose(entry["spacing"], [float(step @ ACROSS), 0.8, 0.5], atol=1e-4)


def test_a_copy_is_listed_and_changes_nothing(whyscope: Whyscope, tmp_path: Path) -> None:
    stack(tmp_path / "made", along(EVEN))
    again = tmp_path / "made" / "again"
    again.mkdir()
    for path in sorted(path for path in (tmp_path / "made").iterdir() if path.is_file())[2:4]:
        shutil.copy(path, again / path.name)
    said = json.loads(whyscope("series", shuffled(tmp_path / "made", tmp_path / "names"), "--json").out)
    (entry,) = said["series"]
    assert (entry["slices"], entry["volume"], entry["warnings"]) == (6, True, [])
    assert [one["reason"] for one in said["other"]] == ["This is the same image again."] * 2


@pytest.mark.parametrize(
    ("each", "name"),
    [
        (lambda k: {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL" if k % 2 else "LOCALIZER"]}, "image type"),
        (lambda k: {"ImageType": ["DERIVED" if k % 2 else "ORIGINAL", "PRIMARY", "AXIAL"]}, "derived"),
        (lambda k: {"ImageOrientationPatient": [*ROW, *DOWN] if k % 2 else [*DOWN, *-ROW]}, "turned"),
        (lambda k: {"PixelSpacing": [0.8 if k % 2 else 0.9, 0.5]}, "spacing"),
        (lambda k: {"SOPClassUID": f"1.2.840.10008.5.1.4.1.1.{2 if k % 2 else 7}"}, "class"),
        (lambda k: {"FrameOfReferenceUID": f"1.2.{k % 2}"}, "frame of reference"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_two_stacks_under_one_identifier_are_two_series(
    whyscope: Whyscope, tmp_path: Path, each: Callable[[int], dict[str, Any]], name: str
) -> None:
    stack(tmp_path / "made", along([0, 0, 2.5, 2.5, 5, 5, 7.5, 7.5]), each)
    entries = told(whyscope, tmp_path)
    assert [entry["slices"] for entry in entries] == [4, 4]
    assert len({entry["uid"] for entry in entries}) == 2
    for entry in entries:
        localisers = "localizer" in entry["description"]
        assert entry["volume"] is not localisers
        assert not any("share a position" in warning for warning in entry["warnings"])


@pytest.mark.parametrize(
    ("mark", "by"),
    [
        (lambda n: {"EchoTime": 10 + 30 * n, "EchoNumbers": n + 1}, "echo"),
        (lambda n: {"TemporalPositionIdentifier": n + 1}, "temporal position"),
        (lambda n: {"TriggerTime": 50.0 * n}, "trigger time"),
        (lambda n: {"DiffusionBValue": 500.0 * n}, "b-value"),
        (lambda n: {"AcquisitionNumber": n + 1}, "acquisition"),
    ],
    ids=["echo", "time", "trigger", "b", "acquisition"],
)
@pytest.mark.parametrize("hole", [False, True])
def test_a_fourth_dimension_is_taken_apart_and_a_hole_is_told(
    whyscope: Whyscope, tmp_path: Path, mark: Callable[[int], dict[str, Any]], by: str, hole: bool
) -> None:
    """Three points at four places; a hole takes one place in the middle of the stack from the second."""
    pairs = [(n, k) for n in range(3) for k in range(4) if not (hole and (n, k) == (1, 1))]
    mr = {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}
    stack(tmp_path / "made", along([2.5 * k for _, k in pairs]), lambda i: mr | mark(pairs[i][0]))
    entries = told(whyscope, tmp_path)
    assert [entry["slices"] for entry in entries] == ([4, 3, 4] if hole else [4, 4, 4])
    assert [entry["part"]["by"] for entry in entries] == [by] * 3
    assert [entry["part"]["index"] for entry in entries] == [0, 1, 2]
    assert [entry["volume"] for entry in entries] == [True, not hole, True]
    said = [w for entry in entries for w in entry["warnings"] if "slice positions" in w]
    if hole:
        assert len(said) == 1
        assert said[0].endswith("has 3 of the 4 slice positions of its series.")
    else:
        assert said == []
