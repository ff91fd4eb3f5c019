# SPDX-License-Identifier: Apache-2.0
"""The benchmark of very many files: what it makes is what it says, and its scan finds it."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("resource")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    spec = importlib.util.spec_from_file_location("many_files", BENCHMARKS / "many_files.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_is_counted(many: ModuleType, tmp_path: Path) -> None:
    many.make(tmp_path, 500)
    found = many.scanned(tmp_path)
    counts = {name: found[name] for name in ("series", "slices", "other", "refused")}
    assert counts == {"series": 2, "slices": 200, "other": 200, "refused": 100}
    assert found["tellings"] >= 1
