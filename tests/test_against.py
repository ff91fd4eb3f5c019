# SPDX-License-Identifier: Apache-2.0
"""The comparison of two revisions: noise passes, and what is slower twice fails."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def against(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("against", ROOT / "benchmarks" / "against.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "against", module)  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


NOISE = (1.0, 1.03, 0.97, 1.02, 0.98, 1.04, 0.99, 1.01, 0.96, 1.03, 0.97, 1.02, 0.99)


class Machine:
    """A machine whose speed wanders by 4 %, and a program that takes `slower` times as long in each round."""

    def __init__(self, turns: int, *slower: dict[str, float]) -> None:
        self.turns, self.slower = turns, slower
        self.ran: list[str] = []
        self.asked: list[frozenset[str]] = []

    def __call__(self, which: str, wanted: frozenset[str]) -> dict[str, float]:
        number = len(self.ran)
        self.ran.append(which)
        self.asked.append(wanted)
        by = self.slower[number // (3 * self.turns)] if which == "new" else {}
        noise = NOISE[number % len(NOISE)]
        return {name: base * noise * by.get(name, 1.0) for name, base in (("scroll", 8.0), ("paint", 900.0))}


def test_noise_passes_and_nothing_is_repeated(against: ModuleType) -> None:
    machine = Machine(9, {})
    found = against.compare(machine, 9)
    assert found.failed == []
    assert len(machine.ran) == 27
    assert found.first["scroll"].upper > 1.02


def test_a_fifth_slower_twice_fails_alone(against: ModuleType) -> None:
    machine = Machine(9, {"scroll": 1.2}, {"scroll": 1.2})
    found = against.compare(machine, 9)
    assert found.failed == ["scroll"]
    assert found.first["scroll"].ratio == pytest.approx(1.2, rel=0.05)
    assert set(found.second) == {"scroll"}
    assert set(machine.asked[27:]) == {frozenset({"scroll"})}


def test_slower_only_once_passes(against: ModuleType) -> None:
    found = against.compare(Machine(9, {"scroll": 1.2}, {}), 9)
    assert found.first["scroll"].over
    assert not found.second["scroll"].over
    assert found.failed == []


def test_what_is_not_told_a_second_time_is_not_acquitted(against: ModuleType) -> None:
    machine = Machine(3, {"scroll": 1.3}, {"scroll": 1.3})

    def forgetful(which: str, wanted: frozenset[str]) -> dict[str, float]:
        told = machine(which, wanted)
        return {"paint": told["paint"]} if wanted else told

    assert against.compare(forgetful, 3).failed == ["scroll"]


def test_the_bound_is_the_controls_highest_ratio(against: ModuleType) -> None:
    # In one of three turns the machine by itself took half as long again.
    noisy = [(10.0, 15.0, 10.0), (10.0, 15.0, 15.0), (10.0, 15.0, 10.0)]
    assert against.verdict(noisy).upper == 1.5
    assert against.verdict(noisy).control == 1.0
    assert not against.verdict(noisy).over
    just = [(10.0, 15.76, 10.0), (10.0, 15.76, 15.0), (10.0, 15.76, 10.0)]
    assert against.verdict(just).over


def test_what_is_faster_never_fails(against: ModuleType) -> None:
    """By chance the control's second run was twice as fast in every turn; the new one only a little."""
    found = against.verdict([(10.0, 9.0, 5.0), (10.0, 9.0, 6.0), (10.0, 9.0, 5.0)])
    assert found.control == 0.5
    assert found.upper == 2.0
    assert not found.over


def test_ratios_are_within_a_turn(against: ModuleType) -> None:
    """A machine that is half as fast from the second turn on is nobody's fault."""
    found = against.verdict([(10.0, 10.1, 10.0), (20.0, 20.2, 20.0), (20.0, 20.2, 20.0)])
    assert found.ratio == pytest.approx(1.01)
    assert found.upper == 1.0


def test_everyone_is_first_second_and_last_as_often(against: ModuleType) -> None:
    machine = Machine(9, {})
    against.compare(machine, 9)
    for place in range(3):
        assert sorted(machine.ran[place::3]) == sorted(["old", "new", "old again"] * 3)


def test_what_only_one_revision_tells_is_named(against: ModuleType) -> None:
    machine = Machine(3, {})

    def both(which: str, wanted: frozenset[str]) -> dict[str, float]:
        return machine(which, wanted) | ({"bare widget": 1.0} if which == "new" else {})

    found = against.compare(both, 3)
    assert found.left_out == ["bare widget"]
    assert set(found.first) == {"scroll", "paint"}
    assert "bare widget" in against.told(found, 3)


