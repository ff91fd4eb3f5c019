# SPDX-License-Identifier: Apache-2.0
"""Style, types and layers are part of the gate."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sources import ROOT, named, sources


def run(*words: str) -> str:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tool(name: str) -> str:
    """A tool of the environment that runs the tests."""
    return str(Path(sys.executable).parent / name)


def test_ruff_finds_nothing() -> None:
    run(tool("ruff"), "check", ".")


def test_the_code_is_formatted() -> None:
    run(tool("ruff"), "format", "--check", ".")


def apart() -> list[Path]:
    """Python files of the tests whose module names repeat: mypy takes one module of a name at a time."""
    return [*(ROOT / "tests").glob("*/conftest.py"), *(ROOT / "tests" / "cards").glob("*/*.py")]


def test_mypy_finds_nothing() -> None:
    """In turn, so that each pass finds what the first one left in the cache."""
    run(tool("mypy"))
    for path in apart():
        run(tool("mypy"), named(path))


def test_mypy_leaves_out_only_what_is_checked_apart() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
    assert settings["strict"] is True
    names = {named(path) for path in sources()}
    assert {name for name in names if Path(name).parts[0] not in settings["files"]} == set()
    left = {name for name in names if any(re.search(pattern, name) for pattern in settings["exclude"])}
    assert left == {named(path) for path in apart()}


def test_all_but_the_tests_is_checked_strictly() -> None:
    """What tests are let off is asked of every other module again, whatever folder it lies in."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
    strict = next(part for part in settings["overrides"] if "planted" in part["module"])
    let_off = {key for key, value in settings.items() if value is False} - {"disallow_untyped_calls"}
    assert {key for key in let_off if strict.get(key) is not True} == set()
    assert strict["enable_error_code"] == settings["disable_error_code"]
    scripts = {path.stem for path in sources("benchmarks", "scripts")}
    assert scripts | {"main", "viewer.*", "plugins.*", "resources.*"} == set(strict["module"])


def test_the_layers_hold() -> None:
    kept = len(
        tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    )
    assert f"Contracts: {kept} kept, 0 broken" in run(tool("lint-imports"), "--no-cache")


@pytest.mark.parametrize(
    ("module", "contract"),
    [
        ("viewer/types/series.py", "layers point downward"),
        ("viewer/stray.py", "every module has its place"),
        ("viewer/models/prepare.py", "Only the window knows Qt"),
        ("viewer/ui/views/pixels.py", "Only the plots know pyqtgraph"),
        ("viewer/explain/run.py", "knows no plugin by name"),
        ("plugins/saliency.py", "import viewer.explain only"),
        ("viewer/ui/widgets/theme.py", "Rooms of the window"),
        ("viewer/ui/panels/display.py", "Rooms of the window"),
        ("viewer/ui/stray.py", "Rooms of the window"),
        ("viewer/ui/presenter/maps.py", "reaches torch through the session only"),
        ("viewer/export/write.py", "need no torch"),
        ("plugins/grad_cam.py", "No plugin leans on another"),
        ("viewer/ui/views/marks.py", "takes nothing from it"),
        ("viewer/ui/widgets/parts.py", "how a text is made harmless"),
        ("viewer/wording.py", "layers point downward"),
    ],
)
def test_a_broken_layer_is_noticed(module: str, contract: str, tmp_path: Path) -> None:
    import shutil

    for part in ("viewer", "plugins", "resources"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "fonts"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    wrong = {
        "viewer/types/series.py": "import viewer.session\n",
        "viewer/stray.py": "",
        "viewer/models/prepare.py": "import PySide6\n",
        "viewer/ui/views/pixels.py": "import pyqtgraph\n",
        "viewer/explain/run.py": "import plugins.saliency\n",
        "plugins/saliency.py": "import viewer.types\n",
        "viewer/ui/widgets/theme.py": "import viewer.ui.state\n",
        "viewer/ui/panels/display.py": "import viewer.ui.presenter.store\n",
        "viewer/ui/stray.py": "",
        "viewer/ui/presenter/maps.py": "import torch\n",
        "viewer/export/write.py": "import torch\n",
        "plugins/grad_cam.py": "import plugins.saliency\n",
        "viewer/ui/views/marks.py": "import viewer.export\n",
        "viewer/ui/widgets/parts.py": "import viewer.types\n",
        "viewer/wording.py": "import viewer.dicom\n",
    }[module]
    path = tmp_path / module
    path.write_text((path.read_text(encoding="utf-8") if path.exists() else "") + "\n" + wrong, "utf-8")
    done = subprocess.run(
        [tool("lint-imports"), "--no-cache"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={"PYTHONPATH": str(tmp_path), "PATH": str(Path(sys.executable).parent)},
    )  # fmt: skip
    assert done.returncode == 1
    assert contract in done.stdout + done.stderr
