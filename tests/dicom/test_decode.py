# SPDX-License-Identifier: Apache-2.0
"""Pixels: against an independent reader, and when a decoder hangs, crashes or wants all memory."""

import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jpeg_ls
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own name
from dicom_files import Make
from PIL import Image as Pillow
from pydicom.encaps import encapsulate

from viewer.dicom import scan
from viewer.dicom.decode import Slices
from viewer.dicom.decoder_pool import CHILDREN, Decoder, Decoders, DecodingError, shared_decoder
from viewer.dicom.memory import SliceMemory
from viewer.dicom.pixel_codecs import fit
from viewer.dicom.volume import volume
from viewer.errors import SeriesError
from viewer.settings import Limits, Settings
from viewer.types import Series

LOSSLESS = [
    "pydicom/test_files/MR_small.dcm",
    "pydicom/test_files/MR_small_RLE.dcm",
    "pydicom/test_files/MR_small_jp2klossless.dcm",
    "pydicom/test_files/MR_small_jpeg_ls_lossless.dcm",
    "pydicom/test_files/MR_small_bigendian.dcm",
    "pydicom/test_files/MR_small_implicit.dcm",
    "pydicom/test_files/MR_small_padded.dcm",
]
ENHANCED = ["", "_RLE", "_big_endian", "_jpeg_2k_lossless", "_jpeg_ls_lossless"]


def only(path: Path, settings: Settings | None = None) -> Series:
    (series,) = scan([path], settings or Settings()).series
    return series


@pytest.mark.shared
@pytest.mark.parametrize("name", LOSSLESS)
def test_one_image_in_all_lossless_syntaxes(shared: Path, name: str) -> None:
    values = only(shared / "dicom" / name).voxels[0]
    native = sitk.ReadImage(str(shared / "dicom/pydicom/test_files/MR_small_implicit.dcm"))
    np.testing.assert_array_equal(values, sitk.GetArrayFromImage(native)[0])


@pytest.mark.shared
@pytest.mark.parametrize("ending", ENHANCED)
def test_all_frames_in_all_lossless_syntaxes(shared: Path, ending: str) -> None:
    folder = shared / "dicom/pydicom-data"
    series = only(folder / f"emri_small{ending}.dcm")
    native = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "emri_small.dcm")))
    np.testing.assert_array_equal(np.stack(list(series.voxels)), native)


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "pydicom-data/JPEG-LL.dcm",
        "pydicom-data/RG3_J2KR.dcm",
        "pydicom-data/bad_sequence.dcm",
        "pydicom-data/MR-SIEMENS-DICOM-WithOverlays.dcm",
        "pydicom/test_files/examples_rgb_color.dcm",
        "pydicom/test_files/examples_jpeg2k.dcm",
        "pydicom/test_files/SC_rgb_jpeg_gdcm.dcm",
        "pydicom/test_files/image_dfl.dcm",
        "pydicom/test_files/JPGExtended.dcm",
        "slicer/philips_ingenia_4_1_3_dwi.dcm",
    ],
)
def test_values_agree_with_simpleitk(shared: Path, name: str) -> None:
    series = only(shared / "dicom" / name)
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(shared / "dicom" / name)))
    slope, intercept = series.display.rescale[0]
    values = series.voxels[0] if series.colour else series.voxels[0] * slope + intercept
    # SimpleITK hands MONOCHROME1 out inverted.
    expected = series.display.stored_range[1] - image[0] if series.display.inverted else image[0]
    np.testing.assert_allclose(values, expected, atol=1e-3)


@pytest.mark.shared
def test_a_radiograph_in_lossy_jpeg_2000(shared: Path) -> None:
    path = shared / "dicom/pydicom-data/RG1_J2KI.dcm"
    series = only(path)
    assert series.display.inverted
    assert series.display.stored_range == (0, 32_767)
    assert series.voxels.shape == (1, 1955, 1841)
    reference = 32_767 - sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0].astype(int)
    assert np.abs(series.voxels[0].astype(int) - reference).max() <= 1
    assert any("with loss" in w for w in series.warnings)


@pytest.mark.shared
def test_htj2k_and_a_lost_end_mark(shared: Path) -> None:
    folder = shared / "dicom/pydicom-data"
    assert only(folder / "HTJ2K_08_RGB.dcm").voxels[0].std() > 10
    short = only(folder / "emri_small_jpeg_2k_lossless_too_short.dcm")
    whole = only(folder / "emri_small.dcm")
    np.testing.assert_array_equal(short.voxels[9], whole.voxels[9])


