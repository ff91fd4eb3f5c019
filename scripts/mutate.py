# SPDX-License-Identifier: Apache-2.0
"""Whether the tests notice small faults: puts them into copies of the program, one at a time, and runs tests.

    python scripts/mutate.py [--count 60] [--seed 1] [--only dicom,ui] [--jobs 1] [--json]

Written here because cosmic-ray changes the working tree and runs the same tests for every fault, mutmut puts
all faults into one tree and forks a process that has imported torch and Qt, and neither draws by a seed.

A fault meets the test files that name its module or what it defines, then the tests of its layer, then all
others (not with `--near`), until a test fails. That test must pass without the fault, else it is left out and
the others go on. A run that takes longer than `--limit` seconds counts as killed. What is known is kept in
the file `--results`: a run that was broken off goes on from there; `--again` tries survivors anew.
"""

import argparse
import ast
import hashlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from mutations import Mutation, drawn, mutations

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("dicom", "models", "explain", "export", "ui")
FOLDERS = {"plugins": "plugins"}
"""Where a layer lies that is no package of `viewer`."""
TESTS = {"plugins": "explain"}
"""The folder of a layer's tests, where it has another name."""
NOT_ASKED = ("tests/test_gate.py", "tests/test_wheel.py", "tests/test_mutate.py")
"""Tests of how the code is written and packaged, and of this: they say nothing of a fault."""
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py(?:::.+?)?)(?: - .*)?$", re.MULTILINE)
NO_TESTS = 5
"""What pytest returns where it has found none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a fault: `by` is the test that failed, or another end; empty for a survivor."""

    mutation: Mutation
    layer: str
    before: str
    """The line as it is, and as it was made."""
    after: str
    digest: str
    """Of the source that was changed."""
    by: str = ""
    seconds: float = 0.0
    left_out: tuple[str, ...] = ()
    """Tests that fail without the fault as well."""


