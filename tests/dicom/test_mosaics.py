# SPDX-License-Identifier: Apache-2.0
"""Siemens mosaics are cut into the slices that they are made of, each where it lies."""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import Make
from hypothesis import given
from hypothesis import strategies as st

from viewer.dicom import scan
from viewer.dicom.mosaics import _csa
from viewer.types import Series

OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
DROP = ("RescaleSlope", "RescaleIntercept")
MR = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR", "Manufacturer": "SIEMENS"}


def csa(second: bool, **values: list[str]) -> bytes:
    """A CSA header (of its second version, or the first) with these tags."""
    data = (b"SV10\4\3\2\1" if second else b"") + struct.pack("<LL", len(values), 77)
    before = len(next(iter(values.values())))
    for name, items in values.items():
        data += struct.pack("<64sl4sLLL", name.encode(), len(items), b"FD\0\0", 4, len(items), 77)
        for item in items:
            text = item.encode() + b"\0"
            length = len(text) if second else len(text) + before
            data += struct.pack("<4l", length, len(text), 77, length) + text + b"\0" * (-len(text) % 4)
    return data


def mosaic(
    make: Make, name: str, count: int, side: float = 1, first: tuple[float, ...] = (5, -3, 7),
    second: bool = True, known: bool = True, **tags: Any,
) -> np.ndarray:  # fmt: skip
    """A mosaic of slices of 6 × 4 cells, the first of which lies at `first`; gives the slices."""
    across = math.ceil(math.sqrt(count))
    slices = np.random.default_rng(count).integers(0, 1000, (count, 4, 6)).astype("u2")
    picture = np.zeros((4 * across, 6 * across), "u2")
    for k, one in enumerate(slices):
        down, right = divmod(k, across)
        picture[4 * down : 4 * down + 4, 6 * right : 6 * right + 6] = one
    row, column = np.asarray(OBLIQUE[:3]), np.asarray(OBLIQUE[3:])
    place = first - row * 2.0 * (6 * across - 6) / 2 - column * 3.0 * (4 * across - 4) / 2
    normal = [f"{v:.8f}" for v in side * np.cross(row, column)]
    header = csa(second, NumberOfImagesInMosaic=[str(count)], SliceNormalVector=normal if known else [])
    make(
        name, pixels=picture, drop=DROP, ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"],
        ImagePositionPatient=[float(v) for v in place], ImageOrientationPatient=list(OBLIQUE),
        PixelSpacing=[3.0, 2.0], FrameOfReferenceUID="1.2.3.4",
        private=((0x0029, "SIEMENS CSA HEADER", 0x10, "OB", header + b"\0" * (len(header) % 2)),),
        **{**MR, "SpacingBetweenSlices": 4.5, **tags},
    )  # fmt: skip
    return slices


def only(path: Path) -> Series:
    (series,) = scan([path]).series
    return series


@pytest.mark.parametrize("count", [2, 7, 9, 12])
@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("second", [True, False])
def test_a_mosaic_is_cut(make: Make, tmp_path: Path, count: int, side: int, second: bool) -> None:
    slices = mosaic(make, "a.dcm", count, side, second=second)
    series = only(tmp_path)
    straight = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    ordered = slices if side > 0 else slices[::-1]
    np.testing.assert_array_equal(np.stack(list(series.voxels)), ordered)
    assert series.geometry.volume
    assert series.geometry.spacing == pytest.approx((4.5, 3.0, 2.0))
    lowest = np.asarray((5, -3, 7)) + (0 if side > 0 else -straight * 4.5 * (count - 1))
    np.testing.assert_allclose(series.geometry.origin, lowest, atol=1e-5)
    assert f"a Siemens mosaic of {count} slices" in next(w for w in series.warnings if "mosaic" in w)


@pytest.mark.parametrize("times", [3, 5])
def test_mosaics_of_a_run_are_volumes_in_time(make: Make, tmp_path: Path, times: int) -> None:
    slices = [
        mosaic(
            make, f"{t}.dcm", 7, InstanceNumber=t + 1, AcquisitionNumber=t + 1,
            AcquisitionTime=f"1000{2 * t:02}", SOPInstanceUID=f"1.2.3.9.{t}",
        )
        for t in range(times)
    ]  # fmt: skip
    found = scan([tmp_path]).series
    assert [s.shape for s in found] == [(7, 4, 6)] * times
    for series, expected in zip(found, slices, strict=True):
        assert series.geometry.volume
        assert series.part is not None
        np.testing.assert_array_equal(np.stack(list(series.voxels)), expected)


@pytest.mark.parametrize("lacking", ["normal", "step", "place", "fit"])
def test_a_mosaic_whose_slices_have_no_known_place_stays_whole(
    make: Make, tmp_path: Path, lacking: str
) -> None:
    unfit: dict[str, dict[str, Any]] = {"step": {"SpacingBetweenSlices": None}, "fit": {"Rows": 11}}
    mosaic(make, "a.dcm", 7, known=lacking != "normal", **unfit.get(lacking, {}))
    if lacking == "place":
        path = tmp_path / "a.dcm"
        path.write_bytes(path.read_bytes().replace(b"0.8\\0.6\\", b"9.8\\0.6\\"))
    series = only(tmp_path)
    assert series.shape[0] == 1
    assert any("it is shown as stored" in w for w in series.warnings)


@given(st.binary(max_size=400), st.booleans())
def test_no_header_of_the_maker_is_too_strange(data: bytes, second: bool) -> None:
    try:
        found = list(_csa((b"SV10abcd" if second else b"") + data))
    except struct.error:
        return
    assert all(isinstance(name, str) for name, _ in found)
