# SPDX-License-Identifier: Apache-2.0
"""What becomes one stack and what does not: contrast, time, localisers, mosaics, enhanced files."""

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import Make, frame, sequence, write, write_enhanced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from viewer.dicom import group, scan
from viewer.dicom.listing import listing
from viewer.types import Series

MR: dict[str, Any] = {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}


def parts(path: Path) -> list[tuple[str, str, Any, int, int]]:
    """Description, dimension, value, index and count of each series, and each a whole volume."""
    found = []
    for entry in listing(scan([path]))["series"]:
        part = entry["part"]
        assert part["of"] == "1.2.3"
        assert entry["volume"], entry
        found.append((entry["description"], part["by"], part["value"], part["index"], part["count"]))
    return found


def slices(folder: Path, places: int = 3, step: float = 2.0, **tags: Any) -> None:
    """A stack of slices, added to what lies in the folder."""
    number = len(list(folder.rglob("*.dcm"))) if folder.exists() else 0
    for k in range(places):
        name = number + k
        write(
            folder / f"{name:03}.dcm",
            np.full((4, 6), name, np.int16),
            SOPInstanceUID=f"1.2.3.{name + 1}",
            InstanceNumber=name + 1,
            **({"ImagePositionPatient": [0, 0, k * step]} | tags),
        )


def only(path: Path) -> Series:
    (series,) = scan([path]).series
    return series


def said(series: Series, words: str) -> bool:
    return any(words in warning for warning in series.warnings)


# --- contrast -------------------------------------------------------------------------------------


def test_echo_times_within_a_hundredth_are_one_echo(tmp_path: Path) -> None:
    slices(tmp_path, EchoTime=20.0, **MR)
    slices(tmp_path, EchoTime=20.19, **MR)
    slices(tmp_path, EchoTime=21.0, **MR)
    assert [s.shape[0] for s in scan([tmp_path]).series] == [6, 3]


def test_echoes_are_volumes_of_their_own(tmp_path: Path) -> None:
    for number, time in ((2, 80), (1, 20)):
        slices(tmp_path, EchoNumbers=number, EchoTime=time, SeriesDescription="T2", **MR)
    assert parts(tmp_path) == [
        ("T2 · echo 1 · 20 ms", "echo", 20.0, 0, 2),
        ("T2 · echo 2 · 80 ms", "echo", 80.0, 1, 2),
    ]
    first, second = scan([tmp_path]).series
    assert [int(v[0, 0]) for v in first.voxels] == [3, 4, 5]
    assert [int(v[0, 0]) for v in second.voxels] == [0, 1, 2]


def test_a_tuned_echo_time_is_one_echo(tmp_path: Path) -> None:
    for k in range(4):
        slices(tmp_path, 1, EchoTime=30 + 0.01 * k, ImagePositionPatient=[0, 0, k], **MR)
    assert only(tmp_path).geometry.volume


def test_echoes_are_kept_apart_where_no_position_repeats(tmp_path: Path) -> None:
    slices(tmp_path, EchoNumbers=1, EchoTime=20, **MR)
    for k in range(3):
        slices(tmp_path, 1, EchoNumbers=2, EchoTime=80, ImagePositionPatient=[0, 0, 6 + 2 * k], **MR)
    one, two = scan([tmp_path]).series
    assert (one.shape[0], two.shape[0]) == (3, 3)
    assert said(one, "Echo 1 · 20 ms has 3 of the 6 slice positions of its series.")


def siemens(b: int) -> dict[str, Any]:
    return {"private": ((0x0019, "SIEMENS MR HEADER", 0x0C, "IS", str(b)),)}


def siemens_unknown(b: int) -> dict[str, Any]:
    return {"private": ((0x0019, "", 0x0C, "UN", f"{b} ".encode()),), "Manufacturer": "SIEMENS"}


