# SPDX-License-Identifier: Apache-2.0
"""Models are asked, maps made, results written and intended use judged in one place, where the gates are."""

import ast
from pathlib import Path
from typing import TypeGuard

import pytest
from sources import named, sources

PLACE = "viewer/session.py"
"""Where models are asked and results written; the rooms of the functions themselves are left out."""
ROOMS = ("viewer/models/", "viewer/explain/", "viewer/export/")
GUARDED = {
    f"viewer.{name}"
    for name in (
        "explain.explain", "explain.run.explain", "explain.sweep", "explain.sweep.sweep", "explain.answer",
        "explain.requests.answer",
        "export.export", "export.write.export",
    )
}  # fmt: skip
FACES = ("viewer.session", "viewer.api")
"""Modules whose `predict` is the place's own."""


def asked(text: str) -> list[str]:
    """Lines of a module that predict, explain or export by themselves, each with what is used there."""
    tree = ast.parse(text)
    known = _imported(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            name = _dotted(node, known)
            if name in GUARDED:
                found.append(f"{node.lineno}: {name}")
            elif _predicts(node) and _dotted(node.value, known) not in FACES:
                found.append(f"{node.lineno}: Model.predict")
    return found


def judged(text: str) -> list[str]:
    """Lines of a module that read what a model accepts, or make up the reader's word that overrides it."""
    tree = ast.parse(text)
    known = _imported(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr == "accepts":
            found.append(f"{node.lineno}: accepts")
        elif isinstance(node, ast.Call) and (_dotted(node.func, known) or "").endswith(".Override"):
            found.append(f"{node.lineno}: Override")
    return found


def _predicts(node: ast.expr) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and node.attr == "predict"


def _imported(tree: ast.Module) -> dict[str, str]:
    """What the names of a module stand for, wherever in it they are imported."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            known |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.Import):
            for one in node.names:  # `import a.b` binds a, and `import a.b as c` binds a.b
                head = one.name.partition(".")[0]
                known[one.asname or head] = one.name if one.asname else head
    return known


def _dotted(node: ast.expr, known: dict[str, str]) -> str | None:
    """The full name that an expression stands for, None where it is not a name from an import."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value, known)
        return None if owner is None else f"{owner}.{node.attr}"
    return None


def test_models_are_asked_and_results_written_in_one_place() -> None:
    outside = [path for path in sources("viewer") if not named(path).startswith((PLACE, *ROOMS))]
    assert len(outside) > 50
    faults = [f"{named(path)}:{line}" for path in outside for line in asked(path.read_text("utf-8"))]
    assert not faults, "\n".join(faults)


def test_the_place_does_all_of_it() -> None:
    """Else the test above would look for what is nowhere."""
    used = {line.partition(": ")[2] for line in asked(Path(sources(PLACE)[0]).read_text("utf-8"))}
    assert used >= {"Model.predict", "viewer.explain.answer", "viewer.export.export"}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("def f(model, x):\n    return model.predict(x)", ["2: Model.predict"]),
        ("work = self.model.predict", ["1: Model.predict"]),
        ("from viewer import session\nsession.predict(1)", []),
        ("from viewer import api\napi.explain(1); api.export(2); api.predict(3)", []),
        ("from viewer import explain\nexplain.discover()", []),
        ("from viewer import explain\nexplain.explain(1)", ["2: viewer.explain.explain"]),
        ("def f():\n    from viewer import explain as e\n    e.sweep(1)", ["3: viewer.explain.sweep"]),
        ("from viewer.explain.run import explain\nrun(explain)", ["2: viewer.explain.run.explain"]),
        ("import viewer.export\nviewer.export.export(1)", ["2: viewer.export.export"]),
        ("import viewer.export as out\nout.export(1)", ["2: viewer.export.export"]),
        ("from viewer.export import export as write\nwrite(1)", ["2: viewer.export.export"]),
        ("from viewer.export import whole\nwith whole(path) as part: part.predict = 1", []),
    ],
)
def test_another_place_is_noticed(text: str, lines: list[str]) -> None:
    assert asked(text) == lines


def test_intended_use_is_judged_in_one_place() -> None:
    """Above the card, which says what a model accepts, nothing but the session asks for it."""
    outside = [path for path in sources("viewer") if not named(path).startswith((PLACE, "viewer/models/"))]
    assert len(outside) > 50
    faults = [f"{named(path)}:{line}" for path in outside for line in judged(path.read_text("utf-8"))]
    assert not faults, "\n".join(faults)
    here = [line.partition(": ")[2] for line in judged(Path(sources(PLACE)[0]).read_text("utf-8"))]
    assert sorted(here) == ["Override", "accepts"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("reason = model.accepts(series)", ["1: accepts"]),
        ("suits = self._maps.model.card.accepts.modality", ["1: accepts"]),
        ("from viewer.types import Override\nkept = {Override(a, b)}", ["2: Override"]),
        ("from viewer import types as t\nt.Override(a, b)", ["2: Override"]),
        ("from viewer.types import Override\ndef f(kept: frozenset[Override]) -> None: ...", []),
        ("from viewer import session\nsession.judge(series, model, kept).open", []),
    ],
)
def test_another_judge_is_noticed(text: str, lines: list[str]) -> None:
    assert judged(text) == lines
