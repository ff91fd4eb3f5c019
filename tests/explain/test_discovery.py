# SPDX-License-Identifier: Apache-2.0
"""Explainers are found by name; a broken plugin says why and disturbs no other."""

import subprocess
import sys
import textwrap
import tomllib
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from viewer.errors import ExplainerError, PluginError
from viewer.explain import discover, explainer

ROOT = Path(__file__).parents[2]
MODULE = import_module("viewer.explain.discover")  # a function has its name in the package

DECLARED = """
    from dataclasses import dataclass
    from viewer.explain import Cost, Explainer, Probe

    class Facts:
        name = "stranger"
        title = "Stranger"
        family = "gradient"
        paper = "none"
        shows = "Nothing."
        cost = Cost("1")
"""

BROKEN = {
    "raises": ("raise ValueError('no licence')", "cannot be loaded: ValueError: no licence"),
    "syntax": ("def (:", "cannot be loaded: SyntaxError"),
    "missing": ("import a_package_that_nobody_has", "cannot be loaded: ModuleNotFoundError"),
    "exits": ("raise SystemExit(3)", "cannot be loaded: SystemExit: 3"),
    "told": (
        "from viewer.errors import ModelError\nraise ModelError('The card is lost.')",
        "cannot be loaded: The card is lost.",
    ),
    "nothing": ("", "cannot be loaded: AttributeError"),
    "function": ("def Stranger(): pass", "is no explainer"),
    "bare": (
        "from viewer.explain import Explainer\nclass Stranger(Explainer):\n    def compute(self, probe): ...",
        "does not declare its name",
    ),
    "abstract": (
        DECLARED + "\n    @dataclass(frozen=True)\n    class Stranger(Facts, Explainer): ...",
        "does not write its compute",
    ),
    "no-default": (
        DECLARED
        + "\n    @dataclass(frozen=True)\n    class Stranger(Facts, Explainer):\n"
        + "        strength: int\n        def compute(self, probe): ...",
        "gives its setting 'strength' no default",
    ),
    "thawed": (
        DECLARED
        + "\n    @dataclass\n    class Stranger(Facts, Explainer):\n        def compute(self, probe): ...",
        "cannot be loaded: TypeError: cannot inherit non-frozen dataclass from a frozen one",
    ),
    "override": (
        DECLARED + "\n    class Stranger(Facts, Explainer):\n        def attribute(self, probe): ...",
        "overrides attribute",
    ),
    "other-name": (
        DECLARED
        + "\n    @dataclass(frozen=True)\n    class Stranger(Facts, Explainer):\n"
        + "        def compute(self, probe): ...",
        "calls itself stranger; the two must agree",
    ),
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Adds an entry point to those there are: `install(name, source of its module)`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    there = list(MODULE.entry_points(group=MODULE.GROUP))
    monkeypatch.setattr(MODULE, "entry_points", lambda group: there if group == MODULE.GROUP else [])

    def add(name: str, source: str, cls: str = "Stranger") -> None:
        module = f"strange_{name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        there.append(EntryPoint(name, f"{module}:{cls}", MODULE.GROUP))

    return add


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_says_why_and_the_others_load(name: str, install: object) -> None:
    source, told = BROKEN[name]
    install(name, source)  # type: ignore[operator]
    found = {f.name: f for f in discover()}
    assert told in found[name].broken
    with pytest.raises(PluginError):
        explainer(name)
    for other, entry in found.items():
        assert other == name or entry.broken is None


def test_a_strangers_explainer_enters_by_the_same_door(install: object) -> None:
    install(  # type: ignore[operator]
        "stranger",
        DECLARED
        + "\n    @dataclass(frozen=True)\n    class Stranger(Facts, Explainer):\n"
        + "        def compute(self, probe):\n            return probe.x[:, 0][None]",
    )
    from explain_nets import inputs_of, make

    from viewer.explain import explain

    model = make("plain CNN")
    (found,) = explain(model, inputs_of(model), [explainer("stranger")()]).attributions
    assert found.title == "Stranger"
    assert (found.values[0] == inputs_of(model)[0].tensor[0, 0].numpy()).all()


def test_a_plugin_is_not_imported_before_it_is_used() -> None:
    program = (
        "import sys\n"
        "from viewer.explain import discover, explainer\n"
        "names = [found.name for found in discover()]\n"
        "assert names == sorted(names) and len(names) >= 11, names\n"
        "roots = {m.split('.')[0] for m in sys.modules}\n"
        "assert not roots & {'plugins', 'captum', 'pytorch_grad_cam'}\n"
        "explainer('grad-cam')\n"
        "loaded = [m for m in sys.modules if m.startswith('plugins.')]\n"
        "assert loaded == ['plugins.grad_cam'], loaded\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('captum', 'pytorch_grad_cam', 'cv2')]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_an_unknown_method_is_told_with_the_known_ones() -> None:
    with pytest.raises(ExplainerError, match=r"There is no method 'gradcam'; there are .*grad-cam"):
        explainer("gradcam")


def test_every_file_of_plugins_is_declared_and_the_other_way() -> None:
    facts = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = facts["project"]["entry-points"][MODULE.GROUP]
    files = {p.stem for p in (ROOT / "plugins").glob("*.py")} - {"__init__"}
    assert {name.replace("-", "_") for name in declared} == files
    assert {f.name for f in discover()} >= set(declared)