def ge(b: int) -> dict[str, Any]:
    return {"private": ((0x0043, "GEMS_PARM_01", 0x39, "IS", [1_000_000_000 + b, 8, 0, 0]),)}


def philips(b: int) -> dict[str, Any]:
    return {"private": ((0x2001, "Philips Imaging DD 001", 0x03, "FL", float(b)),)}


def philips_unknown(b: int) -> dict[str, Any]:
    value = np.float32(b).tobytes()
    return {"private": ((0x2001, "Philips Imaging DD 001", 0x03, "UN", value),)}


def standard(b: int) -> dict[str, Any]:
    return {"DiffusionBValue": float(b)}


@pytest.mark.parametrize("said_by", [standard, siemens, siemens_unknown, ge, philips, philips_unknown])
def test_b_values_are_volumes_of_their_own(tmp_path: Path, said_by: Any) -> None:
    for b in (1000, 0, 500):
        slices(tmp_path, SeriesDescription="DWI", **said_by(b), **MR)
    assert parts(tmp_path) == [
        ("DWI · b 0", "b-value", 0.0, 0, 3),
        ("DWI · b 500", "b-value", 500.0, 1, 3),
        ("DWI · b 1000", "b-value", 1000.0, 2, 3),
    ]


def test_a_private_element_of_another_maker_is_no_b_value(tmp_path: Path) -> None:
    for k, value in enumerate((3, 900)):
        odd = ((0x0019, "SOMEBODY", 0x0C, "IS", str(value)),)
        slices(tmp_path, 1, ImagePositionPatient=[0, 0, 2 * k], private=odd, **MR)
    assert only(tmp_path).shape[0] == 2


def test_directions_of_one_b_value_are_volumes(tmp_path: Path) -> None:
    slices(tmp_path, DiffusionBValue=0.0, **MR)
    for direction in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]):
        slices(tmp_path, DiffusionBValue=700.0, DiffusionGradientOrientation=direction, **MR)
    assert parts(tmp_path) == [
        ("b 0", "b-value", 0.0, 0, 3),
        ("b 700 · direction 1 of 2", "b-value, gradient direction", [700.0, "0 1 0"], 1, 3),
        ("b 700 · direction 2 of 2", "b-value, gradient direction", [700.0, "1 0 0"], 2, 3),
    ]


def test_an_incomplete_b_value_says_how_many_positions_it_has(tmp_path: Path) -> None:
    slices(tmp_path, 4, DiffusionBValue=0.0, **MR)
    slices(tmp_path, 3, DiffusionBValue=800.0, **MR)
    whole, short = scan([tmp_path]).series
    assert not any("positions" in w for w in whole.warnings)
    assert said(short, "B 800 has 3 of the 4 slice positions of its series.")
    assert short.geometry.volume


def test_water_and_fat_are_two_volumes(tmp_path: Path) -> None:
    for kind in ("WATER", "FAT"):
        slices(tmp_path, ImageType=["ORIGINAL", "PRIMARY", "M", "DIXON", kind], **MR)
    assert [p[0] for p in parts(tmp_path)] == ["dixon fat", "dixon water"]


# --- time -----------------------------------------------------------------------------------------


def test_temporal_positions_are_volumes_in_their_order(tmp_path: Path) -> None:
    for time in (10, 2, 1):
        slices(tmp_path, TemporalPositionIdentifier=time, SeriesDescription="perfusion", **MR)
    assert parts(tmp_path) == [
        (f"perfusion · time {k + 1} of 3", "temporal position", value, k, 3)
        for k, value in enumerate((1, 2, 10))
    ]


def test_an_incomplete_time_is_named_with_its_numbers(tmp_path: Path) -> None:
    slices(tmp_path, 4, TemporalPositionIdentifier=1, **MR)
    slices(tmp_path, 4, TemporalPositionIdentifier=2, **MR)
    for place in (0, 2, 6):
        slices(tmp_path, 1, TemporalPositionIdentifier=3, ImagePositionPatient=[0, 0, place], **MR)
    *whole, short = scan([tmp_path]).series
    assert all(s.geometry.volume for s in whole)
    assert said(short, "Time 3 of 3 has 3 of the 4 slice positions of its series.")
    assert said(short, "1 between Im 2 and Im 3")
    assert not short.geometry.volume


