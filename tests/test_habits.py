# SPDX-License-Identifier: Apache-2.0
"""What no tool checks: licences, lengths, how much lies in the window's hall, and subjects of commits."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from sources import ROOT, named, sources

LICENCE = "# SPDX-License-Identifier: Apache-2.0"
CODE = ("viewer", "plugins", "resources", "benchmarks", "scripts", "main.py")
LINES, FUNCTION, ROOMS = 400, 60, 16
"""The most lines of a module and of a function, and the most modules and packages directly in `viewer/ui`."""


PUBLIC_ALL_THE_SAME = {
    "viewer/ui/app.py: has_display",
    "viewer/ui/panels/method_card.py: CHECK",
}
"""Names that only their own module uses, in no public signature, and that are public all the same."""


def first_line(text: str) -> str:
    """The first line of a source, or the one after the line that names an interpreter."""
    lines = [*text.split("\n"), ""]
    return lines[1] if lines[0].startswith("#!") else lines[0]


def too_long(text: str, name: str) -> list[str]:
    """The module with its lines where these are too many, and its functions likewise."""
    lines = len(text.splitlines())
    found = [f"{name}: {lines} lines"] if lines > LINES else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION:
                found.append(f"{name}:{node.lineno} {node.name}: {length} lines")
    return found


def directly_in(folder: Path) -> list[str]:
    """The modules and packages of a folder."""
    packages = [path.name for path in folder.iterdir() if any(path.glob("*.py"))]
    return sorted(packages + [path.stem for path in folder.glob("*.py") if path.stem != "__init__"])


def circles(folder: Path) -> list[str]:
    """Modules of a folder that, by whatever way and wherever in them, import themselves."""
    modules = {path.stem: path for path in folder.rglob("*.py")}
    arrows = {name: _imported(path) & set(modules) for name, path in modules.items()}
    return sorted(name for name in modules if name in _reached(name, arrows))


def _imported(path: Path) -> set[str]:
    """What a module imports from beside it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def package_circles(root: Path, package: str) -> list[str]:
    """Modules of a package that import themselves by whatever way; imports for types alone do not count."""
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (root / package).rglob("*.py")
    }
    arrows = {name: _from_package(path, set(modules)) for name, path in modules.items()}
    return sorted(name for name in modules if name in _reached(name, arrows))


def _from_package(path: Path, modules: set[str]) -> set[str]:
    """The modules that one takes names from: the file itself where a name is one, else the package."""
    tree = ast.parse(path.read_text("utf-8"))
    typed = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    left_out = {id(one) for block in typed for one in ast.walk(block)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{one.name}" for one in node.names}
            found |= inside & modules
            found |= {node.module} if inside - modules else set()
    return found & modules


def used_in_one_module(texts: Mapping[str, str], rooms: tuple[str, ...]) -> list[str]:
    """Public names of modules in some rooms that no other source imports, reads off anything or quotes, and
    that no signature of their own module names which others may read."""
    trees = {name: ast.parse(text) for name, text in texts.items()}
    asked = {name: _asked_of_others(tree) for name, tree in trees.items()}
    often = Counter(word for words in asked.values() for word in words)
    return [
        f"{name}: {own}"
        for name, tree in trees.items()
        if name.startswith(rooms) and not name.endswith("__init__.py")
        for own in _public(tree)
        if often[own] == (own in asked[name]) and own not in _in_signatures(tree)
    ]


def _asked_of_others(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value.rpartition(".")[2])
    return found


def _in_signatures(node: ast.Module | ast.ClassDef) -> set[str]:
    """What the types of public functions, and of the methods and fields of public classes, name."""
    found: set[str] = set()
    for one in node.body:
        types: list[ast.expr | None] = []
        if isinstance(one, ast.FunctionDef) and not one.name.startswith("_"):
            own = one.args
            types = [
                one.returns,
                *(each.annotation for each in (*own.posonlyargs, *own.args, *own.kwonlyargs)),
            ]
        elif isinstance(one, ast.ClassDef) and not one.name.startswith("_"):
            found |= _in_signatures(one)
        elif isinstance(one, ast.AnnAssign) and isinstance(node, ast.ClassDef):
            types = [one.annotation]
        found |= {
            name for some in types if some is not None for name in re.findall(r"\w+", ast.unparse(some))
        }
    return found


def _public(tree: ast.Module) -> list[str]:
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        found += [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
    return [name for name in found if not name.startswith("_")]


def _reached(start: str, arrows: dict[str, set[str]]) -> set[str]:
    """The modules to which arrows lead from one, in one step or many."""
    reached: set[str] = set()
    ahead = set(arrows[start])
    while ahead:
        reached |= ahead
        ahead = {further for name in ahead for further in arrows[name]} - reached
    return reached


def test_every_source_names_its_licence() -> None:
    without = [named(path) for path in sources() if first_line(path.read_text("utf-8")) != LICENCE]
    assert not without, f"{len(without)} do not, {', '.join(without[:3])} among them"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (f'{LICENCE}\n"""Words."""\n', True),
        (f'#!/usr/bin/env python3\n{LICENCE}\n"""Words."""\n', True),
        (f'"""Words."""\n{LICENCE}\n', False),
        ("#!/usr/bin/env python3", False),
        ("", False),
    ],
)
def test_a_source_without_its_licence_is_noticed(text: str, names: bool) -> None:
    assert (first_line(text) == LICENCE) is names


