# SPDX-License-Identifier: Apache-2.0
"""Whether a benchmark tells of more time or memory than an older revision: both in turns, beside a control.

In every turn the old revision's own copy of the benchmark runs, the checkout's, and the old one's again, in
an order that rotates. Old against old is the control: what the machine does by itself. A figure fails where
the median of new ÷ old is above 1.05 × the highest old ÷ old (of a turn, the larger ÷ the smaller), and above
it again when all is repeated.

    python benchmarks/against.py NAME [--revision HEAD~1] [--turns 9] [--figures PATTERN] [--shared FOLDER]
        [--json] [-- WORDS OF THE BENCHMARK]
    python benchmarks/against.py window --turns 9 -- --frames 100

NAME is `window`, `attribution`, `dicom_speed` or any other that prints one document with `--json`; less of a
figure is better. Compared is what both documents have. Exit status 1 where a figure failed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from checkouts import ROOT, copied, exported, surroundings

ALLOWED = 1.05
"""How far above the control's spread the median may lie."""
TURNS = 9
OLD, NEW, AGAIN = "old", "new", "old again"
COMPARED = {
    "window": (
        "first paint*", "waits, ms / * / longest", "ms / * / median", "ms / * / p99*",
        "ms / * / work, median",
    ),
    "waits": ("* / longest",),
    "attribution": (
        "races / * / milliseconds / * / median", "races / * / ratios / * / median", "memory / * steps",
        "growth / *",
    ),
    "dicom_speed": tuple(
        f"* / readers / whyscope / {name}" for name in ("first", "scan", "all", "processor", "peak")
    ),
    "planes": ("milliseconds / *",),
    "many_files": (
        "scanned / seconds", "scanned / processor", "scanned / peak", "shown / first row", "shown / opened",
        "shown / rested", "shown / longest wait*",
    ),
}  # fmt: skip
"""Patterns of the figures of which less is better; of a benchmark that is not named here, all numbers."""
Figures = dict[str, float]
Measure = Callable[[str, frozenset[str]], Figures]
"""The figures of `OLD`, `NEW` or `AGAIN`, at least of the names that are wanted; all where there are none."""


@dataclass(frozen=True)
class Verdict:
    """One figure over all turns: medians of both revisions, and the ratios within a turn."""

    old: float
    new: float
    ratio: float
    """Median of new ÷ old."""
    control: float
    """Median of old ÷ old."""
    upper: float
    """The highest old ÷ old, the larger ÷ the smaller: which of the two ran as the first is chance."""

    @property
    def over(self) -> bool:
        """Whether it is above what is allowed."""
        return self.ratio > ALLOWED * self.upper


def verdict(turns: list[tuple[float, float, float]]) -> Verdict:
    """What turns of old, new and old again say about one figure; all above 0."""
    ratios = [new / old for old, new, _ in turns]
    control = [again / old for old, _, again in turns]
    return Verdict(
        statistics.median(old for old, _, _ in turns),
        statistics.median(new for _, new, _ in turns),
        statistics.median(ratios),
        statistics.median(control),
        max(max(ratio, 1 / ratio) for ratio in control),
    )


