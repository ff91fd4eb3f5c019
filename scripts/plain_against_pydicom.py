# SPDX-License-Identifier: Apache-2.0
"""Whether `viewer/dicom/plain.py` reads what each allowed version of pydicom reads, and what it saves.

    python scripts/plain_against_pydicom.py [--files 20000] [--rounds 5]

The last release of each minor version in the range of `pyproject.toml` is installed into a folder of its
own, and `tests/dicom/test_plain.py` is run with it. Then a folder of files is scanned with `plain.py`, and
with one call of pydicom for each file in its place.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]


def allowed(published: str, wanted: Requirement) -> list[Version]:
    """The last release of each minor version that a requirement allows, of what `pip index versions` says."""
    listed = re.search(r"^Available versions: (.+)$", published, re.MULTILINE)
    if listed is None:
        raise SystemExit("The package index lists no versions of pydicom.")
    found: dict[tuple[int, int], Version] = {}
    for version in sorted(Version(word) for word in listed[1].split(", ")):
        if version in wanted.specifier:
            found[version.major, version.minor] = version
    return list(found.values())


def versions() -> list[Version]:
    """What is published and allowed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (wanted,) = [one for one in map(Requirement, project["dependencies"]) if one.name == "pydicom"]
    asked = [sys.executable, "-m", "pip", "index", "versions", "pydicom"]
    return allowed(subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout, wanted)


def tested(version: Version) -> str:
    """The last line of the tests of `plain.py` with a version of pydicom, installed for that alone."""
    with tempfile.TemporaryDirectory() as folder:
        install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder]
        subprocess.run([*install, f"pydicom=={version}"], check=True)
        surroundings = os.environ | {"PYTHONPATH": os.pathsep.join([folder, str(ROOT)])}
        ask = "import pydicom; print(pydicom.__version__, pydicom.__file__)"
        named = subprocess.run(
            [sys.executable, "-c", ask], env=surroundings, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        if not named.startswith(f"{version} {folder}"):
            raise SystemExit(f"Python imports another pydicom than the one to be tested: {named}")
        words = [sys.executable, "-m", "pytest", "-n", "0", "-q", "tests/dicom/test_plain.py"]
        done = subprocess.run(words, cwd=ROOT, env=surroundings, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip().splitlines()[-1]


def without_plain() -> None:
    """Have every header read by one call of pydicom."""
    from typing import BinaryIO

    from viewer.dicom import scan
    from viewer.dicom.elements import pydicom
    from viewer.dicom.header import _LARGE_ELEMENT, Header, _pixel_data, _syntax
    from viewer.settings import Limits

    def read_header(path: Path, file: BinaryIO, block: bytes, limits: Limits) -> Header:
        file.seek(0)
        status = os.fstat(file.fileno())
        dataset = pydicom.dcmread(file, defer_size=_LARGE_ELEMENT, stop_before_pixels=True, force=True)
        place, meta = _pixel_data(file, True), dataset.file_meta
        return Header(path, status, dataset, place, _syntax(dataset, meta), meta._dict)

    vars(sys.modules[scan.__module__])["read_header"] = read_header


def scanned(folder: Path, plain: bool) -> dict[str, float]:
    """A scan in this process: seconds, and what was found."""
    from many_files import scanned as measured

    if not plain:
        without_plain()
    found: dict[str, float] = measured(folder)
    return found


def ratios(files: int, rounds: int) -> list[float]:
    """How much longer a scan takes without `plain.py`, in processes that take turns."""
    from many_files import make

    found: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), files)
        for _ in range(rounds):
            with_plain, without = (
                json.loads(
                    subprocess.run(
                        [sys.executable, __file__, "--do", how, folder], check=True, stdout=subprocess.PIPE
                    ).stdout
                )
                for how in ("plain", "pydicom")
            )
            for what in ("series", "slices", "other", "refused"):
                if with_plain[what] != without[what]:
                    raise SystemExit(f"The two scans differ: {with_plain[what]} and {without[what]} {what}.")
            taken = with_plain["seconds"], without["seconds"]
            say(f"    {taken[0]:6.2f} s with plain.py, {taken[1]:6.2f} s with pydicom alone")
            found.append(taken[1] / taken[0])
    return found


def say(line: str) -> None:
    """One line of the result, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--files", type=int, default=20_000)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--do", nargs=2, help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.do:
        say(json.dumps(scanned(Path(asked.do[1]), asked.do[0] == "plain")))
        return
    for version in versions():
        say(f"pydicom {version}: {tested(version)}")
    say(f"a scan of {asked.files} files:")
    found = ratios(asked.files, asked.rounds)
    span = f"{min(found):.2f} … {max(found):.2f}"
    say(f"    without plain.py it takes {statistics.median(found):.2f} times as long ({span})")


if __name__ == "__main__":
    main()
