"""The explainers as data: for the command line, the window and the documentation."""

from typing import Any

from viewer.errors import PluginError
from viewer.explain.discover import discover
from viewer.models import Model


def describe(model: Model | None = None) -> list[dict[str, Any]]:
    """Every explainer with its declaration and default settings, and why it does not suit, or None."""
    result: list[dict[str, Any]] = []
    for found in discover():
        try:
            cls = found.load()
        except PluginError as error:
            broken = {"name": found.name, "title": found.name, "family": "", "settings": {}, "shows": ""}
            result.append(broken | {"unsuitable": str(error)})
            continue
        method = cls()
        result.append(
            {
                "name": cls.name,
                "title": cls.title,
                "family": cls.family,
                "settings": method.settings(),
                "unsuitable": None if model is None else method.unsuitable(model),
                "shows": cls.shows,
                "paper": cls.paper,
                "cost": {"forwards": cls.cost.forwards, "backwards": cls.cost.backwards},
                "target_dependent": cls.target_dependent,
                "signed": cls.signed,
                "unit": cls.unit,
            }
        )
    return result
