# SPDX-License-Identifier: Apache-2.0
"""Starting the program with its window, and taking a picture of it."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QPoint, QRect, QSize, QTimer
from PySide6.QtWidgets import QApplication

from viewer.errors import WhyscopeError
from viewer.export import whole
from viewer.settings import Device, Preferences, Settings
from viewer.ui import plots
from viewer.ui.presenter.preferences_file import PreferencesFile
from viewer.ui.window import Window

_SWITCH = 5e-4
"""Seconds that a thread of Python may go on while another waits."""
_TITLE = 32
"""Pixels that a window's title takes above it, as far as is known before it is shown."""
_QUIET_MS = 400
"""How long nothing must happen before the window counts as ready."""


def run(
    paths: Sequence[Path],
    model: Path | None = None,
    screenshot: Path | None = None,
    size: tuple[int, int] = (1600, 1000),
    light: bool = False,
    trust: bool = False,
    device: Device | None = None,
    limits: Mapping[str, int] | None = None,
) -> None:
    """Open the window on paths and a model; returns when it is closed.

    `light`, `device` and `limits` stand over what the reader prefers. With `screenshot` the window is drawn
    without a screen if there is none, saved once it is ready, and closed; it is then the same for every
    reader, and nothing is remembered. Raises `WhyscopeError` where there is no display, and where the picture
    would not show what was asked for, or cannot be written.
    """
    if not has_display():
        if screenshot is None:
            raise WhyscopeError(
                "There is no display to open a window on; use the commands series, predict and explain, "
                "or --screenshot FILE."
            )
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    application = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(application, QApplication)
    share_the_interpreter()
    file = None if screenshot is not None else PreferencesFile()
    preferences, warning = (Preferences(), None) if file is None else file.load()
    settings = Settings(
        limits=replace(preferences.limits, **(limits or {})),
        device=device or preferences.device,
        batch=preferences.batch,
        slice_memory=preferences.slice_memory,
    )
    window = Window(settings, preferences, file, light)
    window.presenter.start(warning)
    if screenshot is None:
        _open_on_screen(window, size)
    else:
        window.resize(*size)
    window.show()

    problems: list[WhyscopeError] = []

    def begin() -> None:
        window.presenter.start_decoders()
        if model is not None:
            window.presenter.explaining.load_model(model, trust)
        if paths:
            window.presenter.studies.open(paths)
        if screenshot is not None:
            _photograph(window, screenshot, problems.append)

    QTimer.singleShot(0, begin)  # after the first paint: nothing may hold it up
    application.exec()
    if problems:
        raise problems[0]


def _open_on_screen(window: Window, size: tuple[int, int]) -> None:
    """Open as large as wished, or as the screen has room for: at 200 % that is half as many pixels."""
    place = inside(size, window.screen().availableGeometry())
    least = window.minimumSize().boundedTo(place.size())
    window.setMinimumSize(least)
    window.resize(place.size())
    window.move(place.topLeft() - QPoint(0, _TITLE))


def inside(size: tuple[int, int], room: QRect) -> QRect:
    """Where a window of this size, or a smaller one, lies in the middle of a screen, below its title."""
    free = room.adjusted(0, _TITLE, 0, 0)
    result = QRect(QPoint(0, 0), QSize(*size).boundedTo(free.size()))
    result.moveCenter(free.center())
    return result & free


def share_the_interpreter() -> None:
    """Have a worker that holds Python's lock hand it over at once when the window wants to paint.

    numpy gives the lock away in every operation on a large array, dozens of times a frame, and waits up to
    this long to get it back. Python's own 5 ms would cost several frames.
    """
    sys.setswitchinterval(_SWITCH)


def has_display() -> bool:
    """Whether a window can be shown: always outside Linux, there with a display or a chosen platform."""
    if not sys.platform.startswith("linux"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))


def _photograph(window: Window, path: Path, failed: Callable[[WhyscopeError], None]) -> None:
    """Save the window as soon as no work has been under way for a moment, then close it.

    A picture of what went wrong is none of what was asked for, so none is made of it.
    """
    timer = QTimer(window)
    timer.setInterval(_QUIET_MS)
    calm = 0

    def look() -> None:
        nonlocal calm
        calm = 0 if window.presenter.working or plots.coming() else calm + 1
        if calm < 2:
            return
        timer.stop()
        try:
            if window.presenter.problem is not None:
                raise WhyscopeError(window.presenter.problem)
            with whole(path) as part:
                window.grab().save(str(part), "PNG")
        except WhyscopeError as error:
            failed(error)  # nothing that is raised here would end the program
        finally:
            window.close()

    timer.timeout.connect(look)
    timer.start()
