# SPDX-License-Identifier: Apache-2.0
"""Makes every picture of README and guide from the real window, without a screen.

    python scripts/pictures.py [NAME...]

On one machine the same files come out again, byte for byte.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from PIL import Image
from PySide6.QtCore import QRect
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QWidget
from safetensors.torch import save_file

from viewer import demo
from viewer.export import whole
from viewer.settings import Preferences, Settings
from viewer.ui import plots
from viewer.ui.panels import ExportDialog
from viewer.ui.widgets import theme
from viewer.ui.window import Window

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "guide"
LARGE, SMALL = (1600, 1000), (1160, 660)
FOOT = (0, SMALL[1] - 360, SMALL[0], 360)
"""The lower part of a small window, with the message bar."""
CALM = 40
"""How many looks in a row must find no work under way: between two jobs there is a moment without any."""


def settle(window: Window) -> None:
    """Wait until no work is under way and all of it is drawn."""
    calm = 0
    while calm < CALM:
        time.sleep(0.01)
        QApplication.processEvents()
        calm = 0 if window.presenter.working or plots.coming() else calm + 1


@contextmanager
def opened(
    study: int, model: Path | str = "cnn", size: tuple[int, int] = SMALL, light: bool = False
) -> Iterator[Window]:
    """The window on a study of the demo and a model, when it has done all that it does unasked."""
    window = Window(Settings(device="cpu"), Preferences(), light=light)
    window.resize(*size)
    window.show()
    window.presenter.explaining.load_model(model if isinstance(model, Path) else demo.models()[model])
    settle(window)
    window.presenter.studies.open([demo.studies()[study]])
    settle(window)
    yield window
    window.close()


def save(widget: QWidget, path: Path, crop: tuple[int, int, int, int] | None = None) -> None:
    """Save what a widget shows, or a part of it (left, top, right, bottom).

    Colours stay as they are. Greys go to every fourth level, which no eye sees and takes a third off the
    file.
    """
    picture = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows, line = picture.height(), picture.bytesPerLine()
    pixels = np.frombuffer(picture.constBits(), np.uint8).reshape(rows, line)[:, : 3 * picture.width()]
    pixels = pixels.reshape(rows, -1, 3).copy()
    grey = (pixels[..., 0] == pixels[..., 1]) & (pixels[..., 1] == pixels[..., 2])
    pixels[grey] = np.minimum((pixels[grey].astype(int) + 2) // 4 * 4, 255)
    if crop is not None:
        pixels = pixels[crop[1] : crop[3], crop[0] : crop[2]]
    path.parent.mkdir(exist_ok=True)
    with whole(path) as part:
        Image.fromarray(np.ascontiguousarray(pixels)).save(part, "PNG", optimize=True)


def part(window: Window, *widgets: QWidget) -> tuple[int, int, int, int]:
    """The part of a window that holds these widgets."""
    boxes = [QRect(w.mapTo(window, w.rect().topLeft()), w.size()) for w in widgets]
    box = reduce(QRect.united, boxes)
    return box.left(), box.top(), box.right() + 1, box.bottom() + 1


def readme() -> None:
    """The demo as `main.py demo` opens it."""
    window = Window(Settings(device="cpu"), Preferences())
    window.resize(*LARGE)
    window.show()
    window.presenter.explaining.load_model(demo.models()["cnn"])
    window.presenter.studies.open(list(demo.studies()))
    settle(window)
    save(window, ROOT / "docs" / "picture.png")
    window.close()


def start() -> None:
    window = Window(Settings(device="cpu"), Preferences())
    window.resize(*SMALL)
    window.show()
    settle(window)
    save(window, GUIDE / "start.png")
    window.close()


def explained() -> None:
    with opened(0) as window:
        save(window, GUIDE / "explained.png")


def panels() -> None:
    """The right side, with a method that has settings."""
    with opened(0, size=LARGE) as window:
        window.presenter.explaining.choose_method("integrated-gradients")
        window.presenter.explaining.explain()
        window.explaining.settings.click()
        settle(window)
        right = window.right.widget()
        assert right is not None
        save(right, GUIDE / "panels.png", (0, 0, right.width(), 872))


def patch() -> None:
    """The demo's network made to read a quarter of the image, placed on the finding."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "patches"
        shutil.copytree(demo.models()["cnn"], folder)
        card = (folder / "model.yaml").read_text("utf-8")
        card = card.replace("fit: squash", "fit: patch\n  spacing:\n  - 2.34375\n  - 3.0")
        (folder / "model.yaml").write_text(card.replace("  - 128\n", "  - 64\n"), "utf-8")
        with opened(0, folder) as window:
            window.presenter.patches.place(98, 112)
            settle(window)
            save(window, GUIDE / "patch.png", part(window, window.mapped, window.right))