@pytest.mark.shared
def test_colour_comes_as_rgb(shared: Path) -> None:
    folder = shared / "dicom/pydicom"
    planes, pixels = (only(shared / f"dicom/pydicom-data/color-{k}.dcm").voxels[0] for k in ("pl", "px"))
    np.testing.assert_array_equal(planes, pixels)
    palette = only(folder / "test_files/examples_palette.dcm").voxels[0]
    assert palette.shape == (350, 800, 3)
    assert palette.dtype == np.uint8
    ybr = only(folder / "test_files/SC_ybr_full_422_uncompressed.dcm").voxels[0]
    assert tuple(ybr[5, 50]) in {(254, 0, 0), (255, 0, 0)}  # the top bar is red


def test_signed_values_wrapped_as_unsigned_are_read_as_signed() -> None:
    wrapped = np.array([0, 4095, 8191, 4096], np.uint16).astype(np.int16)
    np.testing.assert_array_equal(fit(wrapped, 13, 12, True), [0, 4095, -1, -4096])


def test_unused_bits_do_not_leak() -> None:
    cells = np.array([0xF123, 0x0FFF], np.uint16)
    np.testing.assert_array_equal(fit(cells, 12, 11, False), [0x123, 0xFFF])
    np.testing.assert_array_equal(fit(cells, 12, 15, False), [0xF12, 0x0FF])
    np.testing.assert_array_equal(fit(cells.view(np.int16), 12, 11, True), [0x123, -1])
    overshoot = np.array([-3, 5000], np.int32)
    np.testing.assert_array_equal(fit(overshoot, 12, 11, False, clip=True), [0, 4095])


def test_native_bits_above_bits_stored_are_dropped(make: Make) -> None:
    pixels = np.array([[0x1123, 0xF001]], np.uint16)
    series = only(make("a.dcm", pixels=pixels, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(series.voxels[0], [[0x123, 1]])


def test_damaged_compressed_data_give_a_sentence_without_a_path(make: Make, tmp_path: Path) -> None:
    path = make("broken.dcm", TransferSyntaxUID="1.2.840.10008.1.2.4.90")
    with pytest.raises(SeriesError, match=r"Slice 1 of 1 \(broken.dcm\) cannot be shown: .* damaged") as told:
        only(path).voxels[0]
    assert str(tmp_path) not in str(told.value)


def test_a_file_that_went_away_gives_a_sentence(make: Make) -> None:
    path = make("gone.dcm")
    series = only(path)
    path.unlink()
    with pytest.raises(SeriesError, match="no longer be opened"):
        series.voxels[0]


def program(folder: Path, body: str) -> Path:
    """A decoder that misbehaves at its first request and answers the later ones."""
    path = folder / "misbehaving.py"
    path.write_text(
        "import json, os, pathlib, struct, sys, time\n"
        "flag = pathlib.Path(__file__).with_suffix('.done')\n"
        "out = sys.stdout.buffer\n"
        "out.write(b'ready\\n'); out.flush()\n"
        "while sys.stdin.buffer.readline():\n"
        "    if not flag.exists():\n"
        "        flag.touch()\n"
        f"        {body}\n"
        "    head = json.dumps({'shape': [1, 2], 'dtype': 'uint8'}).encode()\n"
        "    out.write(struct.pack('<I', len(head)) + head + b'\\x01\\x02'); out.flush()\n"
    )
    return path


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("time.sleep(60)", "time"),
        ("os.abort()", "crash"),
        ("out.write(b'nonsense that is not a reply'); out.flush(); sys.exit()", "crash"),
    ],
)
def test_a_child_that_hangs_or_crashes_is_replaced(tmp_path: Path, body: str, why: str) -> None:
    decoder = Decoder(0.5, 2**33, program(tmp_path, body))
    started = time.monotonic()
    with pytest.raises(DecodingError, match=why):
        decoder.decode({}, 100)
    assert time.monotonic() - started < 5
    assert decoder.pid is None
    np.testing.assert_array_equal(decoder.decode({}, 100), [[1, 2]])
    with pytest.raises(DecodingError, match="crash"):
        decoder.decode({}, 1)  # a reply larger than was asked for is not believed
    decoder.close()


