# SPDX-License-Identifier: Apache-2.0
"""The wheel holds all that the program needs: installed elsewhere, it explains."""

import json
import zipfile
from pathlib import Path

from installed import Environment, run


def test_the_wheel_holds_the_program_and_no_tests(installed: Environment) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    for name in (
        "main.py",
        "viewer/cli/__init__.py",
        "viewer/dicom/decoder.py",
        "viewer/py.typed",
        "plugins/grad_cam.py",
        "resources/__init__.py",
        "resources/icons/warning.svg",
        "resources/style.qss",
        "resources/fonts/Inter-Regular.otf",
        "resources/fonts/Inter-SemiBold.otf",
        "resources/colours/inferno.txt",
        "resources/colours/viridis.txt",
        "resources/colours/blue-white-red.txt",
    ):
        assert name in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("OFL.txt") and "dist-info" in name for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "main.py", "viewer", "plugins", "resources", "whyscope",
    }  # fmt: skip
    tree = Path(__file__).parents[1]
    modules = {
        p.relative_to(tree).as_posix() for part in ("viewer", "plugins") for p in (tree / part).rglob("*.py")
    }
    assert modules <= names


def test_the_installed_program_explains(
    installed: Environment, stack: Path, small_model: Path, tmp_path: Path
) -> None:
    code = "import viewer, plugins, resources, main; print(viewer.__file__, plugins.__file__, main.__file__)"
    assert run(installed.python, "-c", code, cwd=tmp_path).count(str(installed.folder)) == 3
    words = ("explain", stack, "--model", small_model, "--method", "grad-cam", "--out", "out", "--json")
    document = json.loads(installed.whyscope(*words, cwd=tmp_path))
    (entry,) = document["attributions"]
    for name in entry["files"].values():
        assert (tmp_path / "out" / name).stat().st_size > 500
    assert document["versions"]["whyscope"]
    assert installed.whyscope("series", "nowhere", cwd=tmp_path, status=1) == ""
