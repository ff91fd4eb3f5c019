# SPDX-License-Identifier: Apache-2.0
"""`whyscope series PATH`: what is there."""

from typing import TYPE_CHECKING

from rich.markup import escape

from viewer.cli.arguments import read_run
from viewer.cli.options import JsonOption, LimitOption, PathArgument
from viewer.cli.output import console, fail, print_json, progress, table

if TYPE_CHECKING:
    from viewer.dicom import Study
    from viewer.types import Series


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
    if not study.series:
        fail("There is no image to open.")


def _without(series: "Series") -> str:
    """What stands where a series has no one spacing."""
    return "by region" if any(region.measures for region in series.geometry.regions) else "unknown"


def _print_study(study: "Study") -> None:
    from viewer.wording import patients

    screen = console()
    whose = patients(study.series)
    named = ("patient",) if any(whose) else ()
    rows = table("#", *named, "modality", "description", "size", "spacing (mm)", "syntax", "files")
    for i, s in enumerate(study.series):
        spacing = s.geometry.spacing
        # A picture has no description, and several are told by their names alone.
        called = s.description or (s.paths[0].name if s.modality == "picture" and s.paths else "")
        rows.add_row(
            str(i),
            *whose[i : i + len(named)],
            escape(s.modality),
            escape(called),
            " × ".join(map(str, s.shape)),
            " × ".join("–" if v is None else f"{v:.3g}" for v in spacing) if spacing else _without(s),
            s.syntax,
            str(s.files),
        )
    if study.series:
        screen.print(rows)
    for i, s in enumerate(study.series):
        for warning in s.warnings:
            screen.print(f"  # {i}: {warning}", style="yellow", markup=False)
    for title, listed in (("Not an image", study.other), ("Refused", study.refused)):
        for item in listed:
            screen.print(f"{title}: {item.path.name}: {item.reason}", markup=False, highlight=False)
