# SPDX-License-Identifier: Apache-2.0
"""Opens the window of whichever checkout is on the path, presses keys, and photographs it after each.

Run by `compare_pictures.py`, in the environment of a checkout. It knows of the program what stays: how it is
started (`viewer.ui.app.run`), its keys, its demo's files, and `window.presenter.working`.

    python scripts/drive_window.py TREE SESSION dark|light FOLDER WIDTHxHEIGHT…
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QImage, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QMainWindow, QWidget

CALM = 0.5
"""Seconds in which no work must be under way and the picture must not change."""
PATIENCE = 240.0
"""Seconds after which a window that is still at work is given up."""
LAYOUTS = {"one-view": ["F5"], "two-views": ["F6"]}
"""Keys, by the preferences, for what has none of its own."""
OPENED = [
    {"paths": ["/nowhere/first"], "opened": "2026-01-05 10:20"},
    {"paths": ["/nowhere/second", "/nowhere/third"], "opened": "2026-02-06 17:03"},
]
"""What the preferences say was opened before; not there any more."""


@dataclass(frozen=True)
class Session:
    """What is opened, of the demo, and the steps before each photograph by its name."""

    studies: tuple[str, ...] = ()
    model: str | None = None
    shots: tuple[tuple[str, tuple[str, ...]], ...] = ()
    opened_before: bool = False


SESSIONS = {
    "start": Session(shots=(("page", ()), ("search", ("Ctrl+K",)), ("settings", ("Esc", "Ctrl+,")))),
    "start-again": Session(opened_before=True, shots=(("page", ()), ("unmasked", ("M",)))),
    "radiograph": Session(
        ("1-nodule", "2-clear", "3-real"),
        "cnn",
        (
            ("explained", ()),
            ("one-view", ("F5",)),
            ("inverted", ("Q", "Q", "I")),
            ("two-views", ("Ctrl+Z", "Ctrl+Z", "Ctrl+Z", "F6")),
            ("sheet", ("S",)),
            ("sheet-of-methods", ("click All quick methods",)),
            ("compare", ("F6", "V")),
            ("negative", ("F6", "PgDown", "PgDown")),
            ("refused", ("PgDown", "PgDown")),
            ("card", ("PgUp", "PgUp", "PgUp", "PgUp", "F1")),
            ("header", ("D",)),
        ),
    ),
    "ct": Session(
        ("1-nodule",),
        "cnn3d",
        (
            ("two-views", ("PgDown",)),
            ("one-view", ("F5",)),
            ("evidence", ("N", "3")),
            ("planes", ("P",)),
            ("planes-middle", ("N", "M")),
            ("sheet", ("S",)),
            ("compare", ("V",)),
        ),
    ),
}


def main_window() -> QMainWindow:
    """The program's window; there is one."""
    (window,) = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow)]
    return window


def front(window: QMainWindow) -> QWidget:
    """The dialogue that lies over the window, or the window."""
    others = [w for w in QApplication.topLevelWidgets() if w.isVisible() and w.isWindow() and w is not window]
    return next((w for w in others if not w.inherits("QTipLabel")), window)


def live(seconds: float) -> None:
    """Let the window live; `QTest.qWait` would keep Python's lock, and all workers would wait for it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def picture(widget: QWidget) -> QImage:
    """What a widget shows, pixel by pixel of the screen."""
    return widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)


def settled(window: QMainWindow) -> QImage:
    """Wait until no work is under way and nothing moves, and give what is seen then."""
    end = time.monotonic() + PATIENCE
    last, since = picture(front(window)), time.monotonic()
    while time.monotonic() < end:
        live(0.02)
        if window.presenter.working:  # type: ignore[attr-defined]
            since = time.monotonic()
        elif time.monotonic() - since >= CALM:
            now = picture(front(window))
            if now == last:
                return now
            last, since = now, time.monotonic()
    raise RuntimeError("The window did not come to rest.")


def act(window: QMainWindow, step: str) -> None:
    """Press a key as the table of keys writes it, in whatever is in front; or "click" what has this text."""
    settled(window)
    kind, _, text = step.partition(" ")
    if kind == "click":
        buttons = window.findChildren(QAbstractButton)
        (button,) = [one for one in buttons if one.isVisible() and one.text() == text]
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    else:
        QTest.keySequence(front(window), QKeySequence(step))
    live(0.02)


def photograph(session: Session, sizes: list[tuple[int, int]], folder: Path) -> None:
    """Do all steps of a session and save a picture in every size after each group."""
    while not QApplication.topLevelWidgets():
        live(0.01)
    window = main_window()
    while not window.isActiveWindow():  # else no key is heard
        live(0.01)
    for name, steps in session.shots:
        for step in steps:
            act(window, step)
        for width, height in sizes:
            window.resize(width, height)
            if not settled(window).save(str(folder / f"{name} {width}x{height}.png")):
                raise RuntimeError(f"{folder} cannot be written to.")
    over = front(window)
    if over is not window:
        over.close()
    window.close()


def preferences(session: Session) -> None:
    """Write the preferences that the program will read, as its first version wrote them."""
    kept = {"keys": LAYOUTS, "studies": OPENED if session.opened_before else [], "remember": True}
    folder = Path(os.environ["WHYSCOPE_CONFIG"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "preferences.json").write_text(json.dumps(kept), "utf-8")


def guarded(work: Callable[[], None]) -> None:
    """Do it, and end the program at once where it goes wrong: an error in a slot would only be printed."""
    try:
        work()
    except BaseException:  # noqa: BLE001 - whatever it was, the window would stay open for ever
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def main(words: list[str]) -> None:
    tree, session, colours, folder = Path(words[0]), SESSIONS[words[1]], words[2], Path(words[3])
    sizes = [(int(width), int(height)) for width, _, height in (size.partition("x") for size in words[4:])]
    preferences(session)
    import viewer
    from viewer.ui import app

    found = Path(viewer.__path__[0]).resolve().parent
    if found != tree.resolve():
        raise SystemExit(f"The program was imported from {found}, not from {tree}.")
    application = QApplication(sys.argv[:1])
    application.setCursorFlashTime(0)  # a blinking caret is there or not
    demo = tree / "resources" / "demo"
    paths = [demo / "studies" / study for study in session.studies]
    model = None if session.model is None else demo / "models" / session.model
    QTimer.singleShot(0, lambda: guarded(lambda: photograph(session, sizes, folder)))
    app.run(paths, model, size=sizes[0], light=colours == "light", device="cpu")


if __name__ == "__main__":
    main(sys.argv[1:])
