# SPDX-License-Identifier: Apache-2.0
"""Everything that a key or the command search can do, in one table.

The table knows neither Qt nor the window: the window binds each name to one action, the keyboard and the
command search read titles and keys from here, and so does whoever writes the keys down.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Run = Callable[[str], None]
"""Does what a command of this name says."""
Bindings = dict[str, Callable[..., None]]
"""What each command does, by its name; a held one is told whether its key is down."""


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to do. `keys` are its defaults, as Qt writes them on every system: "Ctrl+O", "PgDown"."""

    name: str
    title: str
    group: str
    keys: tuple[str, ...] = ()
    held: bool = False
    """Acts for as long as its key is held, so it cannot be run from a list."""


COMMANDS: tuple[Command, ...] = (
    Command("open-folder", "Open a folder…", "Files", ("Ctrl+O",)),
    Command("open-files", "Open files…", "Files"),
    Command("open-demo", "Open the demo", "Files"),
    Command("open-model", "Open a model…", "Files", ("Ctrl+L",)),
    Command("export", "Export…", "Files", ("Ctrl+S",)),
    Command("next-slice", "Next slice", "Slices", ("Down",)),
    Command("previous-slice", "Previous slice", "Slices", ("Up",)),
    Command("ten-slices-on", "Ten slices on", "Slices", ("Shift+Down",)),
    Command("ten-slices-back", "Ten slices back", "Slices", ("Shift+Up",)),
    Command("first-slice", "First slice", "Slices", ("Home",)),
    Command("last-slice", "Last slice", "Slices", ("End",)),
    Command("next-point", "Next time, b-value or echo", "Slices", ("]",)),
    Command("previous-point", "Previous time, b-value or echo", "Slices", ("[",)),
    Command("play", "Play or stop the slices or times", "Slices", ("C",)),
    Command("play-along", "Play slices or times", "Slices"),
    Command("next-evidence", "Next evidence", "Slices", ("N",)),
    Command("next-series", "Next series", "Slices", ("PgDown",)),
    Command("previous-series", "Previous series", "Slices", ("PgUp",)),
    Command("window-0", "Window: automatic", "Image", ("0",)),
    Command("window-1", "Window: the file's, one after the other", "Image", ("1",)),
    Command("window-2", "Window: soft tissue", "Image", ("2",)),
    Command("window-3", "Window: lung", "Image", ("3",)),
    Command("window-4", "Window: bone", "Image", ("4",)),
    Command("window-5", "Window: brain", "Image", ("5",)),
    Command("window-6", "Window: mediastinum", "Image", ("6",)),
    Command("window-7", "Window: angiography", "Image", ("7",)),
    Command("window-8", "Window: liver", "Image", ("8",)),
    Command("fit-image", "Fit the image into its view", "Image", ("F",)),
    Command("actual-size", "Actual size: one pixel of the image on one of the screen", "Image", ("Z",)),
    Command("reset-image", "Reset zoom, flips and window", "Image", ("Shift+F",)),
    Command("invert", "Invert the grey values", "Image", ("I",)),
    Command("flip-sides", "Flip left and right", "Image", ("X",)),
    Command("flip-ends", "Flip top and bottom", "Image", ("Y",)),
    Command("annotations", "Show or hide overlays and shutter", "Image", ("A",)),
    Command("explain", "Run the method", "Map", ("Ctrl+Return",)),
    Command("method-card", "About the method", "Map", ("F1",)),
    Command("check-library", "Check the map with captum or grad-cam", "Map"),
    Command("place-patch", "Place the patch here", "Map", ("B",)),
    Command("middle-patch", "Patch in the middle", "Map", ("Shift+B",)),
    Command("keep", "Keep the map to compare others with it", "Map", ("K",)),
    Command("cancel", "Cancel what is under way, or close the message", "Map", ("Esc",)),
    Command("overlay", "Show or hide the map", "Map", ("W",)),
    Command("hide-while-held", "Hide the map while held", "Map", ("H",), held=True),
    Command("outlines", "Show or hide outlines", "Map", ("T",)),
    Command("less-opacity", "Less opacity", "Map", ("Q",)),
    Command("more-opacity", "More opacity", "Map", ("E",)),
    Command("lock-range", "Lock or free the range", "Map"),
    Command("undo", "Undo the last change of the display", "View", ("Ctrl+Z",)),
    Command("redo", "Redo the last change of the display", "View", ("Ctrl+Shift+Z",)),
    Command("search", "Search commands", "View", ("Ctrl+K",)),
    Command("settings", "Settings…", "View", ("Ctrl+,",)),
    Command("header", "Header of the file", "View", ("D",)),
    Command("mask", "Mask the patient", "View", ("M",)),
    Command("unmask", "Show whose image it is", "View", ("Ctrl+M",)),
    Command("one-view", "One view", "View"),
    Command("two-views", "Two views side by side", "View"),
    Command("three-planes", "Three planes", "View", ("P",)),
    Command("sheet", "Contact sheet of labels or methods", "View", ("S",)),
    Command("compare", "Compare two maps", "View", ("V",)),
    Command("patient-planes", "Planes along the patient's axes", "View", ("R",)),
    Command("acquired-planes", "Planes along the acquired slices", "View", ("Shift+R",)),
    Command("colours", "Light or dark colours", "View"),
    Command("full-screen", "Full screen", "View", ("F11",)),
)
BY_NAME: Mapping[str, Command] = {command.name: command for command in COMMANDS}


def assigned(chosen: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The keys of every command: what the reader has chosen, then the defaults that are still free."""
    result: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for command in sorted(COMMANDS, key=lambda c: c.name not in chosen):
        keys = chosen.get(command.name, command.keys)
        result[command.name] = tuple(key for key in dict.fromkeys(keys) if key not in taken)
        taken.update(keys)
    return {command.name: result[command.name] for command in COMMANDS}


def owner(keys: Mapping[str, tuple[str, ...]], key: str) -> Command | None:
    """The command that a key already means."""
    return next((BY_NAME[name] for name, own in keys.items() if key in own), None)


def found(words: str) -> list[Command]:
    """The commands that a list can run and whose title or group has all of these words, best first."""
    wanted = words.lower().split()

    def rank(command: Command) -> int:
        title = command.title.lower()
        parts = f"{title} {command.group.lower()}".replace(":", " ").split()
        if not all(any(word in part for part in parts) for word in wanted):
            return -1
        if title.startswith(" ".join(wanted)):
            return 2
        return int(all(any(part.startswith(word) for part in parts) for word in wanted))

    ranked = [(rank(command), command) for command in COMMANDS if not command.held]
    return [command for best in (2, 1, 0) for own, command in ranked if own == best]
