# SPDX-License-Identifier: Apache-2.0
"""Commands and preferences in the real program on an X screen: by keyboard, and after a restart."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from program import write_stack
from screen import Program, Screen, ask_to_close, missing

from viewer.ui.widgets import theme

absent = missing()
pytestmark = pytest.mark.skipif(bool(absent), reason=f"needs the Debian packages {' '.join(absent)}")
CORNER = (1400, 930, 100, 20)
"""A part of the right side where nothing stands."""


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    folder = tmp_path / "screen"
    folder.mkdir()
    made = Screen(folder, 1600, 1000)
    yield made
    made.close()


def ground(screen: Screen) -> str:
    """The one colour of the panel's empty part, "" where there is more than one."""
    colours = np.unique(screen.seen(CORNER).reshape(-1, 3), axis=0)
    return "#{:02x}{:02x}{:02x}".format(*colours[0]) if len(colours) == 1 else ""


def test_a_command_is_found_and_what_was_chosen_is_there_after_a_restart(
    screen: Screen, tmp_path: Path
) -> None:
    home, study = tmp_path / "home", write_stack(tmp_path / "study", 4)
    file = home / "config" / "preferences.json"
    first = Program(screen, home, study)
    try:
        with screen.kept(tmp_path / "first.png"):
            window = screen.window("Whyscope")
            screen.wait("the dark window", lambda: ground(screen) == theme.DARK.panel)
            screen.key("ctrl+k")
            screen.do("type", "light or")
            screen.key("Return")
            screen.wait("the light window", lambda: ground(screen) == theme.LIGHT.panel)
            # The settings come as a window of their own, and Escape closes them.
            screen.key("ctrl+comma")
            settings = screen.window("Settings")
            screen.key("Escape")
            screen.wait(
                "no settings",
                lambda: settings not in screen.do("search", "--onlyvisible", "--name", "Settings"),
            )
            window = screen.window("Whyscope")
            screen.key("c")
            screen.key("Escape")
            screen.wait(
                "the study remembered", lambda: file.exists() and json.loads(file.read_text())["studies"]
            )
            ask_to_close(screen, window)
            assert first.child.wait(20) == 0
    finally:
        first.end()
    assert json.loads(file.read_text())["colours"] == "light"
    again = Program(screen, home)
    try:
        with screen.kept(tmp_path / "again.png"):
            window = screen.window("Whyscope")
            screen.wait("the light window at once", lambda: ground(screen) == theme.LIGHT.panel)
            screen.key("Tab")
            ask_to_close(screen, window)
            assert again.child.wait(20) == 0
    finally:
        again.end()
