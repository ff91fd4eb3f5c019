# SPDX-License-Identifier: Apache-2.0
"""All commands as one program: which of them the words name, and how the process ends."""

import io
import os
import sys
from collections.abc import Callable, Sequence

import typer

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

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Why did this imaging model say that, on this patient's image? For research use only.",
)
for command in _LISTED:
    app.command()(command)
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
    if first in (*COMMANDS, "--help"):
        return list(words)
    # A first word that is neither a command nor a path is a mistyped command: typer says so.
    opens = first.startswith("-") or os.path.exists(first)  # noqa: PTH110 - never raises
    return ["window", *words] if opens else list(words)
