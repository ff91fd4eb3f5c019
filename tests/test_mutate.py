# SPDX-License-Identifier: Apache-2.0
"""The faults that `scripts/mutate.py` puts into the program, and how it tells which of them tests notice."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import mutate
from mutations import OPERATORS, Mutation, drawn, mutations

ROOT = Path(__file__).resolve().parents[1]


def made(source: str, operator: str) -> list[str]:
    """The source with each fault of an operator in turn."""
    return [one.applied(source) for one in mutations(source, "one.py") if one.operator == operator]


@pytest.mark.parametrize(
    ("operator", "source", "expected"),
    [
        ("comparison", "a < (b)", ["a <= (b)"]),
        ("comparison", "a >= b == c", ["a > b == c", "a >= b != c"]),
        ("comparison", "a is  not b", ["a is b"]),
        ("comparison", "a not in b", ["a in b"]),
        ("comparison", "é in b", ["é not in b"]),
        ("comparison", "(a < # less\nb)", []),
        ("arithmetic", "a + b * c", ["a - b * c", "a + b / c"]),
        ("arithmetic", "a -\\\n b // 2", ["a +\\\n b // 2", "a -\\\n b / 2"]),
        ("arithmetic", "a ** b % c", ["a * b % c", "a ** b // c"]),
        ("arithmetic", "a += 1", ["a -= 1"]),
        ("arithmetic", "'a' + b + [c]", []),
        ("arithmetic", "folder / 'file'", []),
        ("constant", "f(3, -0.5, True, 'a', None)",
         ["f(4, -0.5, True, 'a', None)", "f(2, -0.5, True, 'a', None)", "f(3, --0.5, True, 'a', None)",
          "f(3, -1.5, True, 'a', None)"]),
        ("truth", "f(True, a=False)", ["f(False, a=False)", "f(True, a=True)"]),
        ("and, or", "a and b and c", ["a or b and c", "a and b or c"]),
        ("and, or", "(a) or(b)", ["(a) and(b)"]),
        ("not", "if not(a): b", ["if (a): b"]),
        ("return", "def f():\n return (a,\n 1)", ["def f():\n return None"]),
        ("return", "def f():\n return False", []),
        ("keyword", "f(a, b=1, c=(2), **d)", ["f(a,  c=(2), **d)", "f(a, b=1,  **d)"]),
        ("keyword", "f(a, b=1)", ["f(a, )"]),
        ("keyword", "zip(a, b, strict=True)", []),
        ("branches", "a if b else c", ["a if not (b) else c"]),
        ("branches", "if a > 1: b", ["if not (a > 1): b"]),
        ("branches", "if a == 1: b", []),
        ("branches", "[a for a in b if c]", ["[a for a in b if not (c)]"]),
        ("bounds", "a[b : c + 1]", ["a[b + 1 : c + 1]", "a[b : (c + 1) - 1]"]),
        ("bounds", "a[1:-1]", []),
        ("bounds", "range(a), range(a, b)", ["range(a - 1), range(a, b)", "range(a), range(a, b - 1)"]),
        ("extreme", "max(a.min(), np.argmax(b))",
         ["min(a.min(), np.argmax(b))", "max(a.max(), np.argmax(b))", "max(a.min(), np.argmin(b))"]),
    ],
)  # fmt: skip
def test_an_operator_makes_these_faults_and_no_others(
    operator: str, source: str, expected: list[str]
) -> None:
    assert sorted(made(source, operator)) == sorted(expected)


def test_what_no_test_can_ask_for_is_left_alone() -> None:
    source = '''
"""Words + 1."""
__all__ = ["a" * 2]
@cache(maxsize=2)
def f(a: Literal[1, 2], b: "x < y") -> tuple[3]:
    log.debug("a", 1 + a)
    return f"{a + 1:.3f}"
class A(Base[4]):
    cost = Cost(5, "one forward")
    of: object = field(repr=False)
    def __repr__(self): return 1 + self.a
if __name__ == "__main__":
    main(1)
'''
    assert [(one.operator, one.new) for one in mutations(source, "one.py")] == [("return", "None")]


def test_bounds_timings_and_looks_are_tagged() -> None:
    source = "MOST = 5\nleast = 5\nlate = monotonic() - 3\nbox.setSpacing(4)\n"
    tags = {one.line: one.tag for one in mutations(source, "one.py") if one.operator == "constant"}
    assert tags == {1: "bound", 2: "", 3: "timing", 4: "look"}


@pytest.mark.parametrize("layer", mutate.LAYERS)
def test_faults_of_the_program_can_be_read_and_change_it(layer: str) -> None:
    """They are of nearly all kinds, no two are in one line, and each holds what its operator says."""
    chosen = list(mutate.sample([layer], 12, 1))
    assert len({(one.path, one.line) for one in chosen}) == 12
    assert len({one.operator for one in chosen}) >= len(OPERATORS) - 1
    for one in chosen:
        source = (ROOT / one.path).read_text("utf-8")
        assert ast.dump(ast.parse(one.applied(source))) != ast.dump(ast.parse(source))


def test_a_seed_draws_the_same_and_fewer_are_the_first_of_more() -> None:
    every = mutations("\n".join(f"if a[{i}] < b + {i}: return f(c={i})" for i in range(50)), "one.py")

    def draw(count: int, seed: str) -> list[Mutation]:
        return list(drawn(every, count, seed))

    assert draw(12, "1 dicom") == draw(12, "1 dicom")
    assert draw(12, "1 dicom") != draw(12, "2 dicom")
    assert draw(5, "1 dicom") == draw(12, "1 dicom")[:5]


def test_a_fault_of_another_source_is_not_applied() -> None:
    (one,) = [one for one in mutations("a < b", "one.py") if one.operator == "comparison"]
    with pytest.raises(ValueError, match="not the source"):
        one.applied("ab < c")


def test_few_lines_give_few_faults() -> None:
    every = mutations("a < b\nc < d and e\n", "one.py")
    assert sorted(one.line for one in drawn(every, 10, "1")) == [1, 2]


def test_test_files_that_name_a_module_come_first() -> None:
    fault = Mutation("viewer/dicom/plain.py", 1, "constant", 0, "1", "2")
    naming, layer, others = mutate.stages(fault, "dicom", True)
    assert naming[0] == "tests/dicom/test_plain.py"
    assert "tests/dicom/test_geometry.py" in layer
    assert not any(name.startswith("tests/ui") for name in naming + layer)
    assert any(name.startswith("tests/ui") for name in others)
    every = naming + layer + others
    assert len(every) == len(set(every))
    assert not set(every) & set(mutate.NOT_ASKED)
    assert len(list(mutate.stages(fault, "dicom", False))) == 2


MODULE = "def half(a):\n    return a / 2\n\n\ndef never(a):\n    return a + 3\n"
TESTS = """
from viewer.dicom.one import half

