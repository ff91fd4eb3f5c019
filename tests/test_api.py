# SPDX-License-Identifier: Apache-2.0
"""Python's face: the lines of the README run as they stand."""

import json
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def lines_of_the_readme() -> str:
    """The one fenced Python block that imports the API."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    found = [block for block in blocks if "from viewer import api" in block]
    assert len(found) == 1, "the README has one block that shows the Python API"
    return str(found[0])


def test_the_readme_shows_six_lines() -> None:
    lines = [line for line in lines_of_the_readme().splitlines() if line.strip() and line.lstrip()[0] != "#"]
    assert len(lines) == 6
    for name in ("open", "load", "predict", "explain", "export"):
        assert f"api.{name}(" in "\n".join(lines)


def test_the_lines_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "resources").symlink_to(Path(__file__).parents[1] / "resources")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(lines_of_the_readme(), "README.md", "exec"), names)  # noqa: S102 - the README's own lines
    assert "nodule" in capsys.readouterr().out
    out = tmp_path / "whyscope-demo" / "from-python"
    document = json.loads((out / "result.json").read_text("utf-8"))
    assert document["attributions"]
    for entry in document["attributions"]:
        assert {"png", "npz"} <= set(entry["files"])
        assert all((out / name).is_file() for name in entry["files"].values())


def test_the_api_names_what_it_has() -> None:
    from viewer import api

    for name in api.__all__:
        assert callable(getattr(api, name))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = api.nonsense


def test_a_script_gets_the_same_as_the_command_line(stack: Path, small_model: Path, tmp_path: Path) -> None:
    from program import LABELS

    from viewer import api

    study, model = api.open(stack), api.load(small_model)
    predictions = api.predict(study.series[0], model, slice="all")
    assert [p.input.slice for p in predictions] == [0, 1, 2, 3]
    assert [s.label for s in predictions[0].scores] == list(LABELS)
    explained = api.explain(study.series[0], model, ["saliency"], target="mass", slice=1)
    document = api.export(explained, tmp_path, ["npz"])
    assert document["attributions"][0]["label"] == "mass"
    assert json.loads((tmp_path / "result.json").read_text("utf-8")) == document
