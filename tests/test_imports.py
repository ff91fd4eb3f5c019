# SPDX-License-Identifier: Apache-2.0
"""What a command loads: no torch where none is needed, and never a window."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from installed import ROOT

# Importing Qt fails as it does where it is not installed, and every attempt is told.
PROLOGUE = """
import json, sys
tried = []
class NoWindow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("PySide6", "shiboken6", "PyQt5", "PyQt6", "pyqtgraph"):
            tried.append(name)
            raise ModuleNotFoundError(f"no {name} here", name=name)
sys.meta_path.insert(0, NoWindow())

def told():
    libraries = [line.split()[-1] for line in open("/proc/self/maps") if "/lib" in line]
    graphics = {l for l in libraries if any(x in l for x in ("libEGL", "libGL.", "libGLX", "libQt"))}
    report = {"modules": sorted(sys.modules), "tried": tried, "graphics": sorted(graphics)}
    print(json.dumps(report), file=sys.__stderr__)
"""


def loaded(code: str, *words: object) -> dict[str, list[str]]:
    """What a fresh process has loaded after running some code."""
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(code), *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report: dict[str, list[str]] = json.loads(done.stderr.splitlines()[-1])
    return report


COMMAND = """
    import main
    sys.argv[0] = "whyscope"
    try:
        main.main()
    except SystemExit as end:
        assert not end.code, end.code
    told()
"""
LIBRARIES = {"captum", "pytorch_grad_cam"}
HEAVY = LIBRARIES | {
    "torch",
    "torchvision",
    "timm",
    "cv2",
    "scipy",
    "sklearn",
    "matplotlib",
}


def heavy(report: dict[str, list[str]]) -> set[str]:
    return HEAVY & {name.partition(".")[0] for name in report["modules"]}


def test_the_program_starts_with_nothing_loaded() -> None:
    report = loaded("import main; told()")
    light = {name.partition(".")[0] for name in report["modules"]}
    assert not light & {"viewer", "plugins", "numpy", "typer", "rich", "pydicom", *HEAVY}


def test_series_needs_no_torch(stack: Path) -> None:
    report = loaded(COMMAND, "series", stack)
    assert heavy(report) == set()
    assert report["tried"] == []
    assert "viewer.dicom.scan" in report["modules"]


def test_python_opens_a_study_without_torch(stack: Path) -> None:
    report = loaded(
        "from viewer import api; study = api.open(sys.argv[1]); assert study.series; told()", stack
    )
    assert heavy(report) == set()
    assert "viewer.session" not in report["modules"]


@pytest.mark.parametrize("words", [["methods"], ["--help"]])
def test_listing_needs_no_window(words: list[str]) -> None:
    report = loaded(COMMAND, *words)
    assert (report["tried"], report["graphics"]) == ([], [])
    assert not heavy(report) - {"torch"}


def test_a_machine_without_a_window_explains_by_every_method(
    stack: Path, small_model: Path, tmp_path: Path
) -> None:
    """Every method but those of libraries, and no library is loaded for them."""
    from viewer.explain import discover

    every = ",".join(found.name for found in discover() if not found.load().library)
    assert "score-cam" in every
    assert "eigen-cam" in every
    report = loaded(
        COMMAND, "explain", stack, "--model", small_model, "--method", every, "--out", tmp_path, "--json"
    )
    assert (report["tried"], report["graphics"]) == ([], [])
    assert not heavy(report) & LIBRARIES
    document = json.loads((tmp_path / "result.json").read_text("utf-8"))
    explained = {entry["method"] for entry in document["attributions"]}
    assert {"score-cam", "eigen-cam", "grad-cam", "integrated-gradients", "occlusion"} <= explained
    assert explained | {s["method"] for s in document["skipped"]} == set(every.split(","))


def test_every_method_is_listed_with_its_fit_and_no_library_is_loaded(small_model: Path) -> None:
    report = loaded("""
        from viewer import session
        from viewer.explain import describe, discover
        from pathlib import Path
        assert {"lime", "fem"} <= {found.name for found in discover() if found.load().library}
        model = session.load_model(Path(sys.argv[1]))
        listed = {facts["name"]: facts for facts in describe(model)}
        assert listed["fem"]["library"] == "grad-cam" and listed["fem"]["unsuitable"] is None
        assert listed["grad-cam"]["library"] == "" and listed["lrp"]["unsuitable"]
        told()
    """, small_model)  # fmt: skip
    assert heavy(report) <= {"torch", "torchvision", "timm"}


@pytest.mark.parametrize(("name", "library"), [("fem", "pytorch_grad_cam"), ("internal-influence", "captum")])
def test_a_method_of_a_library_loads_it_and_no_window(
    stack: Path, small_model: Path, tmp_path: Path, name: str, library: str
) -> None:
    report = loaded(COMMAND, "explain", stack, "--model", small_model, "--method", name, "--out", tmp_path)
    assert heavy(report) & LIBRARIES == {library}
    assert (report["tried"], report["graphics"]) == ([], [])


def test_quick_methods_load_no_slow_package(stack: Path, small_model: Path, tmp_path: Path) -> None:
    words = ("--model", small_model, "--method", "grad-cam,saliency", "--out", tmp_path)
    assert heavy(loaded(COMMAND, "explain", stack, *words)) == {"torch"}


def test_the_hook_notices_a_window() -> None:
    report = loaded("""
        try:
            import PySide6.QtWidgets
        except ModuleNotFoundError:
            pass
        told()
    """)
    assert report["tried"] == ["PySide6"]