def test_modules_and_functions_are_short() -> None:
    every = [fault for path in sources(*CODE) for fault in too_long(path.read_text("utf-8"), named(path))]
    assert not every, "\n".join(every)


@pytest.mark.parametrize(("lines", "fault"), [(400, []), (401, ["m.py: 401 lines"])])
def test_a_long_module_is_noticed(lines: int, fault: list[str]) -> None:
    assert too_long("pass\n" * lines, "m.py") == fault


@pytest.mark.parametrize(("lines", "fault"), [(60, []), (61, ["m.py:3 inner: 61 lines"])])
def test_a_long_function_is_noticed_wherever_it_stands(lines: int, fault: list[str]) -> None:
    body = "        pass\n" * (lines - 1)
    assert too_long(f"class One:\n    @staticmethod\n    def inner() -> None:\n{body}", "m.py") == fault


def test_names_of_one_module_are_private() -> None:
    """In the rooms whose names nobody outside of the program relies on."""
    texts = {named(path): path.read_text("utf-8") for path in sources(*CODE, "tests")}
    assert set(used_in_one_module(texts, ("viewer/ui/", "viewer/export/"))) == PUBLIC_ALL_THE_SAME


def test_a_name_of_one_module_is_noticed() -> None:
    texts = {
        "a/one.py": "import os\nWIDE: int = 3\nLOW, HIGH = 1, 2\nclass Key: ...\nclass Own: ...\n"
        "class Row:\n  part: 'Key'\n  def _x(self) -> Own: ...\ndef f(): os.HIGH\n_X = 1\n",
        "a/two.py": "from a.one import Row\n",
        "b/three.py": "import a.one\na.one.LOW\ndef g(): 'a.one.f'\ndef h(): ...\n",
    }
    assert used_in_one_module(texts, ("a/",)) == ["a/one.py: WIDE", "a/one.py: HIGH", "a/one.py: Own"]


SHARED_NAMES = {"Window": {"viewer/types/series.py", "viewer/ui/window.py"}}
"""Class names that two modules of the program have: here both are what the field and the toolkit say."""


def classes_of_one_name(texts: Mapping[str, str]) -> dict[str, set[str]]:
    """The public classes of the window that another module defines too, each with its modules."""
    places: dict[str, set[str]] = {}
    for module, text in texts.items():
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, set()).add(module)
    return {
        name: found
        for name, found in places.items()
        if len(found) > 1 and any(module.startswith("viewer/ui/") for module in found)
    }


def test_a_class_of_the_window_has_a_name_of_its_own() -> None:
    assert classes_of_one_name({named(p): p.read_text("utf-8") for p in sources("viewer")}) == SHARED_NAMES


def test_a_second_class_of_one_name_is_noticed() -> None:
    text = "class Row: ...\nclass _Own: ...\n"
    assert classes_of_one_name({"a.py": text, "viewer/ui/b.py": text}) == {"Row": {"a.py", "viewer/ui/b.py"}}
    assert not classes_of_one_name({"a.py": text, "b.py": text})


def test_the_hall_of_the_window_stays_small() -> None:
    assert len(directly_in(ROOT / "viewer" / "ui")) <= ROOMS


def test_what_lies_in_a_folder_is_counted(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "pictures").mkdir()
    for name in ("__init__.py", "window.py", "room/__init__.py", "pictures/one.png", "style.qss"):
        (tmp_path / name).touch()
    assert directly_in(tmp_path) == ["room", "window"]


@pytest.mark.parametrize("folder", ["benchmarks", "scripts"])
def test_scripts_go_in_no_circle(folder: str) -> None:
    assert circles(ROOT / folder) == []


@pytest.mark.parametrize("package", ["viewer", "plugins"])
def test_packages_go_in_no_circle(package: str) -> None:
    assert package_circles(ROOT, package) == []


def test_a_circle_in_a_package_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "__init__.py").write_text("from a.one import x\n", "utf-8")
    (tmp_path / "a" / "one.py").write_text("def f() -> None:\n    from a.b import two\n", "utf-8")
    (tmp_path / "a" / "b" / "__init__.py").write_text("", "utf-8")
    (tmp_path / "a" / "b" / "two.py").write_text("from a import x\n", "utf-8")
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import x\n"
    (tmp_path / "a" / "typed.py").write_text(typed, "utf-8")
    assert package_circles(tmp_path, "a") == ["a", "a.b.two", "a.one"]


def test_a_circle_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("import two\n", "utf-8")
    (tmp_path / "two.py").write_text("def f() -> None:\n    from three import g\n", "utf-8")
    (tmp_path / "three.py").write_text("import one, os\n", "utf-8")
    (tmp_path / "four.py").write_text("import one\n", "utf-8")
    assert circles(tmp_path) == ["one", "three", "two"]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("Say what changed\n\n" + "x" * 100, 0),
        ("†" * 72, 0),
        ("†" * 73, 1),
        ("# a comment of git\n", 1),
        ("", 1),
        ("Say what changed\nand go on in the second line\n", 1),
    ],
)
def test_the_subject_of_a_commit_fits_a_line(message: str, status: int, tmp_path: Path) -> None:
    path = tmp_path / "COMMIT_EDITMSG"
    path.write_text(message, "utf-8")
    script = ROOT / "scripts" / "commit_subject.py"
    done = subprocess.run(
        [sys.executable, str(script), str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == status, done.stderr
    assert bool(done.stderr) is bool(status)
