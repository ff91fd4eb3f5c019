# SPDX-License-Identifier: Apache-2.0
"""`whyscope methods`: the explainers, and which of them suit a model."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from viewer.cli.options import JsonOption, TrustOption
from viewer.cli.output import print_json


def methods(
    model: Annotated[Path | None, typer.Option("--model", help="Say which of them suit this model.")] = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the explainers, their settings, and whether they suit a model."""
    from viewer import explain, session

    loaded = None if model is None else session.load_model(model, trust)
    listed = explain.describe(loaded)
    if as_json:
        print_json(
            {"methods": listed} | ({} if loaded is None else {"layers": list(explain.suggest(loaded))})
        )
        return
    table = Table("method", "family", "settings", "shows", box=None)
    for item in listed:
        settings = ", ".join(f"{k}={v}" for k, v in item["settings"].items())
        why = item["unsuitable"]
        table.add_row(item["name"], item["family"], settings, f"unsuitable: {why}" if why else item["shows"])
    Console().print(table)
    if loaded is not None:
        Console().print("Layers: " + ", ".join(explain.suggest(loaded)[:8]), markup=False, highlight=False)