def test_a_temporal_position_for_each_slice_is_one_stack(tmp_path: Path) -> None:
    for k in range(4):
        slices(tmp_path, 1, TemporalPositionIdentifier=k, ImagePositionPatient=[0, 0, k], **MR)
    series = only(tmp_path)
    assert series.geometry.volume
    assert series.part is None


def test_times_that_share_no_position_are_no_single_stack(tmp_path: Path) -> None:
    for place in range(6):
        slices(tmp_path, 1, TemporalPositionIdentifier=place // 3, ImagePositionPatient=[0, 0, place], **MR)
    first, second = scan([tmp_path]).series
    assert said(first, "Time 1 of 2 has 3 of the 6 slice positions of its series.")
    assert second.geometry.origin == (0, 0, 3)


def test_phases_of_the_heart_are_counted_where_trigger_times_drift(tmp_path: Path) -> None:
    for place in range(3):
        for phase in (2, 0, 1):
            slices(
                tmp_path, 1, ImagePositionPatient=[0, 0, 8 * place], TriggerTime=phase * (30 + place), **MR
            )
    assert parts(tmp_path) == [
        ("phase 1 of 3 · 0 ms", "trigger time", 0.0, 0, 3),
        ("phase 2 of 3 · 31 ms", "trigger time", 31.0, 1, 3),
        ("phase 3 of 3 · 62 ms", "trigger time", 62.0, 2, 3),
    ]


def test_a_phase_that_lacks_a_slice_is_still_told_by_its_time(tmp_path: Path) -> None:
    slices(tmp_path, 4, TriggerTime=0.0, **MR)
    slices(tmp_path, 3, TriggerTime=40.0, **MR)
    assert [s.description for s in scan([tmp_path]).series] == ["phase 1 of 2 · 0 ms", "phase 2 of 2 · 40 ms"]


def test_pictures_of_one_slice_in_time_stay_one_series(tmp_path: Path) -> None:
    for time in (80, 0, 40):
        slices(tmp_path, 1, TriggerTime=time, **MR)
    series = only(tmp_path)
    assert (series.shape[0], series.frames_in_time) == (3, 3)
    assert [int(v[0, 0]) for v in series.voxels] == [1, 2, 0]
    assert said(series, "All 3 images show one slice: they are in the order of their trigger time")
    assert not series.geometry.volume


def test_acquisitions_divide_only_what_repeats(tmp_path: Path) -> None:
    for k in range(4):  # step and shoot: a new acquisition for every table position
        slices(tmp_path / "steps", 1, ImagePositionPatient=[0, 0, k], AcquisitionNumber=k)
    assert only(tmp_path / "steps").geometry.volume
    for k in (1, 2):
        slices(tmp_path / "again", AcquisitionNumber=k)
    assert [p[:3] for p in parts(tmp_path / "again")] == [
        ("acquisition 1 of 2", "acquisition", 1),
        ("acquisition 2 of 2", "acquisition", 2),
    ]


def test_times_of_acquisition_are_used_only_if_positions_repeat(tmp_path: Path) -> None:
    for second in range(3):
        slices(tmp_path / "one", 1, ImagePositionPatient=[0, 0, second], AcquisitionTime=f"10000{second}")
    assert only(tmp_path / "one").geometry.volume
    for second in range(6):
        slices(
            tmp_path / "two",
            1,
            ImagePositionPatient=[0, 0, second % 3],
            AcquisitionDate="20200101",
            AcquisitionTime=f"10000{second}",
        )
    assert [p[:3] for p in parts(tmp_path / "two")] == [
        ("time 1 of 2", "acquisition time", "10:00:00.00"),
        ("time 2 of 2", "acquisition time", "10:00:03.00"),
    ]


def test_echo_and_time_together(tmp_path: Path) -> None:
    for time in (1, 2):
        for echo in (1, 2):
            slices(tmp_path, EchoNumbers=echo, EchoTime=10 * echo, TemporalPositionIdentifier=time, **MR)
    found = parts(tmp_path)
    assert [p[2] for p in found] == [[10.0, 1], [10.0, 2], [20.0, 1], [20.0, 2]]
    assert [(p[3], p[4]) for p in found] == [(k, 4) for k in range(4)]
    assert found[3][0] == "echo 2 · 20 ms · time 2 of 2"


def test_stations_of_a_moving_table_are_stacks_of_their_own(tmp_path: Path) -> None:
    coronal = [1, 0, 0, 0, 0, -1]
    for station in (0, 400):
        for k in range(3):
            slices(
                tmp_path,
                1,
                ImagePositionPatient=[0, 5 * k, -station],
                ImageOrientationPatient=coronal,
                **MR,
            )
    assert [p[:2] for p in parts(tmp_path)] == [("station 1 of 2", "station"), ("station 2 of 2", "station")]


def test_what_nothing_explains_stays_together_and_is_no_volume(tmp_path: Path) -> None:
    slices(tmp_path)
    slices(tmp_path)
    series = only(tmp_path)
    assert [series.geometry.position(i) for i in range(6)] == [(0, 0, z) for z in (0, 0, 2, 2, 4, 4)]
    assert said(series, "All 6 slices share a position with another, and nothing in the files says")
    assert not series.geometry.volume


def test_parts_past_the_ninth_stay_in_order(tmp_path: Path) -> None:
    for time in range(12):
        slices(tmp_path, 2, TemporalPositionIdentifier=time, **MR)
    assert [s.uid for s in scan([tmp_path]).series] == [f"1.2.3#{n}" for n in range(1, 13)]


# --- kinds ----------------------------------------------------------------------------------------


def test_localisers_and_a_stack_under_one_identifier(tmp_path: Path) -> None:
    kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    slices(tmp_path, 1, ImageType=kind, ImagePositionPatient=[0, 200, 0])
    slices(tmp_path, 1, ImageType=kind, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    slices(tmp_path, 5, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    found = scan([tmp_path]).series
    assert [s.shape[0] for s in found] == [1, 1, 5]
    assert [s.geometry.volume for s in found] == [False, False, True]
    assert found[2].part is None
    assert [s.description for s in found] == ["localizer", "localizer", "axial"]


def test_parallel_localisers_are_no_volume(tmp_path: Path) -> None:
    slices(tmp_path, 2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    series = only(tmp_path)
    assert said(series, "These are 2 localisers")
    assert not series.geometry.volume


def test_derived_images_and_other_classes_stay_apart(tmp_path: Path) -> None:
    slices(tmp_path, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    slices(tmp_path, ImageType=["DERIVED", "SECONDARY", "AXIAL"])
    slices(tmp_path, ImageType=["DERIVED", "SECONDARY", "AXIAL"], SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    found = scan([tmp_path]).series
    assert [s.shape[0] for s in found] == [3, 3, 3]
    assert [s.description for s in found] == ["original primary", "derived secondary", "derived secondary"]


@pytest.mark.parametrize(("private", "words"), [(True, "of 36 slices"), (False, "of many slices")])
def test_a_mosaic_is_shown_as_one_picture_and_said_to_be_one(
    tmp_path: Path, private: bool, words: str
) -> None:
    count = ((0x0019, "SIEMENS MR HEADER", 0x0A, "US", 36),) if private else ()
    for time in (1, 2):
        slices(
            tmp_path,
            1,
            ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
            AcquisitionNumber=time,
            PatientOrientation=["L", "P"],
            private=count,
            **MR,
        )
    series = only(tmp_path)
    assert series.warnings[0] == (
        f"This is a Siemens mosaic {words} in one picture; it is shown as stored, and positions in it "
        "mean nothing."
    )
    assert series.geometry.letters() is None
    assert series.geometry.origin is None
    assert series.geometry.spacing == (None, 0.5, 0.25)
    assert not series.geometry.volume


# --- enhanced -------------------------------------------------------------------------------------


def test_stacks_and_times_of_an_enhanced_file(tmp_path: Path) -> None:
    frames = [
        frame((0, 0, 3 * k), stack, time, orientation=orientation)
        for stack, orientation in (("1", (1, 0, 0, 0, 1, 0)), ("2", (1, 0, 0, 0, 0, -1)))
        for k in (2, 0, 1)
        for time in (1, 2)
    ]
    for number, f in enumerate(frames[6:]):  # the normal of the second stack is the y axis
        f.PlanePositionSequence[0].ImagePositionPatient = [0, (2, 0, 1)[number // 2] * 3, 0]
    write_enhanced(tmp_path / "a.dcm", frames)
    found = scan([tmp_path]).series
    assert [(s.shape[0], s.geometry.volume, s.description) for s in found] == [
        (3, True, f"time {t} of 2") for t in (1, 2, 1, 2)
    ]
    assert [list(s.frame_numbers) for s in found] == [[3, 5, 1], [4, 6, 2], [9, 11, 7], [10, 12, 8]]
    for series in found:
        assert [int(v[0, 0]) for v in series.voxels] == list(series.frame_numbers)
    assert [s.files for s in found] == [1, 0, 0, 0]
    assert [s.geometry.letters() for s in found[1:3]] == [("R", "L", "A", "P"), ("R", "L", "H", "F")]


def test_b_values_windows_and_rescale_of_enhanced_frames(tmp_path: Path) -> None:
    frames = [
        frame((0, 0, k), b=b, window=(100 * (k + 1), 50), rescale=(k + 1, b))
        for b in (0, 900)
        for k in (0, 1)
    ]
    write_enhanced(tmp_path / "a.dcm", frames)
    assert [p[0] for p in parts(tmp_path)] == ["b 0", "b 900"]
    second = scan([tmp_path]).series[1]
    assert second.display.rescale == ((1, 900), (2, 900))
    assert [w[0].center for w in second.display.slice_windows] == [100, 200]
    assert said(second, "slope 1 to 2, intercept 900")
    assert said(second, "centre 100 to 200, width 50")


def test_frames_without_positions_follow_their_dimension_indices(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "a.dcm", [frame(None, index=(1, n)) for n in (3, 1, 2)])
    series = only(tmp_path)
    assert list(series.frame_numbers) == [2, 3, 1]
    assert said(series, "not proven to be one stack: shown in the order of their dimension indices")
    assert not series.geometry.volume


def test_enhanced_files_of_one_stack_are_joined_and_others_are_not(tmp_path: Path) -> None:
    for k in (0, 1):  # a concatenation: two files, one stack
        write_enhanced(tmp_path / "one" / f"{k}.dcm", [frame((0, 0, 2 * k + n)) for n in (0, 1)])
    assert only(tmp_path / "one").shape[0] == 4
    assert only(tmp_path / "one").geometry.volume
    for k in (0, 1):  # two slabs, each a volume
        write_enhanced(tmp_path / "two" / f"{k}.dcm", [frame((0, 0, 40 * k + n)) for n in (0, 1, 2)])
    assert [(s.shape[0], s.geometry.volume) for s in scan([tmp_path / "two"]).series] == [(3, True)] * 2
    for k in (0, 1):  # the same stack twice
        write_enhanced(tmp_path / "three" / f"{k}.dcm", [frame((0, 0, n)) for n in (0, 1)], InstanceNumber=k)
    assert [p[0] for p in parts(tmp_path / "three")] == ["file 1 of 2", "file 2 of 2"]


def test_enhanced_files_of_one_frame_are_slices_like_others(tmp_path: Path) -> None:
    for k in (0, 2, 6):
        write_enhanced(tmp_path / "gap" / f"{k}.dcm", [frame((0, 0, k))])
    assert said(only(tmp_path / "gap"), "Missing slices: 1 between Im 2 and Im 3")
    for k in (2, 0, 1):
        write_enhanced(tmp_path / "run" / f"{k}.dcm", [frame((0, 0, 0), time=k)])
    assert only(tmp_path / "run").frames_in_time == 3


def test_enhanced_files_of_several_b_values_are_told_apart(tmp_path: Path) -> None:
    for number, b in enumerate((1000, 0)):
        frames = [frame((0, 0, n), b=b) for n in (0, 1)]
        write_enhanced(tmp_path / f"{b}.dcm", frames, InstanceNumber=number, SeriesDescription="DWI")
    assert [p[0] for p in parts(tmp_path)] == ["DWI · b 0", "DWI · b 1000"]
    assert [s.files for s in scan([tmp_path]).series] == [1, 1]


def test_a_shared_position_makes_a_run(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "a.dcm", [frame((0, 0, 5), time=t) for t in (2, 3, 1)])
    series = only(tmp_path)
    assert (list(series.frame_numbers), series.frames_in_time) == ([3, 1, 2], 3)
    assert not series.geometry.volume


def test_an_enhanced_angiogram_is_a_run(tmp_path: Path) -> None:
    run = {"Modality": "XA", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.12.1.1"}
    windows = ((50, 100), (60, 100))
    write_enhanced(tmp_path / "a.dcm", [frame(None, window=w) for w in windows], **run)
    series = only(tmp_path)
    assert (series.shape[0], series.frames_in_time) == (2, 2)
    assert [w[0].center for w in series.display.slice_windows] == [50, 60]


def test_slices_of_a_tilted_gantry_at_several_times(tmp_path: Path) -> None:
    for time in range(3):
        for k in range(4):
            place = [0, 0.8 * k, 2 * k]
            slices(tmp_path, 1, ImagePositionPatient=place, TemporalPositionIdentifier=time)
    found = parts(tmp_path)
    assert [p[1] for p in found] == ["temporal position"] * 3
    assert all(said(s, "slant of 21.8°") for s in scan([tmp_path]).series)


# --- whatever the files are called ----------------------------------------------------------------


@st.composite
def studies(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Headers of a series with one or two fourth dimensions, gaps and repetitions."""
    places = draw(st.lists(st.integers(0, 12), min_size=1, max_size=5, unique=True))
    dimensions = draw(
        st.lists(
            st.sampled_from(
                [
                    "EchoTime",
                    "DiffusionBValue",
                    "TemporalPositionIdentifier",
                    "TriggerTime",
                    "AcquisitionNumber",
                ]
            ),
            max_size=2,
            unique=True,
        )
    )
    values = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    headers = []
    for place in places:
        for value in values:
            tags = {d: value * 10 + k for k, d in enumerate(dimensions)}
            headers.append({"ImagePositionPatient": [0, 0, place]} | tags)
    kept = draw(st.lists(st.booleans(), min_size=len(headers), max_size=len(headers)))
    return [h for h, keep in zip(headers, kept, strict=True) if keep] or headers


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=studies(), seed=st.integers(0, 1000))
def test_names_folders_and_order_of_files_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, headers: list[dict[str, Any]], seed: int
) -> None:
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    chance = random.Random(seed)
    names = list(range(len(headers)))
    chance.shuffle(names)
    for k, header in enumerate(headers):
        path = write(
            first / f"{k:03}.dcm", SOPInstanceUID=f"1.2.3.{k + 1}", InstanceNumber=k + 1, **MR, **header
        )
        folder = second / chance.choice(["a", "b", "b/c"])
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{names[k]}")
    one, other = listing(scan([first])), listing(scan([second]))
    assert one["series"] == other["series"]
    assert sum(entry["files"] for entry in one["series"]) == len(headers)
    for series in scan([first]).series:
        gaps = np.diff([series.geometry.position(i)[2] for i in range(series.shape[0])])
        if series.geometry.volume:
            np.testing.assert_allclose(gaps, gaps[0], atol=1e-6)
            assert gaps[0] > 0


def test_b_values_of_the_fourth_dimension_in_json(make: Make, tmp_path: Path) -> None:
    for k, b in enumerate((0.0, 1000.0)):
        make(f"{k}.dcm", SOPInstanceUID=f"1.2.{k + 1}", DiffusionBValue=b, **MR)
    entries = listing(scan([tmp_path]))["series"]
    assert entries[1]["part"] == {
        "of": "1.2.3", "by": "b-value", "value": 1000.0, "index": 1, "count": 2, "name": "b 1000",
    }  # fmt: skip


def turned(angle: float) -> list[float]:
    """Row and column cosines turned in their plane, by radians."""
    c, s = float(np.cos(angle)), float(np.sin(angle))
    return [c, s, 0, -s, c, 0]


def table(last: int) -> list[Any]:
    data = np.array([0, 10, 20, last], "<u2").tobytes()
    return sequence(LUTDescriptor=[4, 0, 16], LUTData=data)


@pytest.mark.parametrize(
    ("tags", "count"),
    [
        ({"ImageOrientationPatient": turned(0.001)}, 1),
        ({"ImageOrientationPatient": turned(0.004)}, 2),
        ({"PixelSpacing": [0.5002, 0.25]}, 1),
        ({"PixelSpacing": [0.5, 0.2502]}, 1),
        ({"PixelSpacing": [0.501, 0.25]}, 2),
        ({"PixelSpacing": [0.5, 0.251]}, 2),
        ({"VOILUTSequence": table(65_535)}, 2),
        ({"ModalityLUTSequence": table(65_535)}, 2),
    ],
)
def test_what_rounding_changes_is_one_stack_and_what_differs_is_two(
    tmp_path: Path, tags: dict[str, Any], count: int
) -> None:
    slices(tmp_path)
    slices(tmp_path, **tags)
    assert len(scan([tmp_path]).series) == count


def test_each_slice_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing every slice with every other takes twenty minutes where all of 20 000 frames differ."""
    looked: list[Any] = []
    real = group.pixel_spacing  # type: ignore[attr-defined]

    def counted(*of: Any) -> Any:
        looked.append(of)
        return real(*of)

    monkeypatch.setattr(group, "pixel_spacing", counted)
    frames = [frame((0, 0, float(k)), orientation=tuple(turned(0.01 * k))) for k in range(60)]
    path = write_enhanced(tmp_path / "a.dcm", frames)
    assert len(scan([path]).series) == 60
    assert len(looked) == 60


def test_moments_are_counted_where_all_of_them_are_complete(tmp_path: Path) -> None:
    for time in (1, 2, 3):
        slices(tmp_path / "whole", TemporalPositionIdentifier=time, **MR)
    whole = scan([tmp_path / "whole"])
    assert [one["frames_in_time"] for one in listing(whole)["series"]] == [3, 3, 3]
    assert all(s.part.complete and s.frames_in_time == 1 and s.geometry.volume for s in whole.series)
    slices(tmp_path / "short", 4, TemporalPositionIdentifier=1, **MR)
    slices(tmp_path / "short", 3, TemporalPositionIdentifier=2, **MR)
    short = scan([tmp_path / "short"])
    assert [one["frames_in_time"] for one in listing(short)["series"]] == [1, 1]
    assert [s.part.complete for s in short.series] == [True, False]
    for b in (0, 1000):
        slices(tmp_path / "dwi", DiffusionBValue=float(b), **MR)
    assert [one["frames_in_time"] for one in listing(scan([tmp_path / "dwi"]))["series"]] == [1, 1]