def test_wrong(): assert half(2) == 7
def test_half(): assert half(4) == 2
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of one module, of which one function is tested, and a test that fails anyhow."""
    root = tmp_path / "small"
    for name, text in {
        "pyproject.toml": "[tool.setuptools]\npackages = ['viewer', 'viewer.dicom']\n",
        "viewer/__init__.py": "", "viewer/dicom/__init__.py": "", "viewer/dicom/one.py": MODULE,
        "tests/dicom/test_one.py": TESTS,
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    monkeypatch.setattr(mutate, "ROOT", root)
    for function in (mutate.naming, mutate.stages, mutate.sample):
        monkeypatch.setattr(function, "__defaults__", (root,))
    monkeypatch.chdir(tmp_path)
    return root


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["mutate.py", "--only", "dicom", "--count", "2", *words])
    mutate.main()
    return capsys.readouterr().out


def test_a_fault_is_killed_or_survives_and_the_program_stays_as_it_is(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[dict[str, Any]] = json.loads(told(monkeypatch, capsys, "--json"))
    by = {one["mutation"]["line"]: one["by"] for one in found}
    assert by == {2: "tests/dicom/test_one.py::test_half", 6: ""}
    killed = next(one for one in found if one["by"])
    assert killed["left_out"] == ["tests/dicom/test_one.py::test_wrong"]
    assert killed["before"] == "return a / 2"
    assert killed["after"] != killed["before"]
    assert (small / "viewer/dicom/one.py").read_text("utf-8") == MODULE
    monkeypatch.setattr(mutate, "Scratch", None)  # what is known is not tried again
    said = told(monkeypatch, capsys)
    assert "viewer/dicom/one.py:6" in said
    assert "SURVIVED" in said
    assert "all      killed 1 of 2 (50.0 %), without tagged ones 1 of 2" in said
    (small / "viewer/dicom/one.py").write_text(MODULE.replace("a + 3", "a + 4"), "utf-8")
    with pytest.raises(TypeError):  # another source is another fault
        told(monkeypatch, capsys)
