# SPDX-License-Identifier: Apache-2.0
"""From the words of the command line to values; a word that is none ends with exit status 2."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast, get_args, get_type_hints

import typer

from viewer.settings import RANGES, Device, Limits, Settings
from viewer.types import Sweep, Window


def read_words(values: Sequence[str] | None) -> list[str]:
    """Options that repeat or take commas."""
    return [w.strip() for value in values or () for w in value.split(",") if w.strip()]


def read_slice(text: str | None) -> int | Literal["all"] | None:
    """A slice, all of them, or None where none is asked for."""
    if text is None:
        return None
    if text == "all":
        return "all"
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"--slice wants a number or all, not {text!r}.") from None


def read_sweep(overlap: float, refine: bool, finer: bool, blend: str) -> Sweep:
    """How a sweep is done, wherever it goes."""
    if not 0 <= overlap < 1:
        raise typer.BadParameter(f"--overlap wants a share from 0 up to, not including, 1, not {overlap:g}.")
    for known in get_args(get_type_hints(Sweep)["blend"]):
        if blend == known:
            return Sweep(None, overlap, refine, finer and refine, known)
    raise typer.BadParameter(f"--blend wants score or plain, not {blend!r}.")


def read_place(text: str | None, sweep: Sweep) -> tuple[float, ...] | Sweep | None:
    """The middle of a patch as (row, column) or (slice, row, column), or a sweep over all or a box."""
    if text is None:
        return None
    if text.strip().lower() == "sweep":
        return sweep
    places = [_numbers(part.split(",")) for part in text.split("..")]
    if len(places) > 2 or {len(place) for place in places} not in ({2}, {3}):
        raise typer.BadParameter(
            f"--at wants ROW,COLUMN or SLICE,ROW,COLUMN, two of them with .. between, or sweep, not {text!r}."
        )
    return places[0] if len(places) == 1 else replace(sweep, box=(places[0], places[1]))


def read_window(text: str | None) -> Window | None:
    """A window from CENTRE,WIDTH, CENTRE,WIDTH,NAME or CENTRE,WIDTH,NAME,FUNCTION, as `result.json` has them.

    The name is what the picture calls it, such as that of a preset; the function is DICOM's, LINEAR_EXACT
    where none is given, as the window's mouse sets it.
    """
    if text is None:
        return None
    first, _, rest = text.partition(",")
    second, _, name = rest.partition(",")
    before, _, last = name.rpartition(",")
    function = last.strip()
    if function in get_args(get_type_hints(Window)["function"]):
        name = before
    else:
        function = "LINEAR_EXACT"
    numbers = _numbers((first, second))
    if len(numbers) != 2 or numbers[1] <= 0:
        raise typer.BadParameter(f"--window wants CENTRE,WIDTH with a width above 0, not {text!r}.")
    return Window(*numbers, name.strip(), cast(Any, function))


def _numbers(parts: Sequence[str]) -> tuple[float, ...]:
    """The finite numbers that all the parts are, or none at all."""
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def read_settings(texts: Sequence[str] | None) -> dict[str, str]:
    """The settings of methods; an option may hold several."""
    # A comma parts two settings where a name and "=" follow; else it belongs to the value.
    parts = [part for given in texts or () for part in re.split(r",(?=[\w.\- ]+=)", given)]
    return read_pairs("--set", parts)


def read_run(limit: Sequence[str] | None, device: str = "auto") -> Settings:
    """What a run works with, from its limits and its device."""
    return Settings(Limits(**read_limits(limit)), read_device(device))


def read_device(name: str) -> Device:
    """Where a network computes."""
    known: tuple[Device, ...] = get_args(Device)
    for device in known:
        if name == device:
            return device
    raise typer.BadParameter(f"{name!r} is not one of {', '.join(known)}.")


def read_limits(texts: Sequence[str] | None) -> dict[str, int]:
    """Limits by name, as whole numbers; K, M and G behind one stand for 1024 and its powers."""
    result = {}
    for name, value in read_pairs("--limit", texts).items():
        if name not in RANGES:
            raise typer.BadParameter(f"--limit has no {name!r}; there are {', '.join(RANGES)}.")
        found = re.fullmatch(r"(\d{1,15})([KMG]?)", value.upper())
        number = int(found[1]) * 1024 ** " KMG".index(found[2] or " ") if found else -1
        least, most = RANGES[name]
        if not least <= number <= most:
            raise typer.BadParameter(f"--limit {name} wants a number from {least} to {most}, not {value!r}.")
        result[name] = number
    return result


def read_pairs(option: str, texts: Sequence[str] | None) -> dict[str, str]:
    """Values by key, of an option that repeats."""
    result = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not (equals and key.strip()):
            raise typer.BadParameter(f"{option} wants KEY=VALUE, not {text!r}.")
        result[key.strip()] = value.strip()
    return result
