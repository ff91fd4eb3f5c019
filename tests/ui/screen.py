# SPDX-License-Identifier: Apache-2.0
"""A screen in memory with hands: Xvfb, its picture as pixels, and xdotool for mouse and keyboard."""

import ctypes
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
PROGRAMS = {"Xvfb": "xvfb", "xdotool": "xdotool"}
LIBRARIES = {
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
}
_PLAIN = ("-nolisten", "tcp", "-nocursor", "-noreset")
PATIENCE = 60.0
"""Seconds after which what should have happened has not."""

Box = tuple[int, int, int, int]
"""Left, top, width, height on the screen."""


def missing() -> list[str]:
    """The Debian packages without which no window comes up on a screen in memory."""
    absent = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    for library, package in LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            absent.append(package)
    return absent


class Screen:
    """An X server without a window manager. `pixels` is what it shows now."""

    def __init__(self, folder: Path, width: int = 1600, height: int = 1000) -> None:
        self.folder = folder
        read, write = os.pipe()
        size = ("-screen", "0", f"{width}x{height}x24")
        self._server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), *size, "-fbdir", str(folder), *_PLAIN],
            pass_fds=(write,), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(write)
        with os.fdopen(read) as told:
            self.display = f":{told.readline().strip()}"

    def close(self) -> None:
        self._server.terminate()
        self._server.wait(10)

    def pixels(self) -> np.ndarray:
        """What the screen shows, uint8 (rows, columns, 3); Xvfb keeps it in a file in the format xwd."""
        raw = np.fromfile(self.folder / "Xvfb_screen0", np.uint8)
        head = raw[:100].view(">u4")
        rows, line, start = int(head[5]), int(head[12]), int(head[0]) + 12 * int(head[19])
        shown = raw[start : start + rows * line].reshape(rows, line // 4, 4)
        return shown[:, : int(head[4]), 2::-1]

    def seen(self, box: Box) -> np.ndarray:
        """A part of the screen."""
        left, top, width, height = box
        return self.pixels()[top : top + height, left : left + width]

    def wait(self, what: str, true: Callable[[], object]) -> None:
        """Return as soon as it is true; fails with `what` and a picture of the screen."""
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, f"not seen on the screen: {what}"
            time.sleep(0.05)

    @contextmanager
    def kept(self, path: Path) -> Iterator[None]:
        """Leave a picture of the screen where anything goes wrong."""
        try:
            yield
        except BaseException:
            Image.fromarray(self.pixels()).save(path)
            raise

    # --- hands ------------------------------------------------------------------------------------

    def do(self, *words: object) -> str:
        """What xdotool says to a command."""
        done = subprocess.run(
            ["xdotool", *map(str, words)], env={**os.environ, "DISPLAY": self.display},
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        return done.stdout.strip()

    def window(self, title: str) -> str:
        """The number of a visible window, and the keyboard with it: there is no window manager to give it."""
        found: list[str] = []

        def there() -> bool:
            found[:] = self.do("search", "--onlyvisible", "--name", f"^{title}$").split()
            return bool(found)

        self.wait(f"a window {title!r}", there)
        self.do("windowfocus", "--sync", found[-1])
        return found[-1]

    def key(self, *keys: str) -> None:
        self.do("key", "--delay", "20", *keys)

    def write(self, text: object) -> None:
        """Replace what stands in the field that has the keyboard."""
        self.key("ctrl+a")
        self.do("type", "--delay", "2", text)

    def click(self, x: int, y: int, button: int = 1) -> None:
        self.do("mousemove", x, y, "click", button)

    def drag(self, x: int, y: int, across: int, down: int) -> None:
        """Drag with the left button in a few steps."""
        words: list[object] = ["mousemove", x, y, "mousedown", 1]
        for step in range(1, 6):
            words += ["mousemove", x + across * step // 5, y + down * step // 5, "sleep", "0.02"]
        self.do(*words, "mouseup", 1)


class Program:
    """`main.py` as a child of its own, on a screen."""

    def __init__(self, screen: Screen, home: Path, *words: object) -> None:
        home.mkdir(mode=0o700, exist_ok=True)
        own = {name: str(home) for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
        own["WHYSCOPE_CONFIG"] = str(home / "config")
        self._said = home / "stderr"
        with self._said.open("wb") as said:
            self.child = subprocess.Popen(
                [sys.executable, "-W", "ignore", "main.py", *map(str, words)], cwd=ROOT, stderr=said,
                env={**os.environ, **own, "DISPLAY": screen.display, "QT_QPA_PLATFORM": "xcb"},
            )  # fmt: skip

    def said(self) -> str:
        """What it has written on standard error so far."""
        return self._said.read_text("utf-8", "replace")

    def end(self) -> None:
        """End it, however it stands."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait(10)


class _Message(ctypes.Structure):
    """Xlib's XClientMessageEvent, as long as an XEvent."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("sent", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("kind", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("rest", ctypes.c_long * 16),
    )


def ask_to_close(screen: Screen, window: str) -> None:
    """What a window manager sends when a window's cross is clicked; xdotool has no word for it."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    x11.XInternAtom.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
    x11.XSendEvent.argtypes = (
        ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.POINTER(_Message),
    )  # fmt: skip
    x11.XCloseDisplay.argtypes = (ctypes.c_void_p,)
    display = x11.XOpenDisplay(screen.display.encode())
    protocols, delete = (x11.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    message = _Message(type=33, display=display, window=int(window), kind=protocols, format=32)
    message.data[0] = delete
    x11.XSendEvent(display, int(window), 0, 0, message)
    x11.XCloseDisplay(display)  # sends what waits
