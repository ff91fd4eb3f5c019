# SPDX-License-Identifier: Apache-2.0
"""What a command writes: results to standard output, progress and problems to standard error."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from viewer.task import Progress as Step
from viewer.task import Task

_ENDLESS = 100_000
"""Columns of what is no terminal: a file or a pipe has no width, so nothing in it needs to be broken."""


def console() -> Console:
    """Standard output as wide as its terminal, or as COLUMNS says; else a line is as long as its words."""
    measured = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console(width=None if measured else _ENDLESS)


def table(*columns: str) -> Table:
    """A table whose words are broken where they do not fit, and never cut."""
    made = Table(box=None)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def print_json(document: object) -> None:
    """One JSON document on standard output."""
    # Where standard output is not UTF-8, or a name is no text, JSON's own escapes stand for it.
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(document, ensure_ascii=not unicode, indent=1, allow_nan=False) + "\n")


def print_lines(sentences: Iterable[str]) -> None:
    """Sentences on standard output, each once, a line each."""
    for sentence in dict.fromkeys(sentences):
        typer.echo(sentence)


def remark(sentences: Iterable[str]) -> None:
    """What a reader should know besides the result, a line each, on standard error."""
    for sentence in sentences:
        typer.echo(sentence, err=True)


def fail(sentence: str) -> NoReturn:
    """Say in one sentence what is wrong with the input, and end with exit status 1."""
    sentence = " ".join(sentence.split())
    typer.echo(sentence if sentence.endswith((".", "?")) else f"{sentence}.", err=True)
    raise SystemExit(1)


@contextmanager
def progress(quiet: bool) -> Iterator[Task]:
    """A task whose progress is drawn on standard error, with the time left; silent if `quiet`."""
    if quiet or not sys.stderr.isatty():
        yield Task(announce=lambda sentence: remark([sentence]))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task("working", total=None)
        doing = ""

        def report(step: Step) -> None:
            nonlocal doing
            if step.doing != doing:
                doing = step.doing
                bar.reset(line, description=doing)
            bar.update(line, completed=step.done, total=step.total or None)

        yield Task(report, lambda sentence: bar.console.print(sentence, markup=False))
