# SPDX-License-Identifier: Apache-2.0
"""Compares the layouts that are found of every layer with tables written by hand (`layout_tables`).

`python scripts/measure_layouts.py [--only=WORDS]`. Prints a row an architecture: layers whose grid and axes
are right, maps that were refused, layers refused rightly, and wrong ones, of which there must be none.
"""

import argparse
import re
import sys
import time
from dataclasses import dataclass

import torch
from layout_tables import CASES, Case
from torch import Tensor

from viewer.models.dry_run import dry_run
from viewer.models.maps import Layer
from viewer.models.structure import attention_modules, structure


@dataclass(frozen=True, slots=True)
class Row:
    """What a table says of the layers whose whole names match."""

    names: re.Pattern[str]
    kind: str
    prefix: int
    grid: tuple[int, ...]


@dataclass(slots=True)
class Count:
    """The layers of one architecture, counted; `wrong` names them."""

    right: int
    refused: int
    rightly_refused: int
    wrong: list[str]
    seconds: float


def rows_of(case: Case) -> list[Row]:
    """The rows of a case's table."""
    rows = []
    for line in filter(None, map(str.strip, case.rows.splitlines())):
        names, kind, *rest = line.split()
        layout, _, prefix = kind.partition("+")
        grid = tuple(int(n) for n in rest[0].split(",")) if rest else ()
        grid = grid * (len(case.shape) - 1) if len(grid) == 1 else grid
        rows.append(Row(re.compile(names), layout, int(prefix or 0), grid))
    return rows


def axes_of(row: Row) -> tuple[int, ...]:
    """The axes that a row means, that of the channels first."""
    count = len(row.grid)
    return {
        "first": (1, *range(2, count + 2)), "last": (count + 1, *range(1, count + 1)),
        "tokens": (2, 1), "across": (1, 2),
    }[row.kind]  # fmt: skip


def is_right(layer: Layer, row: Row) -> bool:
    """Whether a layer was found as its row says."""
    if row.kind == "none":
        return False
    return (layer.axes, layer.grid, layer.prefix) == (axes_of(row), row.grid, row.prefix)


def measure(case: Case) -> Count:
    """Every layer of one architecture against its table; raises `LookupError` for one that has no row."""
    torch.manual_seed(0)
    net = case.make().eval()

    def select(output: object) -> Tensor:
        if case.select is not None:
            assert isinstance(output, dict)
            output = output[case.select]
        if isinstance(output, tuple):
            output = output[0]
        assert isinstance(output, Tensor)
        return output

    began = time.perf_counter()
    ran = dry_run(net, case.shape, select, attention_modules(net))
    found = structure(net, ran, case.shape, None)
    count = Count(0, 0, 0, [], time.perf_counter() - began)
    rows = rows_of(case)
    for name in ran.shapes:
        row = next((row for row in rows if row.names.fullmatch(name)), None)
        if row is None:
            raise LookupError(f"The table has no row for {name}.")
        layer = found.layer(name)
        if layer is None:
            count.rightly_refused += row.kind == "none"
            count.refused += row.kind != "none"
        elif is_right(layer, row):
            count.right += 1
        else:
            count.wrong.append(f"{name}: {layer.axes}, {layer.grid} behind {layer.prefix}")
    return count


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--only", default="", help="architectures whose name has this in it")
    asked = words.parse_args()
    every: list[Count] = []
    say = sys.stdout.write
    say("| architecture | right | maps refused | rightly refused | wrong | seconds |\n" + "|---" * 6 + "|\n")
    for name, case in CASES.items():
        if asked.only in name:
            one = measure(case)
            every.append(one)
            told = (one.right, one.refused, one.rightly_refused, len(one.wrong), f"{one.seconds:.1f}")
            say(f"| {name} | {' | '.join(map(str, told))} |\n")
            sys.stdout.flush()
            sys.stderr.writelines(f"WRONG {line}\n" for line in one.wrong)
    kinds = ("right", "refused", "rightly_refused")
    totals = [sum(getattr(one, kind) for one in every) for kind in kinds]
    wrong = sum(len(one.wrong) for one in every)
    say(f"| {len(every)} together | {' | '.join(map(str, totals))} | {wrong} | |\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
