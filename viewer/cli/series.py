# SPDX-License-Identifier: Apache-2.0
"""`whyscope series PATH`: what is there."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from viewer.cli.arguments import read_run
from viewer.cli.options import JsonOption, LimitOption, PathArgument
from viewer.cli.output import print_json, progress

if TYPE_CHECKING:
    from viewer.dicom import Study


def series(path: PathArgument, limit: LimitOption = None, as_json: JsonOption = False) -> None:
    """List what is there: series with their facts and warnings, and what was not opened and why."""
    settings = read_run(limit)
    from viewer import dicom
    from viewer.dicom.listing import listing

    with progress(as_json) as task:
        study = dicom.scan([path], settings, task)
    if as_json:
        print_json(listing(study))
    else:
        _print_study(study)


def _print_study(study: "Study") -> None:
    console = Console()
    table = Table("#", "modality", "description", "size", "spacing (mm)", "syntax", "files", box=None)
    for i, s in enumerate(study.series):
        spacing = s.geometry.spacing
        table.add_row(
            str(i),
            s.modality,
            s.description,
            " × ".join(map(str, s.shape)),
            " × ".join("–" if v is None else f"{v:.3g}" for v in spacing) if spacing else "unknown",
            s.syntax,
            str(s.files),
        )
    console.print(table)
    for i, s in enumerate(study.series):
        for warning in s.warnings:
            console.print(f"  # {i}: {warning}", style="yellow", markup=False)
    for title, listed in (("Not an image", study.other), ("Refused", study.refused)):
        for item in listed:
            console.print(f"{title}: {item.path.name}: {item.reason}", markup=False, highlight=False)
