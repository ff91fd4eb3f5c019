# SPDX-License-Identifier: Apache-2.0
"""Finding explainers: names are read from the entry points, code is imported when first used."""

import dataclasses
import inspect
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from viewer.errors import ExplainerError, PluginError, WhyscopeError
from viewer.explain.explainer import Explainer

GROUP = "whyscope.explainers"
_DECLARED = ("name", "title", "family", "paper", "shows", "cost")


@dataclass(frozen=True, slots=True)
class PluginEntry:
    """An explainer by name. `load` imports it; a broken one tells why."""

    name: str
    entry: EntryPoint

    def load(self) -> type[Explainer]:
        """The explainer's class; raises `PluginError` for a broken plugin."""
        return _load(self.entry)

    @property
    def broken(self) -> str | None:
        """None, or why this plugin cannot be used."""
        try:
            self.load()
        except PluginError as error:
            return str(error)
        return None


def discover() -> tuple[PluginEntry, ...]:
    """All explainers that installed packages offer, by name, without importing them."""
    found: dict[str, PluginEntry] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value)):
        found.setdefault(entry.name, PluginEntry(entry.name, entry))
    return tuple(found.values())


def explainer(name: str) -> type[Explainer]:
    """The explainer of this name; raises `ExplainerError` or `PluginError`."""
    found = {f.name: f for f in discover()}
    if name not in found:
        raise ExplainerError(f"There is no method {name!r}; there are {', '.join(found)}.")
    return found[name].load()


@cache
def _load(entry: EntryPoint) -> type[Explainer]:
    try:
        cls = entry.load()
    except (Exception, SystemExit) as error:  # a stranger's module may do anything on import
        told = str(error) if isinstance(error, WhyscopeError) else f"{type(error).__name__}: {error}"
        raise PluginError(f"The plugin {entry.name} cannot be loaded: {told}") from error
    if not (isinstance(cls, type) and issubclass(cls, Explainer)):
        raise PluginError(f"The plugin {entry.name} is no explainer.")
    missing = [fact for fact in _DECLARED if not hasattr(cls, fact)]
    if missing:
        raise PluginError(f"The plugin {entry.name} does not declare its {missing[0]}.")
    if inspect.isabstract(cls):
        raise PluginError(f"The plugin {entry.name} does not write its compute.")
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise PluginError(f"The plugin {entry.name} gives its setting {field.name!r} no default.")
    if cls.name != entry.name:
        raise PluginError(f"The plugin {entry.name} calls itself {cls.name}; the two must agree.")
    return cls


@cache
def built_in(cls: type[Explainer]) -> bool:
    """Whether an explainer comes with the program, and not from a stranger's package."""
    for found in discover():
        ours = found.entry.dist is not None and found.entry.dist.name == "whyscope"
        if ours and found.name == getattr(cls, "name", "") and found.broken is None:
            return found.load() is cls
    return False