@pytest.mark.parametrize(
    ("name", "figures", "kept"),
    [
        (
            "window",
            {"ms": {"512": {"scroll": {"p99": 8.0, "work, median": 3.0}}}, "ratios": {"512": {"x": 9.0}}},
            {"ms / 512 / scroll / p99", "ms / 512 / scroll / work, median"},
        ),
        (
            "dicom_speed",
            {"CT": {"readers": {"whyscope": {"all": 2.0, "bytes": 5}, "pydicom": {"all": 3.0}}, "aims": 1}},
            {"CT / readers / whyscope / all"},
        ),
        (
            "attribution",
            {"repeats": 7, "memory": {"IG of 50 steps": 60.0, "ratio": 1.0}},
            {"memory / IG of 50 steps"},
        ),
    ],
)
def test_what_is_compared(against: ModuleType, name: str, figures: dict[str, object], kept: set[str]) -> None:
    assert set(against.chosen(against.numbers(figures), against.COMPARED[name])) == kept


def test_words_behind_the_dashes_are_the_benchmarks(against: ModuleType) -> None:
    options, words = against.asked(["window", "--turns", "3", "--json", "--", "--frames", "40"])
    assert (options.name, options.turns, options.json, words) == ("window", 3, True, ["--frames", "40"])
    options, words = against.asked(["planes"])
    assert (options.turns, options.revision, words) == (9, "HEAD~1", [])


def test_numbers_are_found_by_their_way(against: ModuleType) -> None:
    document = {"a": {"b": 2, "c/d": {"e": 0.5}}, "words": "x", "flag": True, "none": None, "zero": 0}
    assert dict(against.numbers(document)) == {"a / b": 2.0, "a / c/d / e": 0.5}


def test_only_the_races_that_are_wanted_run_again(against: ModuleType) -> None:
    wanted = frozenset({"races / cam ViT-B/16 / milliseconds / 1 label / median", "memory / IG of 50 steps"})
    words = against.narrowed("attribution", wanted, ["--repeats", "3"])
    assert words == ["--repeats", "3", "--only", "memory,cam ViT-B/16"]
    assert against.narrowed("window", wanted, []) == []


def test_the_document_has_every_figure(against: ModuleType) -> None:
    found = against.compare(Machine(3, {"scroll": 1.3}, {"scroll": 1.3}), 3)
    told = against.document(found, "window", "HEAD~1", 3)
    assert told["failed"] == ["scroll"]
    assert told["figures"]["paint"]["over"] is False
    assert told["once more"]["scroll"]["ratio"] == found.second["scroll"].ratio
    assert "FAILED" in against.told(found, 3)


BENCHMARK = """
import json, pathlib, sys
import viewer
from place import REAL as real

root = pathlib.Path(__file__).parents[1]
own = pathlib.Path(viewer.__file__) == root / "viewer" / "__init__.py"
print(json.dumps({"seconds": 2.0, "own": int(own), "real": len(real.read_text()), "words": len(sys.argv)}))
"""


PLACE = """
from pathlib import Path

REAL = Path(__file__).parents[2] / "shared" / "real"
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, against: ModuleType) -> Path:
    """A small repository of its own in the place of this one."""
    root = tmp_path / "repository"
    for folder in ("benchmarks", "viewer", "plugins"):
        (root / folder).mkdir(parents=True)
    (root / "viewer" / "__init__.py").write_text("", "utf-8")
    (root / "pyproject.toml").write_text(
        '[project]\nname = "whyscope"\nversion = "0"\n[tool.setuptools]\npackages = ["viewer"]\n'
        '[build-system]\nrequires = ["setuptools"]\n', "utf-8",
    )  # fmt: skip
    (root / "benchmarks" / "any.py").write_text(BENCHMARK, "utf-8")
    (root / "benchmarks" / "place.py").write_text(PLACE, "utf-8")
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(against, "ROOT", root)
    monkeypatch.setattr(sys.modules["checkouts"], "ROOT", root)
    return root


def test_each_revision_runs_its_own_program(against: ModuleType, repository: Path, tmp_path: Path) -> None:
    (repository / "benchmarks" / "any.py").write_text(BENCHMARK.replace("2.0", "3.0"), "utf-8")
    (repository / "viewer" / "new.py").write_text("", "utf-8")  # not yet added, and yet of this checkout
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "real").write_text("four", "utf-8")
    trees = against.Trees(tmp_path / "work", "HEAD", tmp_path / "data")
    old, new = (trees.measured("any", which, ["--frames"]) for which in (against.OLD, against.NEW))
    assert old == {"seconds": 2.0, "own": 1.0, "real": 4.0, "words": 3.0}
    assert (tmp_path / "work" / "now" / "viewer" / "new.py").is_file()
    assert not (tmp_path / "work" / "before" / "viewer" / "new.py").exists()
    assert new == {"seconds": 3.0, "own": 1.0, "real": 4.0, "words": 3.0}


def test_a_revision_that_is_not_there(against: ModuleType, repository: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="There is no revision nowhere"):
        against.Trees(tmp_path, "nowhere", tmp_path)
