# SPDX-License-Identifier: Apache-2.0
"""Decoder children killed again and again while their slices are read.

`python tests/dicom/kills.py --kills 100` kills many; the tests kill some. It is right if every slice that
is read is the one that was written or costs one sentence, whoever asks goes on, and nothing is left behind.
"""

# ruff: noqa: T201
import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jpeg_ls
import numpy as np
from pydicom.encaps import encapsulate

sys.path.append(str(Path(__file__).parents[1]))  # as a script, it does not see what tests share
from dicom_files import write

from viewer.dicom import scan
from viewer.dicom.decoder_pool import Decoders, shared_decoder
from viewer.errors import SeriesError
from viewer.settings import Limits, Settings
from viewer.types import Array, Series

SLICES, SIDE = 24, 128
READERS = 2
SECONDS = 10.0
"""The longest that one slice may take, a child's start and a second try included."""
LIMITS = Limits(decode_seconds=5.0)


def series_in(folder: Path) -> tuple[Series, list[Array]]:
    """A series in JPEG-LS, and the pixels that were written."""
    chance, written = np.random.default_rng(1), []
    for k in range(SLICES):
        pixels = chance.integers(0, 4096, (SIDE, SIDE)).astype(np.uint16)
        stored = encapsulate([bytes(jpeg_ls.encode_array(pixels))])
        facts = {"TransferSyntaxUID": "1.2.840.10008.1.2.4.80", "PixelData": stored}
        write(folder / f"{k:02}.dcm", pixels=pixels, ImagePositionPatient=[0, 0, 2 * k], **facts)
        written.append(pixels)
    (series,) = scan([folder], Settings(limits=LIMITS, slice_memory=0)).series  # each is decoded anew
    return series, written


def killed(series: Series, written: list[Array], kills: int, seed: int = 1) -> Counter[str]:
    """What became of all reads; raises `AssertionError` for what must not be."""
    decoders = shared_decoder(LIMITS.decode_seconds, LIMITS.decode_memory)
    counts: Counter[str] = Counter()
    lock, over = threading.Lock(), threading.Event()
    faults: list[str] = []

    def read(own: int) -> None:
        chance = random.Random(f"{seed} {own}")
        while not over.is_set():
            found = _one(series, written, chance.randrange(SLICES))
            with lock:
                counts[found] += 1
                if found not in ("right", "a sentence"):
                    faults.append(found)

    readers = [threading.Thread(target=read, args=(k,), daemon=True) for k in range(READERS)]
    for reader in readers:
        reader.start()
    seen = _kill(decoders, kills, random.Random(seed), counts)
    over.set()
    for reader in readers:
        reader.join(2 * SECONDS)
        if reader.is_alive():
            faults.append("a reader hangs")
    for index in range(SLICES):  # whatever happened, all can be read now
        found = _one(series, written, index)
        counts[found] += 1
        if found != "right":
            faults.append(f"slice {index} is lost")
    decoders.close()
    faults += [f"child {pid} is left" for pid in seen if Path(f"/proc/{pid}").exists()]
    if faults:
        raise AssertionError("; ".join(faults))
    return counts


def _kill(decoders: Decoders, kills: int, chance: random.Random, counts: Counter[str]) -> set[int]:
    """Kill one running child after another, while it starts or after some slices; all numbers they had."""
    seen: set[int] = set()
    while counts["killed"] < kills:
        enough, late = counts["right"] + chance.choice((0, 0, 1, 4, 16, 64)), time.monotonic() + 2
        while counts["right"] < enough and time.monotonic() < late:
            time.sleep(0.001)
        time.sleep(chance.choice((0.0, 0.001, 0.01, 0.1)))
        running = decoders.pids
        if running:
            pid = chance.choice(running)
            with suppress(ProcessLookupError):  # it was replaced meanwhile
                os.kill(pid, signal.SIGKILL)
                seen.add(pid)
                counts["killed"] += 1
    return seen


def _one(series: Series, written: list[Array], index: int) -> str:
    begun = time.monotonic()
    try:
        found = "right" if np.array_equal(series.voxels[index], written[index]) else f"slice {index} is wrong"
    except SeriesError as error:
        found = "a sentence" if str(error).endswith(".") and "\n" not in str(error) else f"said {error!r}"
    taken = time.monotonic() - begun
    return found if taken < SECONDS else f"slice {index} took {taken:.1f} s"


@contextmanager
def nothing_left() -> Iterator[None]:
    """What Python shares by name, and the pixel memory that is open here, are no more than before."""
    before = _held()
    yield
    if left := _held() - before:  # a counter keeps what there is more of
        raise AssertionError(f"left behind: {sorted(left.elements())}")


def _held() -> Counter[str]:
    links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return Counter([str(link) for link in links if "memfd:pixels" in str(link)]) + Counter(
        str(path) for path in Path("/dev/shm").glob("psm_*")
    )


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--kills", type=int, default=100)
    words.add_argument("--seed", type=int, default=1)
    asked = words.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, nothing_left():
        counts = killed(*series_in(Path(folder)), asked.kills, asked.seed)
    said = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    print(f"seed {asked.seed}: {said}; wrong 0, left behind 0; {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
