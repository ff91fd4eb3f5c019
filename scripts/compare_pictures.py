# SPDX-License-Identifier: Apache-2.0
"""Whether two checkouts show the same window, pixel by pixel, in every state of a fixed set.

    python scripts/compare_pictures.py OLD NEW [--only WORD] [--differences FOLDER] [--json]
    python scripts/compare_pictures.py --render TREE FOLDER [--only WORD]

OLD and NEW are checkouts, which are rendered first, or folders that `--render` has filled. Without a screen,
in dark and light colours, at 1600 × 1000 and 1280 × 720 and, at the latter, on a screen of 150 %. The states
and keys stand in `drive_window.py`. Nothing is masked: no time and no measured figure is on the screen
once the window rests, so that two runs of one checkout are equal. Exit status 1 where a picture moved, is
missing or is new.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from checkouts import surroundings
from drive_window import SESSIONS
from PIL import Image

DRIVER = Path(__file__).with_name("drive_window.py")
SCALES = {"1": ("1600x1000", "1280x720"), "1.5": ("1280x720",)}
"""Sizes of the window by how many pixels of the screen its own pixels have."""
COLOURS = ("dark", "light")
_PATIENCE = 1800
MARK = (255, 0, 255)


@dataclass(frozen=True)
class Difference:
    """How two pictures of one name differ."""

    name: str
    pixels: int
    """How many differ; 0 where the sizes do."""
    most: int
    """The largest difference of a channel, of 255."""
    box: tuple[int, int, int, int] | None
    """Left, top, right and bottom of what differs, the last two not included; None where the sizes differ."""
    said: str

    @staticmethod
    def between(name: str, old: np.ndarray, new: np.ndarray) -> "Difference | None":
        """The difference of two uint8 pictures (rows, columns, 3); None where they are equal."""
        if old.shape != new.shape:
            return Difference(name, 0, 0, None, f"{_size(old)} before, {_size(new)} now")
        apart = np.abs(old.astype(np.int16) - new).max(-1)
        rows, columns = np.nonzero(apart)
        if not len(rows):
            return None
        box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        count, most = len(rows), int(apart.max())
        return Difference(name, count, most, box, f"{count} pixels by up to {most}, in {box}")


def _size(picture: np.ndarray) -> str:
    return f"{picture.shape[1]} × {picture.shape[0]}"


def render(tree: Path, folder: Path, only: str = "") -> None:
    """Fill a folder with the pictures of a checkout whose session, scale or colours have a word in them."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as notes:
        known = surroundings(tree, Path(notes) / "entry-points")
        for session in SESSIONS:
            for scale, sizes in SCALES.items():
                for colours in COLOURS:
                    name = f"{session} {colours} x{scale}"
                    if only not in name:
                        continue
                    own = folder / name
                    own.mkdir(exist_ok=True)
                    fixed = {
                        "QT_QPA_PLATFORM": "offscreen",
                        "QT_SCALE_FACTOR": scale,
                        "OMP_NUM_THREADS": "1",  # sums in one order
                        "WHYSCOPE_CONFIG": str(Path(notes) / name),
                        "PYTHONDONTWRITEBYTECODE": "1",
                    }
                    words = [sys.executable, str(DRIVER), str(tree), session, colours, str(own), *sizes]
                    done = subprocess.run(
                        words, cwd=notes, env=known | fixed, capture_output=True, text=True,
                        timeout=_PATIENCE, check=False,
                    )  # fmt: skip
                    if done.returncode:
                        raise SystemExit(f"{tree}, {name}: {done.stderr.strip()[-2000:]}")


def pictures(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their names."""
    return {str(path.relative_to(folder).with_suffix("")): path for path in sorted(folder.rglob("*.png"))}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def compare(old: Path, new: Path, only: str = "", out: Path | None = None) -> tuple[int, list[Difference]]:
    """How many names two folders have together, and every picture that is not the same in both."""
    before, now = pictures(old), pictures(new)
    names = [name for name in sorted({*before, *now}) if only in name]
    found: list[Difference] = []
    for name in names:
        if name not in before or name not in now:
            found.append(Difference(name, 0, 0, None, "only now" if name in now else "only before"))
            continue
        one, other = pixels(before[name]), pixels(now[name])
        moved = Difference.between(name, one, other)
        if moved is not None:
            found.append(moved)
            if out is not None:
                _draw(one, other, out / f"{name.replace('/', ' ')}.png")
    return len(names), found


def _draw(old: np.ndarray, new: np.ndarray, path: Path) -> None:
    """Both pictures, and the new one with every pixel marked that moved, one below the other."""
    parts = [old, new]
    if old.shape == new.shape:
        marked = new // 3
        marked[(old != new).any(-1)] = MARK
        parts.append(marked)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = Image.new("RGB", (max(p.shape[1] for p in parts), sum(p.shape[0] for p in parts)))
    top = 0
    for part in parts:
        whole.paste(Image.fromarray(part), (0, top))
        top += part.shape[0]
    whole.save(path)


def rendered(place: Path, only: str, spare: Path) -> Path:
    """A folder of pictures: the place itself, or what its checkout shows, rendered to a spare folder."""
    if not (place / "main.py").is_file():
        if not place.is_dir():
            raise SystemExit(f"{place} is neither a checkout nor a folder of pictures.")
        return place
    render(place, spare, only)
    return spare


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("old", type=Path, nargs="?")
    words.add_argument("new", type=Path, nargs="?")
    words.add_argument("--render", type=Path, nargs=2, metavar=("TREE", "FOLDER"))
    words.add_argument("--only", default="", help="a word of the names of pictures, such as ct or light")
    words.add_argument("--differences", type=Path, metavar="FOLDER", help="draw what moved")
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    if asked.render is not None:
        tree, folder = (path.absolute() for path in asked.render)
        render(tree, folder, asked.only)
        sys.stdout.write(f"{len(pictures(folder))} pictures in {folder}\n")
        return
    if asked.old is None or asked.new is None:
        words.error("two places are compared: OLD NEW")
    with tempfile.TemporaryDirectory() as spare:
        old = rendered(asked.old.absolute(), asked.only, Path(spare) / "old")
        new = rendered(asked.new.absolute(), asked.only, Path(spare) / "new")
        count, moved = compare(old, new, asked.only, asked.differences)
    if asked.json:
        text = json.dumps({"pictures": count, "moved": [asdict(one) for one in moved]}, indent=1)
    else:
        lines = [f"  {one.name}: {one.said}" for one in moved]
        text = "\n".join([*lines, f"{count} pictures, {count - len(moved)} equal, {len(moved)} not"])
    sys.stdout.write(text + "\n")
    sys.exit(1 if moved or not count else 0)


if __name__ == "__main__":
    main()
