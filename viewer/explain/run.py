# SPDX-License-Identifier: Apache-2.0
"""Running explainers: one shared forward per batch serves the prediction and every method."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from viewer.errors import ExplainerError, ModelError, PluginError
from viewer.explain.discover import built_in
from viewer.explain.explainer import Explainer
from viewer.explain.kept import Kept
from viewer.explain.probe import Probe, Wish
from viewer.models import Model, starved
from viewer.models.architectures import FAULTS
from viewer.task import Task
from viewer.types import Attribution, ModelInput, Prediction, Region


@dataclass(frozen=True, slots=True)
class Explained:
    """Predictions in the order of the inputs, maps by method, batch, target and input."""

    predictions: tuple[Prediction, ...]
    attributions: tuple[Attribution, ...]
    refused: tuple[tuple[str, str], ...] = ()
    """(method, reason) of those that could not explain this model or image."""


def explain(
    model: Model,
    inputs: Sequence[ModelInput],
    methods: Sequence[Explainer],
    wishes: Sequence[Wish] = ("top",),
    task: Task | None = None,
    batch: int = 16,
    override: str | None = None,
    within: Region | None = None,
    preview: Callable[[Attribution], None] | None = None,
    kept: Kept | None = None,
    features: Sequence[Region] = (),
) -> Explained:
    """Predict and explain inputs; a method that does not suit is refused with its reason.

    `within` is where methods that change the image may do so, and `features` are what those change that go
    over segments. `preview` is told, on this thread, what slow methods have so far. With `kept`, what one
    call computed for all labels another need not run.
    """
    run = _Run(model, inputs, wishes, task or Task(), batch, override, within, preview, kept, features)
    fitting, refused = suited(methods, model)
    ours = {i: m for i, m in fitting.items() if built_in(type(m)) and not m.library}
    # A stranger's method, or a library's, gets a forward and a guard of its own: it can spoil no other's map.
    groups = [{i: m} for i, m in fitting.items() if i not in ours]
    if ours or not groups:
        groups.insert(0, ours)
    predictions: tuple[Prediction, ...] = ()
    maps: dict[int, list[Attribution]] = {}
    for group in groups:
        found = run.together(group, maps, refused, thorough=group is not ours)
        predictions = predictions or found
    attributions = tuple(a for i in sorted(maps) for a in maps[i])
    reasons = tuple((methods[i].name, refused[i]) for i in sorted(refused))
    return Explained(predictions, attributions, reasons)


def suited(methods: Sequence[Explainer], model: Model) -> tuple[dict[int, Explainer], dict[int, str]]:
    """The methods that suit, and the reasons of those that do not, by their place in the list.

    By place and not by name: the same method may be asked for twice, with other settings.
    """
    fitting, refused = {}, {}
    for i, method in enumerate(methods):
        try:
            reason = method.unsuitable(model)
            if reason is None:
                fitting[i] = method.fitted(model)
                fitting[i].layers(model)  # an unknown layer is told before anything runs
            else:
                refused[i] = reason
        except ExplainerError as error:
            fitting.pop(i, None)
            refused[i] = str(error)
        except FAULTS as error:
            if built_in(type(method)):
                raise
            fitting.pop(i, None)
            refused[i] = _told(method, error)
    return fitting, refused


def _told(method: Explainer, error: BaseException) -> str:
    """What a stranger's method did wrong, and where, for its author."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    reason = str(error).split("\n")[0][:200]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return f"{method.title} failed with {type(error).__name__}: {reason} ({where})."


@dataclass(frozen=True, slots=True)
class _Run:
    model: Model
    inputs: Sequence[ModelInput]
    wishes: Sequence[Wish]
    task: Task
    batch: int
    override: str | None
    within: Region | None
    preview: Callable[[Attribution], None] | None
    kept: Kept | None
    features: Sequence[Region]

    def together(
        self,
        group: dict[int, Explainer],
        maps: dict[int, list[Attribution]],
        refused: dict[int, str],
        thorough: bool,
    ) -> tuple[Prediction, ...]:
        """Run methods on one shared forward per batch; fills `maps` and `refused` by place."""
        layers = tuple(dict.fromkeys(name for m in group.values() for name in m.layers(self.model)))
        attention = any(m.attention for m in group.values())
        found: list[Prediction] = []
        batches = [self.inputs[i : i + self.batch] for i in range(0, len(self.inputs), self.batch)]
        # What a stranger does to the network is undone before the next batch is predicted.
        for together in [[some] for some in batches] if thorough else [batches]:
            with self.model.guarded(self.task, thorough) as forward, torch.enable_grad():
                for some in together:
                    probe = Probe(
                        self.model, forward, some, self.wishes, self.task, layers, attention, self.override,
                        self.within, self.preview, None if thorough else self.kept, regions=self.features,
                    )  # fmt: skip
                    found += probe.predictions
                    for i, method in group.items():
                        if i not in refused:
                            self._attribute(i, method, probe, maps, refused, thorough)
        return tuple(found)

    @staticmethod
    def _attribute(
        i: int,
        method: Explainer,
        probe: Probe,
        maps: dict[int, list[Attribution]],
        refused: dict[int, str],
        thorough: bool,
    ) -> None:
        try:
            maps.setdefault(i, []).extend(method.attribute(probe))
            return
        except (ExplainerError, ModelError, PluginError) as error:
            refused[i] = str(error)
        except FAULTS as error:
            if not thorough or starved(error):
                raise
            refused[i] = _told(method, error)
        del maps[i]
