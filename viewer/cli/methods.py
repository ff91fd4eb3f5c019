# SPDX-License-Identifier: Apache-2.0
"""`whyscope methods`: the explainers, and which of them suit a model."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from viewer.cli.options import JsonOption, TrustOption
from viewer.cli.output import console, print_json, table


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
    rows = table("method", "family", "library", "settings", "shows")
    for item in listed:
        settings = ", ".join(f"{k}={v}" for k, v in item["settings"].items())
        why = item["unsuitable"]
        says = f"unsuitable: {why}" if why else item["shows"]
        words = (item["name"], item["family"], item.get("library", ""), settings, says)
        rows.add_row(*map(escape, words))
    console().print(rows)
    if loaded is not None:
        console().print("Layers: " + ", ".join(explain.suggest(loaded)), markup=False, highlight=False)