def words_of(path: Path) -> set[str]:
    """The names that a module gives to others."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def naming(path: str, root: Path = ROOT) -> list[str]:
    """The test files that name a module, or import what it defines: those that say most of it first."""
    module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    package, _, stem = module.rpartition(".")
    own = {word for word in words_of(root / path) if not word.startswith("_")}
    scores: dict[str, int] = {}
    for test in sorted((root / "tests").rglob("test_*.py")):
        text, score = test.read_text("utf-8"), 0
        for node in ast.walk(ast.parse(text)):
            names = {alias.name for alias in getattr(node, "names", []) if isinstance(alias, ast.alias)}
            if isinstance(node, ast.ImportFrom) and node.module:
                score += 100 * (node.module == module) + 100 * (node.module == package and stem in names)
                score += 10 * len(names & own) * package.startswith(node.module)
            elif isinstance(node, ast.Import):
                score += 100 * (module in names)
            elif isinstance(node, ast.Attribute) and node.attr in own:
                score += isinstance(node.value, ast.Name) and node.value.id == package.rpartition(".")[2]
        score += 100 * (test.stem.removeprefix("test_") == stem.strip("_"))
        if score:
            scores[test.relative_to(root).as_posix()] = score
    return [name for name in sorted(scores, key=lambda one: -scores[one]) if name not in NOT_ASKED]


def stages(mutation: Mutation, layer: str, everything: bool, root: Path = ROOT) -> Iterator[list[str]]:
    """The test files that a fault meets, stage by stage; none twice."""
    own = TESTS.get(layer, layer)
    met: set[str] = set()
    every = [path.relative_to(root).as_posix() for path in sorted((root / "tests").rglob("test_*.py"))]
    near = [name for name in every if name.startswith((f"tests/{own}/", f"tests/test_{own}"))]
    for some in (naming(mutation.path, root), near, every if everything else []):
        chosen = [name for name in some if name not in met and name not in NOT_ASKED]
        met |= set(chosen)
        if chosen:
            yield chosen


class Scratch:
    """A copy of the program in which faults are tried; the real data lie beside it as beside the program."""

    def __init__(self, folder: Path, limit: float) -> None:
        self.root, self.limit = folder / ROOT.name, limit
        self.sound: dict[str, bool] = {}
        """Whether a test passes without any fault."""
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        for name in names.split("\0"):
            if name and (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        if (ROOT.parent / "shared").is_dir():
            (folder / "shared").symlink_to(ROOT.parent / "shared", target_is_directory=True)
        (folder / "home").mkdir()
        self.surroundings = os.environ | {
            "PYTHONPATH": str(self.root), "HOME": str(folder / "home"), "OMP_NUM_THREADS": "1",
            "QT_QPA_PLATFORM": "offscreen",
        }  # fmt: skip
        self._python(
            "-c", "from setuptools import setup; setup()", "-q", "egg_info"
        )  # the methods' entry points
        found = self._python("-c", "import viewer; print(viewer.__file__)").stdout
        if not found.startswith(str(self.root)):
            raise SystemExit(f"The tests would run on {found.strip()}, not on the copy.")
        broken = self.failing(["--collect-only", "tests"])
        if broken:
            raise SystemExit(f"The tests cannot be collected without any fault: {broken}.")

    def _python(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Python in the copy; whatever it has started ends with it, and at the limit."""
        with subprocess.Popen(
            [sys.executable, *words], cwd=self.root, env=self.surroundings, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            try:
                said, _ = process.communicate(timeout=self.limit)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(words, process.returncode, said)

    def failing(self, tests: Sequence[str], left_out: Iterable[str] = ()) -> str:
        """The first test that fails, or how else the run ended; empty where all pass."""
        words = ["-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        words += [f"--deselect={name}" for name in left_out]
        try:
            done = self._python(*words, "-o", "timeout=120", *tests)
        except subprocess.TimeoutExpired:
            return f"not done after {self.limit:.0f} s"
        if done.returncode in (0, NO_TESTS):
            return ""
        named = FAILED.search(done.stdout)
        return named[1] if named else f"pytest ended with {done.returncode}"

    def passes(self, test: str) -> bool:
        """Whether a test passes in the copy as it is; asked once."""
        if test not in self.sound:
            self.sound[test] = not self.failing([test] if "::" in test else ["--collect-only", test])
        return self.sound[test]

    def write(self, path: str, source: str) -> None:
        """A module's source; what was compiled of the last one may look as young as this."""
        file = self.root / path
        file.write_text(source, "utf-8")
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
            compiled.unlink()

    def meet(self, mutation: Mutation, source: str, planned: Iterable[list[str]]) -> tuple[str, list[str]]:
        """The test that notices a fault, or nothing, and the tests that cannot tell."""
        left_out: list[str] = []
        for tests in planned:
            while True:
                self.write(mutation.path, mutation.applied(source))
                try:
                    by = self.failing(tests, left_out)
                finally:
                    self.write(mutation.path, source)
                if ".py" not in by or self.passes(by):
                    break
                left_out.append(by)
            if by:
                return by, left_out
        return "", left_out


@dataclass
class Record:
    """The verdicts so far, kept in a file that is written whole or not at all."""

    file: Path
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    _one: threading.Lock = field(default_factory=threading.Lock)

    @staticmethod
    def key(mutation: Mutation, digest: str) -> str:
        return f"{mutation.path}:{mutation.start}:{mutation.old}:{mutation.new}:{digest}"

    def read(self) -> None:
        for one in json.loads(self.file.read_text("utf-8")) if self.file.exists() else []:
            mutation = Mutation(**one.pop("mutation"))
            left_out = tuple(one.pop("left_out"))
            self.verdicts[self.key(mutation, one["digest"])] = Verdict(mutation, **one, left_out=left_out)

    def add(self, verdict: Verdict) -> None:
        with self._one:
            self.verdicts[self.key(verdict.mutation, verdict.digest)] = verdict
            part = self.file.with_name(self.file.name + ".part")
            part.write_text(json.dumps([asdict(one) for one in self.verdicts.values()], indent=1), "utf-8")
            part.replace(self.file)


def sample(layers: Sequence[str], count: int, seed: int, root: Path = ROOT) -> dict[Mutation, str]:
    """As many faults of each layer, whatever other layers are asked for; each with its layer."""
    found: dict[Mutation, str] = {}
    each = -(-count // len(layers))
    for layer in layers:
        folder = root / FOLDERS.get(layer, f"viewer/{layer}")
        every: list[Mutation] = []
        for path in sorted(folder.rglob("*.py")):
            every += mutations(path.read_text("utf-8"), path.relative_to(root).as_posix())
        if not every:
            raise SystemExit(f"There is nothing to change in {layer}.")
        found |= dict.fromkeys(drawn(every, each, f"{seed} {layer}"), layer)
    return found


def described(mutation: Mutation, layer: str) -> tuple[Verdict, str]:
    """A fault before it has met a test, and the source that it is for."""
    source = (ROOT / mutation.path).read_text("utf-8")
    lines = [text.splitlines()[mutation.line - 1].strip() for text in (source, mutation.applied(source))]
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    return Verdict(mutation, layer, lines[0], lines[1], digest), source


def told(verdict: Verdict) -> str:
    """A verdict as a row of the table, and the change below it."""
    one = verdict.mutation
    end = verdict.by or "SURVIVED"
    tag = f", {one.tag}" if one.tag else ""
    head = f"{one.path}:{one.line}  {one.operator}{tag}  {end}  {verdict.seconds:.0f} s"
    return f"{head}\n    - {verdict.before}\n    + {verdict.after}"


def shares(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """How many were killed, of each layer and of all, and how many of those without a tag."""
    layers = list(dict.fromkeys(one.layer for one in verdicts))
    for name in [*layers, "all"]:
        some = [one for one in verdicts if name in (one.layer, "all")]
        plain = [one for one in some if not one.mutation.tag]
        parts = [f"{sum(bool(v.by) for v in of)} of {len(of)}" for of in (some, plain)]
        share = 100 * sum(bool(one.by) for one in some) / len(some)
        yield f"{name:8} killed {parts[0]} ({share:.1f} %), without tagged ones {parts[1]}"


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def tried(
    asked: argparse.Namespace, chosen: dict[Mutation, str], record: Record, folder: Path
) -> Iterator[Verdict]:
    """The verdict of every fault, the known ones first."""
    waiting = []
    for mutation, layer in chosen.items():
        verdict, source = described(mutation, layer)
        known = record.verdicts.get(record.key(mutation, verdict.digest))
        if known is not None and (known.by or not asked.again):
            yield known
        else:
            waiting.append((verdict, source))
    copies: queue.SimpleQueue[Scratch] = queue.SimpleQueue()
    for number in range(min(asked.jobs, len(waiting))):
        copies.put(Scratch(folder / str(number), asked.limit))

    def judge(verdict: Verdict, source: str) -> Verdict:
        copy, begun = copies.get(), time.monotonic()
        try:
            planned = stages(verdict.mutation, verdict.layer, not asked.near)
            by, left_out = copy.meet(verdict.mutation, source, planned)
        finally:
            copies.put(copy)
        taken = round(time.monotonic() - begun, 1)
        judged = replace(verdict, by=by, seconds=taken, left_out=tuple(left_out))
        record.add(judged)
        return judged

    with ThreadPoolExecutor(max(1, asked.jobs)) as workers:
        for future in as_completed([workers.submit(judge, *one) for one in waiting]):
            yield future.result()


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--count", type=int, default=60)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--only", default=",".join(LAYERS), help="layers, with commas between them")
    words.add_argument("--jobs", type=int, default=1, help="copies that are tried at once")
    words.add_argument("--limit", type=float, default=3600.0, help="seconds that a run of tests may take")
    words.add_argument("--results", type=Path, default=Path("mutations.json"))
    words.add_argument("--again", action="store_true", help="try survivors once more")
    words.add_argument("--near", action="store_true", help="without the tests of other layers")
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    record = Record(asked.results)
    record.read()
    chosen = sample(asked.only.split(","), asked.count, asked.seed)
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        for verdict in tried(asked, chosen, record, Path(folder)):
            verdicts.append(verdict)
            if not asked.json:
                say(told(verdict))
    if asked.json:
        say(json.dumps([asdict(one) for one in verdicts], indent=1))
    else:
        for line in shares(verdicts):
            say(line)


if __name__ == "__main__":
    main()
