# SPDX-License-Identifier: Apache-2.0
"""The decoder's own work: which fragments make a frame, JPEG-LS, and the memory that carries pixels."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import jpeg_ls
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own name
from dicom_files import Make
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate

from viewer.dicom import decode, decoder, decoder_pool, scan
from viewer.dicom.decoder_pool import Decoder, DecodingError
from viewer.dicom.fragments import frames_in
from viewer.types import Array

JPEG_LS, NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
MIB = 1024**2


def item(content: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<L", len(content)) + content


def packed(frames: list[list[bytes]], table: bool, end: bool = True) -> bytes:
    """Frames in fragments, as pixel data hold them."""
    coded = [b"".join(item(one) for one in fragments) for fragments in frames]
    starts = np.cumsum([0, *(len(c) for c in coded[:-1])])
    offsets = struct.pack(f"<{len(coded)}L", *starts) if table else b""
    return item(offsets) + b"".join(coded) + (b"\xfe\xff\xdd\xe0\0\0\0\0" if end else b"")


def unpacked(content: bytes, frames: int) -> list[bytes]:
    file = io.BytesIO(content)
    return [
        b"".join(content[at : at + length] for at, length in spans) for spans in frames_in(file, 0, frames)
    ]


FRAGMENTS = st.lists(
    st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\xff", b"\0")), min_size=1, max_size=4).map(
        lambda parts: [*parts[:-1], parts[-1] + b"\xff\xd9"]
    ),
    min_size=1,
    max_size=5,
)


@given(frames=FRAGMENTS, table=st.booleans(), end=st.booleans())
def test_frames_come_from_their_fragments(frames: list[list[bytes]], table: bool, end: bool) -> None:
    assert unpacked(packed(frames, table, end), len(frames)) == [b"".join(f) for f in frames]


@pytest.mark.parametrize("offsets", [(0, 0), (0, 7), (4, 12), (0, 0xFFFFFFFF), (0,), (0, 10, 20)])
def test_a_wrong_offset_table_is_not_believed(offsets: tuple[int, ...]) -> None:
    frames = [[b"ab", b"c\xff\xd9"], [b"def\xff\xd9\0"]]
    whole = packed(frames, table=False)
    wrong = item(struct.pack(f"<{len(offsets)}L", *offsets)) + whole[8:]
    assert unpacked(wrong, 2) == [b"abc\xff\xd9", b"def\xff\xd9\0"]


def test_what_makes_no_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="not known"):
        unpacked(packed([[b"a", b"b", b"c"]], table=False), 2)
    with pytest.raises(ValueError, match="no fragments"):
        unpacked(b"\0" * 40, 1)
    cut = packed([[b"abcd"], [b"efgh"]], table=True, end=False)[:-1]
    with pytest.raises(ValueError, match="not known"):
        unpacked(cut, 2)


def coded(make: Make, streams: list[bytes], syntax: str, **facts: object) -> Path:
    return make("coded.dcm", TransferSyntaxUID=syntax, PixelData=encapsulate(streams), **facts)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("error", [0, 2])
def test_grey_jpeg_ls(make: Make, bits: int, signed: bool, error: int) -> None:
    """A codestream knows no sign: a signed value is the unsigned number of the same bits."""
    random, kind = np.random.default_rng(bits), "i" if signed else "u"
    lowest = -(1 << (bits - 1)) if signed else 0
    values = random.integers(lowest + 3, lowest + (1 << bits) - 3, (20, 30)) // 2
    pixels = values.astype(f"{kind}{1 if bits == 8 else 2}")
    unsigned = pixels.view(f"u{pixels.itemsize}") & ((1 << bits) - 1)
    if bits == 12:  # the encoder takes the precision from the largest value
        unsigned[0, 0], pixels[0, 0] = (4095, -1) if signed else (4095, 4095)
    stream = bytes(
        jpeg_ls.encode_array(
            unsigned.astype(pixels.dtype.newbyteorder("=").str.replace("i", "u")), lossy_error=error
        )
    )
    facts = {"BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": int(signed)}
    path = coded(make, [stream], NEAR if error else JPEG_LS, pixels=pixels, **facts)
    (series,) = scan([path]).series
    assert series.voxels.dtype == pixels.dtype
    if error and signed:  # what overflows at zero changes its sign, in any reader
        wrapped = (series.voxels[0].astype(int) - pixels.astype(int) + (1 << (bits - 1))) % (1 << bits)
        assert np.abs(wrapped - (1 << (bits - 1))).max() <= error
    else:
        assert np.abs(series.voxels[0].astype(int) - pixels).max() <= error


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_colour_jpeg_ls_however_it_is_interleaved(make: Make, mode: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (9, 14, 3)).astype(np.uint8)
    given = np.ascontiguousarray(np.moveaxis(pixels, -1, 0)) if mode == 0 else pixels
    stream = bytes(jpeg_ls.encode_array(given, interleave_mode=mode))
    facts = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": int(mode == 0)}
    path = coded(make, [stream], JPEG_LS, pixels=pixels[None], **facts)
    np.testing.assert_array_equal(scan([path]).series[0].voxels[0], pixels)
    if mode != 0:  # GDCM mixes up planes
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0], pixels)


def frames(make: Make, count: int = 6) -> tuple[Path, Array]:
    """A file of several frames in JPEG-LS, each in two fragments."""
    pixels = np.random.default_rng(5).integers(0, 4096, (count, 16, 16)).astype(np.uint16)
    streams = [bytes(jpeg_ls.encode_array(one)) for one in pixels]
    data = encapsulate(streams, fragments_per_frame=2)
    return make(
        "many.dcm", pixels=pixels, NumberOfFrames=count, TransferSyntaxUID=JPEG_LS, PixelData=data
    ), pixels


def test_frames_of_one_file_are_read_by_all_children(make: Make) -> None:
    path, pixels = frames(make)
    (series,) = scan([path]).series
    assert series.voxels.ahead == decoder_pool.CHILDREN  # type: ignore[attr-defined]
    np.testing.assert_array_equal(np.stack(list(series.voxels)), pixels)


def test_pixels_come_through_the_pipe_where_no_memory_is_shared(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "_shared_memory", lambda: None)
    path, pixels = frames(make)
    (series,) = scan([path]).series
    decoder = Decoder(20, 2**33)
    monkeypatch.setattr(decode, "shared_decoder", lambda *_: decoder)
    np.testing.assert_array_equal(series.voxels[3], pixels[3])
    decoder.close()


def lying(folder: Path, reply: str) -> Path:
    """A decoder that gives this reply, whatever it is asked."""
    path = folder / "lying.py"
    path.write_text(
        "import json, os, struct, sys\n"
        "out, shared = sys.stdout.buffer, int(sys.argv[2])\n"
        "out.write(b'ready\\n'); out.flush()\n"
        "while sys.stdin.buffer.readline():\n"
        f"    head = json.dumps({reply}).encode()\n"
        "    out.write(struct.pack('<I', len(head)) + head); out.flush()\n"
    )
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="only there, memory is shared")
def test_memory_that_was_not_filled_is_not_believed(tmp_path: Path) -> None:
    decoder = Decoder(5, 2**33, lying(tmp_path, "{'shape': [4], 'dtype': 'uint8', 'shared': True}"))
    with pytest.raises(DecodingError, match="crash"):
        decoder.decode({}, 4)
    assert decoder.pid is None
    filling = "(os.pwrite(shared, b'abcd', 0), {'shape': [4], 'dtype': 'uint8', 'shared': True})[1]"
    decoder = Decoder(5, 2**33, lying(tmp_path, filling))
    assert decoder.decode({}, 4).tobytes() == b"abcd"
    with pytest.raises(DecodingError, match="crash"):
        decoder.decode({}, 3)  # more than was asked for
    decoder.close()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_of_the_shared_memory_is_left() -> None:
    def held() -> int:
        return sum(
            "memfd:pixels" in str(link.readlink())
            for link in Path("/proc/self/fd").iterdir()
            if link.is_symlink()
        )

    before, named = held(), set(Path("/dev/shm").iterdir())
    decoder = Decoder(20, 2**33)
    for _ in range(3):
        decoder.start()
        assert held() == before + 1
        decoder.close()
        assert held() == before
    assert set(Path("/dev/shm").iterdir()) == named


def test_children_start_ahead_of_need(make: Make) -> None:
    path, pixels = frames(make)
    decoder = Decoder(20, 2**33)
    decoder.start()
    first = decoder.pid
    assert first is not None
    decoder.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "shared_decoder", lambda *_: decoder)
        (series,) = scan([path]).series
        np.testing.assert_array_equal(series.voxels[0], pixels[0])
    assert decoder.pid == first
    decoder.close()


def test_a_child_loads_of_this_program_only_what_decodes() -> None:
    """Nor, before a request asks for it, any library that reads a file."""
    done = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", decoder.__file__, str(2**33), "-1"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "ready\n"
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    ours = {name for name in loaded if name.partition(".")[0] in ("viewer", "plugins", "resources", "main")}
    assert ours == {"viewer.dicom.pixel_codecs", "viewer.dicom.fragments"}
    assert "numpy" in loaded
    assert not loaded & {"pydicom", "PIL", "openjpeg", "jpeg_ls", "gdcm", "torch"}
