# SPDX-License-Identifier: Apache-2.0
"""Files that bear one identifier: copies are told by their pixels, and none that opens is hidden."""

import shutil
from pathlib import Path
from typing import Any

import jpeg_ls
import numpy as np
import pytest
from dicom_files import save, write
from openjpeg.utils import encode_array
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from viewer.dicom import copies, scan
from viewer.dicom.scan import Study
from viewer.errors import SeriesError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 4000, (32, 32)).astype(np.uint16)
J2K = bytes(encode_array(PIXELS, bits_stored=16))
LS = bytes(jpeg_ls.encode_array(PIXELS))
DAMAGED = J2K[:120] + bytes(len(J2K) - 240) + J2K[-120:]
ONE: dict[str, Any] = {"SOPInstanceUID": "1.2.3.4", "InstanceNumber": 1}


def native(path: Path, pixels: np.ndarray = PIXELS, **tags: Any) -> Path:
    return write(path, pixels, **(ONE | tags))


def packed(path: Path, stream: bytes, syntax: str, comment: str = "", **tags: Any) -> Path:
    dataset = dcmread(native(path, **tags))
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PatientComments = comment
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return save(dataset, path)


J2K_UID, LS_UID = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80"


def reasons(study: Study) -> dict[str, str]:
    return {one.path.name: one.reason for one in study.other}


def said(study: Study, words: str) -> list[bool]:
    return [any(words in text for text in s.warnings) for s in study.series]


@pytest.mark.parametrize("number", range(8))
def test_a_damaged_copy_never_hides_a_good_one(tmp_path: Path, number: int) -> None:
    packed(tmp_path / "good.dcm", J2K, J2K_UID, f"good {number}")
    packed(tmp_path / "bad.dcm", DAMAGED, J2K_UID, f"bad {number}")
    study = scan([tmp_path])
    (series,) = study.series
    np.testing.assert_array_equal(series.voxels[0], PIXELS)
    assert reasons(study)["bad.dcm"].startswith("Its image data cannot be decoded")


def test_a_damaged_copy_of_a_cheaper_syntax_hides_none(tmp_path: Path) -> None:
    packed(tmp_path / "good.dcm", J2K, J2K_UID)
    packed(tmp_path / "bad.dcm", LS[: len(LS) // 3], LS_UID)
    (series,) = scan([tmp_path]).series
    np.testing.assert_array_equal(series.voxels[0], PIXELS)


def test_of_two_that_cannot_be_decoded_one_is_listed(tmp_path: Path) -> None:
    packed(tmp_path / "a.dcm", DAMAGED, J2K_UID)
    packed(tmp_path / "b.dcm", DAMAGED[:-30], J2K_UID)
    study = scan([tmp_path])
    with pytest.raises(SeriesError):
        study.series[0].voxels[0]
    assert len(study.series) == 1
    assert "nor those of another file" in next(iter(reasons(study).values()))


def test_copies_in_three_syntaxes_are_one_image(tmp_path: Path) -> None:
    native(tmp_path / "a.dcm")
    packed(tmp_path / "b.dcm", J2K, J2K_UID)
    packed(tmp_path / "c.dcm", LS, LS_UID)
    study = scan([tmp_path])
    assert [s.paths[0].name for s in study.series] == ["a.dcm"]
    assert reasons(study) == dict.fromkeys(("b.dcm", "c.dcm"), copies.SAME)


@pytest.mark.parametrize(
    "tags", [{"PatientComments": "again"}, {"SeriesDescription": ""}, {"WindowCenter": 90}], ids=str
)
def test_another_header_with_the_same_pixels_is_a_copy_and_decodes_nothing(
    tmp_path: Path, tags: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(copies, "read_frame")
    native(tmp_path / "a.dcm")
    native(tmp_path / "b.dcm", **tags)
    study = scan([tmp_path])
    assert len(study.series) == 1
    assert list(reasons(study).values()) == [copies.SAME]


def another(path: Path, kind: str) -> Path:
    match kind:
        case "native":
            return native(path, PIXELS + 1)
        case "one pixel":
            changed = PIXELS.copy()
            changed[3, 4] += 1
            return native(path, changed)
        case "packed":
            stream = bytes(encode_array(PIXELS[::-1].copy(), bits_stored=16))
            return packed(path, stream, J2K_UID)
        case _:
            return native(path, RescaleSlope=2)


@pytest.mark.parametrize("kind", ["native", "one pixel", "packed", "rescale"])
def test_different_images_of_one_identifier_are_all_shown_and_told(tmp_path: Path, kind: str) -> None:
    native(tmp_path / "a.dcm")
    another(tmp_path / "b.dcm", kind)
    study = scan([tmp_path])
    assert [s.description for s in study.series] == ["", "copy 2 with other pixels"]
    assert said(study, "Another file bears the identifier of this image and holds another") == [True, True]
    assert not study.other


def test_a_slice_that_comes_twice_leaves_the_stack_a_volume(tmp_path: Path) -> None:
    for k in range(5):
        tags = {"SOPInstanceUID": f"1.2.3.{k}", "InstanceNumber": k, "ImagePositionPatient": [0, 0, 2 * k]}
        native(tmp_path / f"{k}.dcm", PIXELS + k, **tags)
        if k == 2:
            native(tmp_path / "again.dcm", PIXELS + 100, **tags)
    first, second = scan([tmp_path]).series
    assert (first.shape[0], first.geometry.volume, second.shape[0]) == (5, True, 1)
    assert any("(in 1 of 5 files)" in text for text in first.warnings)


@pytest.mark.parametrize(
    "tags",
    [{"SeriesInstanceUID": "1.2.99"}, {"ImagePositionPatient": [0, 0, 9]}, {"InstanceNumber": 2}],
    ids=["series", "place", "number"],
)
def test_one_identifier_elsewhere_is_shown_and_told(tmp_path: Path, tags: dict[str, Any]) -> None:
    native(tmp_path / "a.dcm")
    native(tmp_path / "b.dcm", PIXELS + 1, **tags)
    study = scan([tmp_path])
    assert sum(s.shape[0] for s in study.series) == 2
    assert all(said(study, "bears the identifier of this one"))


def test_files_that_are_equal_are_copies_and_decode_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(copies, "read_frame")
    packed(tmp_path / "a.dcm", DAMAGED, J2K_UID)
    shutil.copy(tmp_path / "a.dcm", tmp_path / "b.dcm")
    study = scan([tmp_path])
    assert len(study.series) == 1
    assert list(reasons(study).values()) == [copies.SAME]
