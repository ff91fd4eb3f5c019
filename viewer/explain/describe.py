# SPDX-License-Identifier: Apache-2.0
"""The explainers as data: for the command line, the window and the documentation."""

from typing import Any, get_type_hints

from viewer.errors import PluginError
from viewer.explain.discover import discover
from viewer.explain.explainer import Explainer
from viewer.explain.run import suited
from viewer.models import Model
from viewer.types import Tip


def setting_types(cls: type[Explainer]) -> dict[str, Any]:
    """The types of an explainer's settings, with their bounds: what a form needs."""
    hints = get_type_hints(cls, include_extras=True)
    return {name: hints[name] for name in cls.setting_names()}


def _tips(cls: type[Explainer]) -> dict[str, str]:
    """What a reader is told of each setting that says something of itself."""
    types = setting_types(cls).items()
    found = {
        name: next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Tip)), None)
        for name, hint in types
    }
    return {name: tip.words for name, tip in found.items() if tip is not None}


def describe(model: Model | None = None) -> list[dict[str, Any]]:
    """Every explainer with its declaration and default settings, and why it does not suit, or None."""
    result: list[dict[str, Any]] = []
    for found in discover():
        try:
            cls = found.load()
        except PluginError as error:
            broken = {
                "name": found.name,
                "title": found.name,
                "family": "",
                "settings": {},
                "tips": {},
                "shows": "",
            }
            result.append(broken | {"unsuitable": str(error)})
            continue
        method = cls()
        result.append(
            {
                "name": cls.name,
                "title": cls.title,
                "family": cls.family,
                "settings": method.settings(),
                "tips": _tips(cls),
                "unsuitable": None if model is None else suited([method], model)[1].get(0),
                "shows": cls.shows,
                "caution": cls.caution,
                "paper": cls.paper,
                "cost": {"forwards": cls.cost.forwards, "backwards": cls.cost.backwards},
                "target_dependent": cls.target_dependent,
                "signed": cls.signed,
                "unit": cls.unit,
                "library": cls.library,
            }
        )
    return result
