# SPDX-License-Identifier: Apache-2.0
"""Running another checkout of the program, with this Python and nothing of this checkout in its way."""

import os
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_SETUP = "from setuptools import setup; setup()"


def exported(revision: str, folder: Path) -> Path:
    """The tree of a revision of this repository, written to a new folder; nothing is noted in the repository.

    Raises `SystemExit` with a sentence where there is no such revision.
    """
    words = ["git", "-C", str(ROOT), "archive", "--format=tar", revision]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"There is no revision {revision}: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as tree:
        tree.extractall(folder, filter="data")
    return folder


def copied(folder: Path) -> Path:
    """This checkout as it lies there, without what git ignores, copied to a new folder.

    What runs there is not disturbed by whoever goes on working here.
    """
    words = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(words, capture_output=True, check=True)
    for name in done.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():  # one that git knows may have been removed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def surroundings(tree: Path, notes: Path) -> dict[str, str]:
    """The environment in which Python imports the program, and finds its plugins, from a checkout.

    An installed program stands behind `PYTHONPATH`. Its plugins are found by entry points, which are not in
    the sources: they are written to the folder `notes`, which must not be shared by two checkouts.
    """
    notes.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-c", _SETUP, "-q", "egg_info", "--egg-base", str(notes)]
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=tree, env=plain, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{tree} is no checkout that can be run: {done.stderr.strip()[-300:]}")
    return {**plain, "PYTHONPATH": os.pathsep.join((str(notes), str(tree)))}