def numbers(document: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """The numbers above 0 of a document by their way through it: "ms / 512 / scroll / p99"."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from numbers(value, f"{name} / {key}" if name else str(key))
    elif isinstance(document, int | float) and not isinstance(document, bool) and document > 0:
        yield name, float(document)


def chosen(figures: Iterable[tuple[str, float]], patterns: tuple[str, ...]) -> Figures:
    """The figures that a pattern names."""
    return {n: value for n, value in figures if any(fnmatchcase(n, pattern) for pattern in patterns)}


def round_of(measure: Measure, turns: int, wanted: frozenset[str]) -> tuple[dict[str, Verdict], set[str]]:
    """The verdicts over some turns, and the names of what only some runs told."""
    taken: list[dict[str, Figures]] = []
    order = [OLD, NEW, AGAIN]
    for _ in range(turns):
        taken.append({which: measure(which, wanted) for which in order})
        order = [*order[1:], order[0]]
    every = [run for turn in taken for run in turn.values()]
    common = set.intersection(*map(set, every))
    kept = [name for name in every[0] if name in common and (not wanted or name in wanted)]
    found = {name: verdict([(t[OLD][name], t[NEW][name], t[AGAIN][name]) for t in taken]) for name in kept}
    return found, set().union(*every) - common


@dataclass(frozen=True)
class Comparison:
    """The first verdict on every figure, the second on those that were over, and what was not compared."""

    first: dict[str, Verdict]
    second: dict[str, Verdict]
    left_out: list[str]

    @property
    def failed(self) -> list[str]:
        """What was over and was not acquitted."""
        acquitted = {name for name, again in self.second.items() if not again.over}
        return [name for name, one in self.first.items() if one.over and name not in acquitted]


def compare(measure: Measure, turns: int = TURNS) -> Comparison:
    """Measure all, and a second time what was over."""
    first, left_out = round_of(measure, turns, frozenset())
    over = frozenset(name for name, one in first.items() if one.over)
    second = round_of(measure, turns, over)[0] if over else {}
    return Comparison(first, second, sorted(left_out))


# --- two checkouts --------------------------------------------------------------------------------------


class Trees:
    """The old revision and this checkout, copied side by side, with the same real files beside both."""

    def __init__(self, folder: Path, revision: str, shared: Path) -> None:
        self._old, self._new = exported(revision, folder / "before"), copied(folder / "now")
        if shared.is_dir():
            (folder / "shared").symlink_to(shared.resolve(), target_is_directory=True)
        self._known = {
            tree: surroundings(tree, folder / f"entry points {tree.name}") for tree in (self._old, self._new)
        }
        for tree, known in self._known.items():  # the first run of a checkout must not be its slowest
            words = [sys.executable, "-m", "compileall", "-q", "viewer", "plugins", "benchmarks"]
            subprocess.run(words, cwd=tree, env=known, check=True)

    def measured(self, name: str, which: str, words: list[str]) -> Figures:
        """What a benchmark of one of them tells."""
        tree = self._new if which == NEW else self._old
        program = tree / "benchmarks" / f"{name}.py"
        if not program.is_file():
            raise SystemExit(f"There is no benchmark {name} in the {which} revision.")
        command = [sys.executable, str(program), "--json", *words]
        done = subprocess.run(
            command, cwd=tree, env=self._known[tree], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{name} of the {which} revision failed: {done.stderr.strip()[-2000:]}")
        return dict(numbers(json.loads(done.stdout)))


def narrowed(name: str, wanted: frozenset[str], words: list[str]) -> list[str]:
    """The words of a benchmark that runs only what is wanted, where it can; one race takes minutes."""
    if name != "attribution" or not wanted or "--only" in words:
        return words
    ways = [figure.split(" / ") for figure in sorted(wanted)]
    return [*words, "--only", ",".join(dict.fromkeys(w[1] if w[0] == "races" else w[0] for w in ways))]


# --- words ----------------------------------------------------------------------------------------------


def told(found: Comparison, turns: int) -> str:
    """Every figure on a line, the second measurement below the first."""
    names = [len(name) for name in found.first]
    wide = max(names, default=0)
    lines = [f"{'':<{wide}}       old        new  new÷old  old÷old (highest); {turns} turns"]
    for name, one in found.first.items():
        lines.append(_line(name, wide, one, "  over" if one.over else ""))
        if name in found.second:
            again = found.second[name]
            lines.append(_line("  once more", wide, again, "  FAILED" if again.over else ""))
    lines += [f"not compared, as only some runs tell it: {name}" for name in found.left_out]
    failed = len(found.failed)
    return "\n".join([*lines, f"{len(found.first)} figures, {failed or 'none'} failed"])


def _line(name: str, wide: int, one: Verdict, said: str) -> str:
    figures = f"{one.old:10.4g} {one.new:10.4g}  {one.ratio:7.3f}  {one.control:7.3f} ({one.upper:.3f})"
    return f"{name:<{wide}} {figures}{said}"


def document(found: Comparison, name: str, revision: str, turns: int) -> dict[str, Any]:
    """The same as named figures and ratios."""
    return {
        "benchmark": name,
        "revision": revision,
        "turns": turns,
        "allowed": ALLOWED,
        "figures": {figure: asdict(one) | {"over": one.over} for figure, one in found.first.items()},
        "once more": {figure: asdict(one) | {"over": one.over} for figure, one in found.second.items()},
        "not compared": found.left_out,
        "failed": found.failed,
    }


def asked(given: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """What the command line wants, and the words after `--`, which are the benchmark's."""
    own = given.index("--") if "--" in given else len(given)
    words = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], epilog="The benchmark's words: after --."
    )
    words.add_argument("name")
    words.add_argument("--revision", default="HEAD~1")
    words.add_argument("--turns", type=int, default=TURNS)
    words.add_argument("--figures", action="append", metavar="PATTERN", help="compare these; repeat")
    words.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="the folder of real files")
    words.add_argument("--json", action="store_true")
    return words.parse_args(given[:own]), given[own + 1 :]


def main(given: list[str]) -> None:
    options, words = asked(given)
    name, revision, turns = options.name, options.revision, options.turns
    patterns = tuple(options.figures or COMPARED.get(name, ("*",)))
    with tempfile.TemporaryDirectory() as folder:
        trees = Trees(Path(folder), revision, options.shared)

        def measure(which: str, wanted: frozenset[str]) -> Figures:
            print(".", end="", file=sys.stderr, flush=True)
            figures = trees.measured(name, which, narrowed(name, wanted, words))
            return chosen(figures.items(), patterns)

        found = compare(measure, turns)
    print(file=sys.stderr)
    if options.json:
        print(json.dumps(document(found, name, revision, turns), indent=1, ensure_ascii=False))
    else:
        print(told(found, turns))
    sys.exit(1 if found.failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
