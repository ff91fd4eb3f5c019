# SPDX-License-Identifier: Apache-2.0
"""The explainer of the documentation is a package of its own, and enters like any other."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from installed import Environment, build_wheel
from program import arrays_of

DOCUMENT = Path(__file__).parents[1] / "docs" / "write-an-explainer.md"


def blocks() -> tuple[str, str, str]:
    """The `pyproject.toml`, the name of the module and its code, as the page has them."""
    text = DOCUMENT.read_text("utf-8")
    project = re.search(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    module = re.search(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert project, "the page shows a pyproject.toml"
    assert module, "the page shows a whole module under its name"
    return project[1], module[1], module[2]


def method() -> str:
    found = re.search(r'^    name = "([a-z-]+)"', blocks()[2], re.MULTILINE)
    assert found
    return found[1]


def code_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def test_the_plugin_is_thirty_lines() -> None:
    assert len(code_lines(blocks()[2])) <= 30


@pytest.fixture(scope="module")
def with_plugin(installed: Environment, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The installed program, and the plugin of the page beside it."""
    folder = tmp_path_factory.mktemp("plugin")
    project, name, code = blocks()
    (folder / "source").mkdir()
    (folder / "source" / "pyproject.toml").write_text(project, "utf-8")
    (folder / "source" / name).write_text(code, "utf-8")
    installed.install(build_wheel(folder / "source", folder / "dist"))
    return installed


def test_the_plugin_is_listed(with_plugin: Environment, tmp_path: Path) -> None:
    listed = json.loads(with_plugin.whyscope("methods", "--json", cwd=tmp_path))["methods"]
    (found,) = [item for item in listed if item["name"] == method()]
    assert found["unsuitable"] is None
    assert found["title"]
    assert found["settings"]
    assert "grad-cam" in [item["name"] for item in listed]


def test_the_plugin_explains(
    with_plugin: Environment, stack: Path, small_model: Path, tmp_path: Path
) -> None:
    card = yaml.safe_load((small_model / "model.yaml").read_text("utf-8"))
    words = ("explain", stack, "--model", small_model, "--out", "out", "--target", "all", "--json")
    document = json.loads(with_plugin.whyscope(*words, "--method", method(), cwd=tmp_path))
    assert not document["skipped"]
    assert [e["label"] for e in document["attributions"]] == card["output"]["labels"]
    for entry in document["attributions"]:
        assert entry["method"] == method()
        assert entry["min"] < entry["max"]
        map = arrays_of(tmp_path / "out" / entry["files"]["npz"])["map"]
        assert np.isfinite(map).all()
        assert (tmp_path / "out" / entry["files"]["png"]).is_file()
