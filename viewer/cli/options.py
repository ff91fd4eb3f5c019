# SPDX-License-Identifier: Apache-2.0
"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="A file, a folder, a PNG or a JPEG.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
ModelOption = Annotated[Path, typer.Option("--model", help="A model folder or its model.yaml.")]
SeriesOption = Annotated[
    str | None, typer.Option("--series", help="A number as listed by `series`, from 0, or a UID.")
]
SliceOption = Annotated[str | None, typer.Option("--slice", help="A slice, from 0, or all.")]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        help="The middle of a patch, ROW,COLUMN or SLICE,ROW,COLUMN; A..B: over a box; sweep: over all.",
    ),
]
OverlapOption = Annotated[
    float, typer.Option("--overlap", help="What patches of a sweep share, from 0 to 1.")
]
RefineOption = Annotated[
    bool, typer.Option("--refine/--no-refine", help="Halve steps around the best patches of a sweep.")
]
FinerOption = Annotated[
    bool,
    typer.Option("--finer/--no-finer", help="Sweep a finer grid where the network needs one; told before."),
]
BlendOption = Annotated[
    str, typer.Option("--blend", help="score: patches of a sweep weigh by their score; plain: alike.")
]
TrustOption = Annotated[bool, typer.Option("--trust", help="Run the code beside the weights.")]
OutsideOption = Annotated[
    bool, typer.Option("--outside-intended-use", help="Go on where the card does not accept the study.")
]
LimitOption = Annotated[
    list[str] | None,
    typer.Option("--limit", help="KEY=VALUE: what a file may ask for, e.g. rows=4096 or bytes=8G."),
]
ScreenshotOption = Annotated[
    Path | None, typer.Option("--screenshot", help="Save the window to a PNG and end.")
]
SizeOption = Annotated[str, typer.Option("--size", help="WIDTHxHEIGHT of the window.")]
LightOption = Annotated[bool, typer.Option("--light", help="Light instead of dark.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