def sheet() -> None:
    with opened(0, size=(1024, 640)) as window:
        window.run("sheet")
        window.presenter.contact_sheet.choose("methods")
        settle(window)
        save(window, GUIDE / "sheet.png", part(window, window.contact_sheet))


def compare() -> None:
    """One method at two layers."""
    with opened(0, size=(1024, 640)) as window:
        window.run("compare")
        state = window.presenter.state
        assert state.answer.model is not None
        window.presenter.explaining.choose_layer(state.answer.model.stages[-2])
        settle(window)
        save(window, GUIDE / "compare.png", part(window, window.compare))


def card() -> None:
    """The method card beside its chooser."""
    with opened(0) as window:
        window.run("method-card")
        settle(window)
        save(window, GUIDE / "card.png", part(window, window.card, window.explaining))


def slices() -> None:
    with opened(0, "cnn3d") as window:
        window.presenter.studies.choose_series(1)
        settle(window)
        window.presenter.next_evidence()
        settle(window)
        save(window, GUIDE / "slices.png", part(window, window.mapped, window.slices, window.right))


def planes() -> None:
    with opened(0, "cnn3d", size=(1060, SMALL[1])) as window:
        window.presenter.studies.choose_series(1)
        settle(window)
        window.run("three-planes")
        settle(window)
        window.presenter.next_evidence()
        settle(window)
        save(window, GUIDE / "planes.png", part(window, window.planes))


def refused() -> None:
    with opened(2) as window:
        save(window, GUIDE / "refused.png", FOOT)


def negative() -> None:
    with opened(1) as window:
        window.presenter.explaining.take_action("show")
        settle(window)
        save(window, GUIDE / "negative.png", part(window, window.mapped, window.right))


def trust() -> None:
    with tempfile.TemporaryDirectory() as name, opened(0) as window:
        folder = Path(name) / "my-model"
        shutil.copytree(demo.models()["cnn"], folder)
        (folder / "network.py").write_text("from torch import nn\n\nNet = nn.Linear\n", "utf-8")
        card = (folder / "model.yaml").read_text("utf-8")
        (folder / "model.yaml").write_text(card.replace("builtin:small-cnn", "network.py:Net"), "utf-8")
        save_file({"weight": torch.zeros(1, 1)}, folder / "model.safetensors")
        here = Path.cwd()
        os.chdir(name)  # the bar names the file, and a page must not name a folder of this machine
        try:
            window.presenter.explaining.load_model(Path("my-model"))
            settle(window)
        finally:
            os.chdir(here)
        save(window, GUIDE / "trust.png", FOOT)


def light() -> None:
    with opened(0, light=True) as window:
        window.presenter.explaining.choose_method("occlusion")
        window.presenter.explaining.explain()
        settle(window)
        save(window, GUIDE / "light.png", part(window, window.mapped, window.right))


def export() -> None:
    with opened(0) as window:
        dialog = ExportDialog(window, Path("explained"))
        dialog.show()
        dialog.write.setFocus()
        settle(window)
        save(dialog, GUIDE / "export.png")
        dialog.close()


PICTURES: dict[str, Callable[[], None]] = {
    make.__name__: make
    for make in (
        readme,
        start,
        explained,
        panels,
        card,
        patch,
        sheet,
        compare,
        slices,
        planes,
        refused,
        negative,
        trust,
        light,
        export,
    )
}


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in PICTURES]
    if unknown:
        raise SystemExit(f"There is no picture {unknown[0]}; there are {', '.join(PICTURES)}.")
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    application = QApplication([])
    theme.load_fonts()
    torch.set_num_threads(1)  # sums in one order
    for name in names or PICTURES:
        PICTURES[name]()
    application.quit()


if __name__ == "__main__":
    main(sys.argv[1:])
