# SPDX-License-Identifier: Apache-2.0
"""The benchmark of speed: its files are one series for all readers, and its table has every aim."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("resource")


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    place = Path(__file__).parents[2] / "benchmarks" / "dicom_speed.py"
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("dicom_speed", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "_SIDE", 16)
    monkeypatch.setattr(module, "_WINDOW", 0)
    return module


@pytest.mark.parametrize("packed", [False, True])
def test_all_readers_read_the_same_bytes(speed: ModuleType, tmp_path: Path, packed: bool) -> None:
    speed.make_ct(tmp_path, 4, packed)
    found = {reader: speed.read_once(reader, tmp_path) for reader in speed.READERS}
    assert {some["bytes"] for some in found.values()} == {4 * 16 * 16 * 2}
    ours = found["whyscope"]
    assert 0 < ours["scan"] <= ours["all"]
    assert 0 < ours["first"] <= ours["all"]


def test_ratios_and_what_is_missed(speed: ModuleType) -> None:
    found = {
        "whyscope": {"scan": 3.0, "first": 1.0, "all": 6.0, "peak": 130.0, "bytes": 100.0},
        "pydicom": {"all": 4.0, "peak": 1.0, "bytes": 100.0},
        "SimpleITK": {"scan": 1.0, "all": 10.0, "peak": 1.0, "bytes": 100.0},
    }
    parts = speed.ratios(found)
    assert parts == {"first": 0.1, "scan": 0.3, "all": 0.6, "memory": 1.3, "all/pydicom": 1.5}
    assert "missed" not in speed.told({"CT": {"readers": found, "ratios": parts}})
    assert "missed" in speed.told({"CT": {"readers": found, "ratios": {**parts, "first": 0.2}}})
