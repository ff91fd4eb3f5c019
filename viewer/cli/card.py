# SPDX-License-Identifier: Apache-2.0
"""`whyscope card WEIGHTS`: a draft of the model card."""

from pathlib import Path
from typing import Annotated

import typer

from viewer.cli.options import JsonOption
from viewer.cli.output import print_json, remark


def card(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A weights file, or a folder with one.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write it, e.g. to model.yaml.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Draft the model card of a file of weights, which is read and never run.

    What the weights do not tell is left marked TO FILL.
    """
    from viewer import session

    made = session.draft_card(path, out)
    if as_json:
        print_json(made.document())
    elif out is None:
        typer.echo(made.text(), nl=False)
    else:
        remark(made.remarks)
        remark([f"Complete {', '.join(made.to_fill)}."] if made.to_fill else [])
        typer.echo(out)
