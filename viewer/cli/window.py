# SPDX-License-Identifier: Apache-2.0
"""`whyscope [PATH]...`: the window, which opens without a word of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from viewer.cli.arguments import read_device, read_limits
from viewer.cli.options import LightOption, LimitOption, ScreenshotOption, SizeOption, TrustOption
from viewer.cli.output import fail


def window(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="Images, folders of them, or a model's folder; or none."),
    ] = None,
    model: Annotated[Path | None, typer.Option("--model", help="A model folder or its model.yaml.")] = None,
    screenshot: ScreenshotOption = None,
    size: SizeOption = "1600x1000",
    light: LightOption = False,
    trust: TrustOption = False,
    device: Annotated[
        str | None, typer.Option("--device", help="auto, cpu, cuda or mps; as preferred if left out.")
    ] = None,
    limit: LimitOption = None,
) -> None:
    """Open the window."""
    missing = next((p for p in paths or () if not p.exists()), None)
    if missing is not None:
        fail(f"There is no file or folder {missing.name}.")
    open_window(paths or [], model, screenshot, size, light, trust, device, read_limits(limit))


def open_window(
    paths: Sequence[Path],
    model: Path | None,
    screenshot: Path | None,
    size: str,
    light: bool,
    trust: bool = False,
    device: str | None = None,
    limits: Mapping[str, int] | None = None,
) -> None:
    """Show the window until it is closed, or until its picture is in the file `screenshot`."""
    if screenshot is not None and screenshot.suffix.lower() != ".png":
        raise typer.BadParameter("--screenshot writes a PNG; give a name that ends in .png.")
    from viewer.ui import app as ui

    try:
        width, height = (int(part) for part in size.split("x"))
    except ValueError:
        raise typer.BadParameter(f"--size wants WIDTHxHEIGHT, not {size!r}.") from None
    chosen = None if device is None else read_device(device)
    ui.run(paths, model, screenshot, (width, height), light, trust, chosen, limits)
