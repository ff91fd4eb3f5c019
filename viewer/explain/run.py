"""Running explainers: one shared forward per batch serves the prediction and every method."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from viewer.errors import ExplainerError
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
    refused: dict[str, str] = {}
    for method in methods:
        reason = method.unsuitable(model)
        if reason is not None:
            refused[method.name] = reason
    suited = [m for m in methods if m.name not in refused]
    predictions: list[Prediction] = []
    maps: dict[int, list[Attribution]] = {i: [] for i in range(len(suited))}
    layers = _layers(suited, model, refused)
    with model.guarded(task) as forward, torch.enable_grad():
        for first in range(0, len(inputs), batch):
            some = inputs[first : first + batch]
            attention = any(m.attention for m in suited if m.name not in refused)
            probe = Probe(model, forward, some, wishes, task, layers, attention, override)
            predictions += probe.predictions
            for i, method in enumerate(suited):
                if method.name in refused:
                    continue
                try:
                    maps[i] += method.attribute(probe)
                except ExplainerError as error:
                    refused[method.name] = str(error)
                    maps[i].clear()
    attributions = tuple(a for i in range(len(suited)) for a in maps[i])
    return Explained(tuple(predictions), attributions, tuple(refused.items()))


def _layers(methods: Sequence[Explainer], model: Model, refused: dict[str, str]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for method in methods:
        try:
            names |= dict.fromkeys(method.layers(model))
        except ExplainerError as error:
            refused[method.name] = str(error)
    return tuple(names)
