# SPDX-License-Identifier: Apache-2.0
"""All commands as one program: which of them the words name, and how the process ends."""

import importlib.metadata
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from viewer.cli.card import card
from viewer.cli.demo import demo
from viewer.cli.explain import explain
from viewer.cli.methods import methods
from viewer.cli.output import fail
from viewer.cli.predict import predict
from viewer.cli.series import series
from viewer.cli.window import window
from viewer.errors import WhyscopeError
from viewer.task import Cancelled

_LISTED: tuple[Callable[..., None], ...] = (series, methods, predict, explain, card, demo)
"""The commands that have a word of their own, in the order of the help; the window opens without one."""
COMMANDS = tuple(command.__name__ for command in _LISTED)


def _first_sentence(command: Callable[..., None]) -> str:
    """What the list of commands says of one; the framework's own line is cut in the middle of a sentence."""
    return " ".join((command.__doc__ or "").split("\n\n")[0].split())


class _Program(TyperGroup):
    """The commands, and in the help before them the window, which has no word of its own."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        formatter.write_usage(ctx.command_path, "[PATH]... [--model MODEL] [OPTIONS]")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        opens = self.commands["window"]
        with formatter.section("The window"):
            rows = (one.get_help_record(ctx) for one in opens.params)
            given = [row for row in rows if row is not None]
            formatter.write_dl(
                [("PATH", words) if name.startswith("[") else (name, words) for name, words in given]
            )
        super().format_options(ctx, formatter)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = super().get_command(ctx, cmd_name)
        if found is None:
            ctx.fail(f"There is no command {cmd_name!r}, nor a file or folder of that name.")
        return found


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"whyscope {importlib.metadata.version('whyscope')}")
        raise typer.Exit


app = typer.Typer(
    cls=_Program,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Why did this imaging model say that, on this patient's image? For research use only.",
)


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="The program's version.")
    ] = False,
) -> None: ...


for command in _LISTED:
    app.command(short_help=_first_sentence(command))(command)
app.command(hidden=True)(window)

_INTERRUPTED = 130
"""The status with which typer ends, without a word, after Ctrl-C."""


def run(words: Sequence[str]) -> None:
    """Run a command; ends the process with the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name or label may hold what the terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(_with_command(words), prog_name="whyscope")
    except WhyscopeError as error:
        fail(str(error))
    except (Cancelled, KeyboardInterrupt):
        fail("Cancelled.")
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            fail("Cancelled.")
        raise
    except OSError as error:
        # What no layer has told in its own words, such as a name that is too long.
        fail(f"A file or folder cannot be used: {error.strerror or type(error).__name__}.")
    except MemoryError:
        fail("There is too little memory for this; choose one slice, or a smaller --set batch.")


def _with_command(words: Sequence[str]) -> list[str]:
    """The words with a command first: a first word that is a command wins, a path opens the window."""
    first = words[0] if words else "-"
    if first in (*COMMANDS, "--help", "--version"):
        return list(words)
    # A first word that is neither a command nor a path is a mistyped command, unless it looks like a path.
    opens = first.startswith(("-", ".", "~")) or Path(first).name != first
    opens = opens or os.path.exists(first)  # noqa: PTH110 - never raises
    return ["window", *words] if opens else list(words)
