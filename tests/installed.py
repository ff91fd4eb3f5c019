# SPDX-License-Identifier: Apache-2.0
"""The program installed from its wheel, in an environment of its own, away from the source tree."""

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("viewer", "plugins", "resources", "main.py", "pyproject.toml", "README.md", "LICENSE")


def run(*words: object, cwd: Path, status: int = 0) -> str:
    """Run a program; gives its standard output."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(w) for w in words], cwd=cwd, capture_output=True, text=True, timeout=250, check=False, env=clean
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def build_wheel(source: Path, out: Path) -> Path:
    """A wheel, made with what is installed here; nothing is fetched."""
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source, cwd=out.parent)
    (wheel,) = out.glob("*.whl")
    return wheel


def copy_of_the_tree(target: Path) -> Path:
    """What the wheel is made from, so that building leaves nothing in the tree."""
    target.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return target


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds the wheel, and sees the other packages of this one.

    The packages come by a `.pth` file, which names a folder and runs no `.pth` in it: so the source
    tree, by which this environment finds the program, is out of sight there.
    """

    folder: Path
    wheel: Path

    @classmethod
    def make(cls, folder: Path) -> "Environment":
        wheel = build_wheel(copy_of_the_tree(folder / "tree"), folder / "dist")
        run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
        made = cls(folder / "venv", wheel)
        paths = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
        (made.site / "others.pth").write_text("\n".join(paths) + "\n", "utf-8")
        made.install(wheel)
        return made

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site(self) -> Path:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / version / "site-packages"

    def install(self, wheel: Path) -> None:
        pip = (sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check")
        run(*pip, "install", "-q", "--no-deps", "--no-index", "--no-compile", wheel, cwd=self.folder)

    def whyscope(self, *words: object, cwd: Path, status: int = 0) -> str:
        """The installed console script."""
        return run(self.folder / "bin" / "whyscope", *words, cwd=cwd, status=status)
