# SPDX-License-Identifier: Apache-2.0
"""Running explainers: one shared forward per batch serves the prediction, every method and every target."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from viewer.errors import ExplainerError, ModelError, PluginError
from viewer.explain.discover import built_in
from viewer.explain.explainer import Explainer
from viewer.explain.forward_cache import ForwardCache
from viewer.explain.probe import Probe
from viewer.models import Model, starved
from viewer.models.architectures import FAULTS
from viewer.task import Task
from viewer.types import Asked, Attribution, ModelInput, Prediction, Region, Request


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one method is to explain: its targets, where it may change the image, and its features."""

    method: Explainer
    wishes: tuple[Asked, ...] = ("top",)
    within: Region | None = None
    features: tuple[Region, ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """Predictions in the order of the inputs, maps by method, batch, target and input."""

    predictions: tuple[Prediction, ...]
    attributions: tuple[Attribution, ...]
    refused: tuple[tuple[str, str], ...] = ()
    """(method, reason) of those that could not explain this model or image."""
    answers: Mapping[Request, Attribution | str] = field(default_factory=dict)
    """Where requests were asked: of each its map, or the reason why there is none."""

    def of(self, request: Request) -> Attribution:
        """The map that answers a request; raises `ExplainerError` with the reason where there is none."""
        found = self.answers.get(request, "This was not asked.")
        if isinstance(found, str):
            raise ExplainerError(found)
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of assignments, by their numbers: the reason why there is no map, or the maps, each behind
    the number of its target and that of its input."""

    predictions: tuple[Prediction, ...]
    maps: Mapping[int, Sequence[tuple[int, int, Attribution]]]
    refused: Mapping[int, str]

    def explained(self, assignments: Sequence[Assignment]) -> Explained:
        """The same by method."""
        maps = tuple(found for i in sorted(self.maps) for _, _, found in self.maps[i])
        reasons = ((assignments[i].method.name, self.refused[i]) for i in sorted(self.refused))
        return Explained(self.predictions, maps, tuple(reasons))


def explain(
    model: Model,
    inputs: Sequence[ModelInput],
    methods: Sequence[Explainer],
    wishes: Sequence[Asked] = ("top",),
    task: Task | None = None,
    batch: int = 16,
    override: str | None = None,
    within: Region | None = None,
    preview: Callable[[Attribution], None] | None = None,
    kept: ForwardCache | None = None,
    features: Sequence[Region] = (),
) -> Explained:
    """Predict and explain inputs; a method that does not suit is refused with its reason.

    `within` is where methods that change the image may do so, and `features` are what those change that go
    over segments. `preview` is told, on this thread, what slow methods have so far. With `kept`, what one
    call computed for all labels another need not run.
    """
    assignments = [Assignment(m, tuple(wishes), within, tuple(features)) for m in methods]
    return outcome(model, inputs, assignments, task, batch, override, preview, kept).explained(assignments)


def outcome(
    model: Model,
    inputs: Sequence[ModelInput],
    assignments: Sequence[Assignment],
    task: Task | None = None,
    batch: int = 16,
    override: str | None = None,
    preview: Callable[[Attribution], None] | None = None,
    kept: ForwardCache | None = None,
) -> Outcome:
    """Predict inputs and carry out assignments, all of them on one forward a batch; see `explain`."""
    fitting, refused = suited([a.method for a in assignments], model)
    found = _Found(refused=refused)
    work = {i: replace(assignments[i], method=method) for i, method in fitting.items()}
    run = _Run(model, inputs, task or Task(), batch, override, preview, kept)
    ours = {i: a for i, a in work.items() if built_in(type(a.method)) and not a.method.library}
    # A stranger's method, or a library's, gets a forward and a guard of its own: it can spoil no other's map.
    groups = [{i: a} for i, a in work.items() if i not in ours]
    if ours or not groups:
        groups.insert(0, ours)
    predictions: tuple[Prediction, ...] = ()
    for group in groups:
        said = run.together(group, found, thorough=group is not ours)
        predictions = predictions or said
    return Outcome(predictions, found.maps, found.refused)


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


@dataclass(slots=True)
class _Found:
    """What has been found so far, as `Outcome` has it."""

    refused: dict[int, str]
    maps: dict[int, list[tuple[int, int, Attribution]]] = field(default_factory=dict)

    def take(self, i: int, first: int, count: int, maps: Sequence[Attribution]) -> None:
        """The maps of one assignment and a batch of inputs, of which this is the first: target by target."""
        some = self.maps.setdefault(i, [])
        some += [(k // count, first + k % count, one) for k, one in enumerate(maps)]

    def refuse(self, i: int, reason: str) -> None:
        self.refused[i] = reason
        self.maps.pop(i, None)


@dataclass(frozen=True, slots=True)
class _Run:
    model: Model
    inputs: Sequence[ModelInput]
    task: Task
    batch: int
    override: str | None
    preview: Callable[[Attribution], None] | None
    kept: ForwardCache | None

    def together(self, group: dict[int, Assignment], found: _Found, thorough: bool) -> tuple[Prediction, ...]:
        """Carry out assignments on one shared forward per batch."""
        layers = tuple(dict.fromkeys(name for a in group.values() for name in a.method.layers(self.model)))
        attention = any(a.method.attention for a in group.values())
        said: list[Prediction] = []
        batches = range(0, len(self.inputs), self.batch)
        # What a stranger does to the network is undone before the next batch is predicted.
        for together in [[first] for first in batches] if thorough else [batches]:
            with self.model.guarded(self.task, thorough) as forward, torch.enable_grad():
                for first in together:
                    some = self.inputs[first : first + self.batch]
                    probe = Probe(
                        self.model, forward, some, (), self.task, layers, attention, self.override,
                        preview=self.preview, kept=None if thorough else self.kept,
                    )  # fmt: skip
                    said += probe.predictions
                    asking = _Asking(probe)
                    for i, a in group.items():
                        if i not in found.refused:
                            self._attribute(i, a.method, asking.of(a), first, found, thorough)
        return tuple(said)

    @staticmethod
    def _attribute(
        i: int, method: Explainer, probe: Probe, first: int, found: _Found, thorough: bool
    ) -> None:
        try:
            found.take(i, first, len(probe.inputs), method.attribute(probe))
            return
        except (ExplainerError, ModelError, PluginError) as error:
            found.refuse(i, str(error))
        except FAULTS as error:
            if not thorough or starved(error):
                raise
            found.refuse(i, _told(method, error))


class _Asking:
    """The probes of one forward: assignments that ask for the same share one, and with it its gradients."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._probes: dict[tuple[object, ...], Probe] = {}

    def of(self, assignment: Assignment) -> Probe:
        """The probe that asks what an assignment does."""
        asked = (assignment.wishes, assignment.within, assignment.features)
        if asked not in self._probes:
            self._probes[asked] = self._probe.asking(*asked)
        return self._probes[asked]