def slow_program(folder: Path) -> Path:
    """A decoder that takes its time and answers with its own number."""
    path = folder / "slow.py"
    path.write_text(
        "import json, os, struct, sys, time\n"
        "out = sys.stdout.buffer\n"
        "out.write(b'ready\\n'); out.flush()\n"
        "while sys.stdin.buffer.readline():\n"
        "    time.sleep(0.3)\n"
        "    head = json.dumps({'shape': [1], 'dtype': 'uint32'}).encode()\n"
        "    out.write(struct.pack('<I', len(head)) + head + struct.pack('<I', os.getpid())); out.flush()\n"
    )
    return path


def test_two_threads_are_answered_by_two_children(tmp_path: Path) -> None:
    decoders = Decoders(20, 2**33, 2, slow_program(tmp_path))
    first = int(decoders.decode({"path": "a"}, 4)[0])
    assert first == int(decoders.decode({"path": "b"}, 4)[0])
    assert decoders.pids == (first,)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda n: int(decoders.decode({"path": n}, 4)[0]), "abcd"))
    assert set(answers) == set(decoders.pids)
    assert len(decoders.pids) == 2
    last = int(decoders.decode({"path": "e"}, 4)[0])
    assert last == int(decoders.decode({"path": "e"}, 4)[0])
    decoders.close()
    assert decoders.pids == ()


def test_a_thread_that_fails_gives_its_child_back(tmp_path: Path) -> None:
    decoders = Decoders(20, 2**33, 1, slow_program(tmp_path))
    for _ in range(3):
        with pytest.raises(DecodingError, match="crash"):
            decoders.decode({"path": "a"}, 1)
    decoders.close()


@pytest.mark.parametrize("ahead", [1, 2])
def test_slices_read_ahead_come_in_order_and_fail_in_their_place(ahead: int) -> None:
    busy, most, lock = [0], [0], threading.Lock()

    def read(index: int) -> np.ndarray:
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.02)
        with lock:
            busy[0] -= 1
        if index == 6:
            raise DecodingError("crash")
        return np.full((2, 2), index, np.uint8)

    slices = Slices(read, (9, 2, 2), np.dtype(np.uint8), ("file",) * 9, ahead=ahead)
    seen: list[int] = []
    with pytest.raises(SeriesError, match="Slice 7 of 9"):
        seen.extend(int(one[0, 0]) for one in slices)
    assert seen == list(range(6))
    assert most[0] == ahead
    few: Any = iter(slices)
    assert int(next(few)[0, 0]) == 0
    few.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("whyscope slices")]


def test_a_compressed_series_is_read_by_all_children(make: Make) -> None:
    made = []
    for k in range(6):
        pixels = np.full((8, 8), 100 * k, np.uint16)
        stored = encapsulate([bytes(jpeg_ls.encode_array(pixels))])
        facts = {"TransferSyntaxUID": "1.2.840.10008.1.2.4.80", "PixelData": stored}
        made.append(make(f"{k}.dcm", pixels=pixels, ImagePositionPatient=[0, 0, k], **facts))
    (series,) = scan([made[0].parent]).series
    assert [int(one[0, 0]) for one in series.voxels] == [0, 100, 200, 300, 400, 500]
    limits = Limits()
    assert len(shared_decoder(limits.decode_seconds, limits.decode_memory).pids) == CHILDREN
    np.testing.assert_array_equal(volume(series).voxels[:, 0, 0], [0, 100, 200, 300, 400, 500])


@pytest.mark.shared
def test_time_limit_and_recovery_with_the_real_child(shared: Path) -> None:
    path = shared / "dicom/pydicom-data/RG1_J2KI.dcm"
    hurried = Settings(limits=Limits(decode_seconds=0.01))
    with pytest.raises(SeriesError, match="longer than the limit"):
        only(path, hurried).voxels[0]
    shared_decoder(0.01, hurried.limits.decode_memory).close()
    assert only(path).voxels[0].max() > 0


@pytest.mark.shared
@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
def test_memory_limit(shared: Path) -> None:
    limits = Limits(decode_memory=1)  # nothing more than what the child has once it has started
    series = only(shared / "dicom/pydicom-data/RG1_J2KI.dcm", Settings(limits=limits))
    with pytest.raises(SeriesError, match=r"memory|stopped|damaged"):
        series.voxels[0]
    shared_decoder(limits.decode_seconds, limits.decode_memory).close()


