# SPDX-License-Identifier: Apache-2.0
"""`whyscope demo`: the studies and networks that the program brings along."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from viewer.cli.options import LightOption, ScreenshotOption, SizeOption
from viewer.cli.output import progress
from viewer.cli.window import open_window


def demo(
    out: Annotated[Path, typer.Option("--out", help="Where the pictures go.")] = Path("whyscope-demo"),
    screenshot: ScreenshotOption = None,
    size: SizeOption = "1600x1000",
    light: LightOption = False,
) -> None:
    """Open the window on the phantom studies that the program brings along, explained.

    Without a display the explained pictures are written instead.
    """
    from viewer import demo

    if screenshot is not None or _on_a_screen():
        open_window(list(demo.studies()), demo.models()["cnn"], screenshot, size, light)
        return
    with progress(False) as task:
        pictures = demo.run(out, task)
    typer.echo(f"The explained picture{'s are' if len(pictures) > 1 else ' is'}:")
    for picture in pictures:
        typer.echo(picture.resolve())


def _on_a_screen() -> bool:
    """Whether there is a display; told without Qt, which a machine without one may lack libraries for."""
    shown = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return shown or not sys.platform.startswith("linux")
