"""Running explainers: one shared forward per batch serves the prediction and every method."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from viewer.errors import ExplainerError, ModelError, PluginError
from viewer.explain.explainer import Explainer
from viewer.explain.probe import Probe, Wish
from viewer.models import Model
from viewer.task import Task
from viewer.types import Attribution, ModelInput, Prediction


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
) -> Explained:
    """Predict and explain inputs; a method that does not suit is refused with its reason."""
    task = task or Task()
    methods = list(methods)
    # By place and not by name: the same method may be asked for twice, with other settings.
    refused: dict[int, str] = {}
    layers: dict[str, None] = {}
    for i, method in enumerate(methods):
        try:
            reason = method.unsuitable(model)
            if reason is None:
                methods[i] = method = method.fitted(model)
                layers |= dict.fromkeys(method.layers(model))
            else:
                refused[i] = reason
        except ExplainerError as error:
            refused[i] = str(error)
    predictions: list[Prediction] = []
    maps: dict[int, list[Attribution]] = {i: [] for i in range(len(methods))}
    with model.guarded(task) as forward, torch.enable_grad():
        for first in range(0, len(inputs), batch):
            some = inputs[first : first + batch]
            attention = any(m.attention for i, m in enumerate(methods) if i not in refused)
            probe = Probe(model, forward, some, wishes, task, tuple(layers), attention, override)
            predictions += probe.predictions
            for i, method in enumerate(methods):
                if i in refused:
                    continue
                try:
                    maps[i] += method.attribute(probe)
                except (ExplainerError, ModelError, PluginError) as error:
                    refused[i] = str(error)
                    maps[i].clear()
    attributions = tuple(a for found in maps.values() for a in found)
    reasons = tuple((methods[i].name, reason) for i, reason in sorted(refused.items()))
    return Explained(tuple(predictions), attributions, reasons)