@pytest.mark.shared
def test_a_killed_child_is_started_again(shared: Path) -> None:
    path = shared / "dicom/pydicom/test_files/MR_small_RLE.dcm"
    first = only(path).voxels[0]
    limits = Limits()
    decoder = shared_decoder(limits.decode_seconds, limits.decode_memory)
    before = decoder.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    np.testing.assert_array_equal(only(path).voxels[0], first)
    assert decoder.pid not in (None, before)


@pytest.mark.shared
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("ending", ["sys.exit()", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_the_child_ends_with_its_parent(shared: Path, ending: str) -> None:
    path = shared / "dicom/pydicom/test_files/MR_small_RLE.dcm"
    code = (
        "import os, sys; from pathlib import Path; from viewer.dicom import scan, decoder_pool;"
        f"scan([Path({str(path)!r})]).series[0].voxels[0];"
        "limits = __import__('viewer.settings').settings.Limits();"
        "print(decoder_pool.shared_decoder(limits.decode_seconds, limits.decode_memory).pid, flush=True);"
        + ending
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pid = int(result.stdout)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"
    assert result.stderr == ""


def test_the_cache_is_bounded_and_safe_with_threads() -> None:
    asked: list[int] = []

    def read(index: int) -> np.ndarray:
        asked.append(index)
        return np.full((10, 10), index, np.uint8)

    slices = Slices(read, (20, 10, 10), np.dtype(np.uint8), ("file",) * 20, SliceMemory(500))
    threads = [threading.Thread(target=lambda: [slices[i] for i in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked.clear()
    assert [int(slices[i][0, 0]) for i in (15, 16, 17, 18, 19)] == [15, 16, 17, 18, 19]
    assert asked == []
    assert int(slices[0][0, 0]) == 0
    assert asked == [0]
    assert int(slices[-1][0, 0]) == 19
    with pytest.raises(IndexError):
        slices[20]
    with pytest.raises(ValueError, match="read-only"):
        slices[0][0, 0] = 1


@pytest.mark.shared
def test_real_pictures(shared: Path) -> None:
    study = scan([shared / "cxr-png"])
    assert sum(s.files for s in study.series) == 10
    for series in study.series:
        assert (series.modality, series.geometry.spacing, series.geometry.letters()) == (
            "picture",
            None,
            None,
        )
    values = only(shared / "cxr-png/00001369_000.png").voxels[0]
    with Pillow.open(shared / "cxr-png/00001369_000.png") as picture:
        np.testing.assert_array_equal(values, np.asarray(picture.convert("RGB")))


def test_pictures_of_all_kinds(tmp_path: Path) -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    deep = grey.astype(np.uint16) * 2000
    colour = np.stack([grey, grey + 50, grey + 100], axis=-1)
    alpha = np.dstack([colour, np.where(grey < 12, 0, 255).astype(np.uint8)])
    Pillow.fromarray(grey).save(tmp_path / "grey.png")
    Pillow.fromarray(deep).save(tmp_path / "deep.png")
    Pillow.fromarray(colour).save(tmp_path / "colour.dcm", format="PNG")  # what it is called says nothing
    Pillow.fromarray(alpha).save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(only(tmp_path / "grey.png").voxels[0], grey)
    np.testing.assert_array_equal(only(tmp_path / "deep.png").voxels[0], deep)
    np.testing.assert_array_equal(only(tmp_path / "colour.dcm").voxels[0], colour)
    flat = only(tmp_path / "alpha.png")
    np.testing.assert_array_equal(flat.voxels[0], np.where(grey[..., None] < 12, 0, colour))
    assert any("Transparent" in w for w in flat.warnings)
    turned = Pillow.fromarray(grey)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    series = only(tmp_path / "turned.png")
    np.testing.assert_array_equal(series.voxels[0], np.rot90(grey, -1))
    assert any("upright" in w for w in series.warnings)
    assert len(scan([tmp_path]).series) == 5


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Pillow.new("1", (8, 8)).save(tmp_path / "huge.png")
    content = bytearray((tmp_path / "huge.png").read_bytes())
    content[16:24] = (40_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "huge.png").write_bytes(content)
    (entry,) = scan([tmp_path]).refused
    assert "40000 × 40000" in entry.reason
