# SPDX-License-Identifier: Apache-2.0
"""Damaged DICOM files, made from healthy ones by a seed, and what becomes of them.

`python tests/dicom/fuzz.py --cases 5000` runs many; the tests run some. With `--coded` only what lies inside
compressed images is damaged, so that most of it reaches a decoder. A case is right if it gives an image or
one sentence, in time: no crash, no hang, no exception of another kind.
"""

# ruff: noqa: T201
import argparse
import io
import random
import struct
import tempfile
import time
from collections import Counter
from pathlib import Path

from viewer.dicom import header, scan
from viewer.dicom.decoder_pool import shared_decoder
from viewer.dicom.fragments import fragments
from viewer.errors import SeriesError
from viewer.settings import Limits, Settings

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "dicom"
LARGEST = 400_000
"""Bytes of the files that are damaged: of larger ones only the pixels are more."""
SECONDS = 10.0
SETTINGS = Settings(limits=Limits(bytes=256 * 1024**2, decode_seconds=5.0, decode_memory=2 * 1024**3))
FRAMES = 2
"""Frames decoded of a file that opens."""
Bytes = bytearray


def sources() -> list[Path]:
    """The healthy files, in an order that does not depend on the disk."""
    files = (p for p in SHARED.rglob("*") if p.is_file() and 256 < p.stat().st_size < LARGEST)
    return sorted(files, key=lambda p: p.relative_to(SHARED).as_posix())


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content with one to four kinds of damage."""
    data = Bytes(content)
    for _ in range(chance.randint(1, 4)):
        chance.choice(KINDS)(data, chance)
        if len(data) < 8:
            break
    return bytes(data)


def _flip(data: Bytes, chance: random.Random) -> None:
    """Some bytes anywhere."""
    for _ in range(chance.choice((1, 4, 32))):
        data[chance.randrange(len(data))] = chance.randrange(256)


def _flip_header(data: Bytes, chance: random.Random) -> None:
    """Some bytes where the header lies."""
    for _ in range(chance.choice((1, 3, 10))):
        data[chance.randrange(min(len(data), 2000))] ^= 1 << chance.randrange(8)


def _cut(data: Bytes, chance: random.Random) -> None:
    """The end is missing."""
    del data[chance.randrange(1, len(data)) :]


def _lie(data: Bytes, chance: random.Random) -> None:
    """A number becomes an extreme one: a length, a size, a count."""
    place = chance.randrange(len(data) - 4) if len(data) > 4 else 0
    data[place : place + 4] = _extreme(chance)


def _extreme(chance: random.Random) -> bytes:
    value = chance.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE, 0x80000000))
    return struct.pack("<L", value)


_SIZES = {
    "rows": b"\x28\x00\x10\x00", "columns": b"\x28\x00\x11\x00", "frames": b"\x28\x00\x08\x00",
    "samples": b"\x28\x00\x02\x00", "allocated": b"\x28\x00\x00\x01", "stored": b"\x28\x00\x01\x01",
    "high bit": b"\x28\x00\x02\x01", "planar": b"\x28\x00\x06\x00", "sign": b"\x28\x00\x03\x01",
    "palette": b"\x28\x00\x01\x11", "pixels": b"\xe0\x7f\x10\x00",
}  # fmt: skip


def _size(data: Bytes, chance: random.Random) -> None:
    """A size of the image, or the length of its pixels, says something else."""
    at = data.find(_SIZES[chance.choice(sorted(_SIZES))])
    if 0 <= at < len(data) - 12:
        data[at + 8 : at + 10] = struct.pack("<H", chance.choice((0, 1, 7, 255, 4097, 32768, 65535)))


def _splice(data: Bytes, chance: random.Random) -> None:
    """A piece of the file lies somewhere else too."""
    size = chance.randrange(1, min(len(data), 3000))
    start = chance.randrange(len(data) - size)
    place = chance.randrange(len(data))
    data[place:place] = data[start : start + size]


def _nest(data: Bytes, chance: random.Random) -> None:
    """Sequences in sequences, deeper than any file has them."""
    item = b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    at = min(len(data), 132 + 200)
    data[at:at] = item * chance.choice((3, 50, 2000))


KINDS = (_flip, _flip_header, _flip_header, _cut, _lie, _lie, _size, _size, _splice, _nest)


_CODED = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"


def coded(files: list[Path]) -> list[Path]:
    """The files whose image is compressed."""
    return [path for path in files if _CODED in path.read_bytes()]


def damaged_inside(content: bytes, chance: random.Random) -> bytes:
    """The content with damage inside its codestreams, half of it where they begin; no length changes."""
    data, start = Bytes(content), content.index(_CODED) + len(_CODED)
    spans = fragments(io.BytesIO(content), start).spans
    for _ in range(chance.randint(1, 4)):
        at, length = chance.choice(spans)
        if length < 16:
            continue
        piece = data[at : at + length]
        reach = min(length, chance.choice((64, length)))
        match chance.randrange(4):
            case 0:
                for _ in range(chance.choice((1, 4, 32))):
                    piece[chance.randrange(reach)] = chance.randrange(256)
            case 1:
                piece[chance.randrange(reach)] ^= 1 << chance.randrange(8)
            case 2:
                place = chance.randrange(reach - 4)
                piece[place : place + 4] = _extreme(chance)
            case _:
                size = chance.randrange(1, length // 2)
                source, place = (chance.randrange(length - size) for _ in range(2))
                piece[place : place + size] = piece[source : source + size]
        data[at : at + length] = piece
    return bytes(data)


def outcome(content: bytes, folder: Path) -> str:
    """What becomes of a file: "image", "listed", "refused", "not decoded"; raises what must not be."""
    path = folder / "case.dcm"
    path.write_bytes(content)
    begun = time.monotonic()
    try:
        found = _opened(path)
    finally:
        path.unlink(missing_ok=True)
    taken = time.monotonic() - begun
    if taken > SECONDS:
        raise AssertionError(f"took {taken:.1f} s")
    return found


def _opened(path: Path) -> str:
    study = scan([path], SETTINGS)
    listed = [*study.other, *study.refused]
    if len(listed) + sum(s.files for s in study.series) != 1:
        raise AssertionError("the file is not counted once")
    for entry in listed:
        if not entry.reason.endswith(".") or "\n" in entry.reason or "Traceback" in entry.reason:
            raise AssertionError(f"no sentence: {entry.reason!r}")
    try:
        header(path, SETTINGS.limits)
    except SeriesError as error:
        if not str(error).endswith("."):
            raise AssertionError(f"no sentence: {error!r}") from error
    if not study.series:
        return "listed" if study.other else "refused"
    series = study.series[0]
    try:
        for index in range(min(FRAMES, series.shape[0])):
            if series.voxels[index].shape != series.voxels.shape[1:]:
                raise AssertionError("another shape than promised")
    except SeriesError as error:
        if not str(error).endswith("."):
            raise AssertionError(f"no sentence: {error!r}") from error
        return "not decoded"
    return "image"


def case(number: int, seed: int, files: list[Path], inside: bool = False) -> bytes:
    """Case `number`: always the same bytes for a seed."""
    chance = random.Random(f"{seed} {number}")
    return (damaged_inside if inside else damaged)(chance.choice(files).read_bytes(), chance)


def _memory() -> str:
    """The most that this process and a decoder took, once the decoders have ended."""
    import resource  # not on Windows, where the tests run all the same

    shared_decoder(SETTINGS.limits.decode_seconds, SETTINGS.limits.decode_memory).close()
    most = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return "at most {:.0f} MiB, a decoder {:.0f} MiB".format(*most)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--cases", type=int, default=5000)
    words.add_argument("--first", type=int, default=0)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--coded", action="store_true")
    asked = words.parse_args()
    files, counts, faults = sources(), Counter[str](), 0
    files = coded(files) if asked.coded else files
    longest, begun = 0.0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.first, asked.first + asked.cases):
            start = time.monotonic()
            try:
                counts[outcome(case(number, asked.seed, files, asked.coded), Path(folder))] += 1
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                faults += 1
                print(f"case {number}: {type(error).__name__}: {error}")
            longest = max(longest, time.monotonic() - start)
    said = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    where = ", inside codestreams" if asked.coded else ""
    print(f"{asked.cases} cases{where}, seed {asked.seed}: {said}; faults {faults}")
    print(f"longest {longest:.1f} s, all {time.monotonic() - begun:.0f} s; {_memory()}")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
