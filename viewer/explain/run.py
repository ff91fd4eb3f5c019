# SPDX-License-Identifier: Apache-2.0
"""Running explainers: one shared forward per batch serves the prediction, every method and every target."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from viewer.errors import ExplainerError
from viewer.explain.discover import built_in
from viewer.explain.explainer import Explainer
from viewer.explain.faults import refusing, without_gradient
from viewer.explain.forward_cache import ForwardCache
from viewer.explain.probe import Probe
from viewer.explain.shared import NoInfluenceError
from viewer.models import Model
from viewer.models.guard import Forward
from viewer.task import Task
from viewer.types import Asked, Attribution, ModelInput, Prediction, Region, Request, Swept


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
    swept: tuple[Swept, ...] = ()
    """Of each sweep how blocks were laid, and the best of them, for the label with the highest score."""

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
    swept: tuple[Swept, ...] = ()

    def explained(self, assignments: Sequence[Assignment]) -> Explained:
        """The same by method."""
        maps = tuple(found for i in sorted(self.maps) for _, _, found in self.maps[i])
        reasons = ((assignments[i].method.name, self.refused[i]) for i in sorted(self.refused))
        return Explained(self.predictions, maps, tuple(reasons), swept=self.swept)


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
    model.try_out(task)
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
    fitting: dict[int, Explainer] = {}
    refused: dict[int, str] = {}
    for i, method in enumerate(methods):
        with refusing(method, partial(refused.__setitem__, i)):
            reason = method.unsuitable(model)
            if reason is None:
                fitted = method.fitted(model)
                fitted.layers(model)  # an unknown layer is told before anything runs
                fitting[i] = fitted
            else:
                refused[i] = reason
    return fitting, refused


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
        said: list[Prediction] = []
        batches = range(0, len(self.inputs), self.batch)
        # What a stranger does to the network is undone before the next batch is predicted.
        for together in [[first] for first in batches] if thorough else [batches]:
            with self.model.guarded(self.task, thorough) as forward, torch.enable_grad():
                for first in together:
                    probes, predictions = self._probes(forward, group, first, found, thorough)
                    said += predictions
                    for i, probe in probes.items():
                        self._attribute(i, group[i].method, probe, first, found)
        return tuple(said)

    def _probes(
        self, forward: Forward, group: dict[int, Assignment], first: int, found: _Found, thorough: bool
    ) -> tuple[Mapping[int, Probe], tuple[Prediction, ...]]:
        """What each assignment asks with, and what the model says of the batch that begins here.

        All share one forward. Where a network takes that amiss, as recording gradients is more than
        predicting, it predicts by itself, and every method tries a forward of its own.
        """
        some = self.inputs[first : first + self.batch]
        left = {i: a for i, a in group.items() if i not in found.refused}
        listened = {i: a.method.layers(self.model) for i, a in left.items()}

        def probe(layers: Iterable[str], attention: bool) -> Probe:
            return Probe(
                self.model, forward, some, (), self.task, tuple(dict.fromkeys(layers)), attention,
                self.override, preview=self.preview, kept=None if thorough else self.kept,
            )  # fmt: skip

        every = [name for layers in listened.values() for name in layers]
        attention = any(a.method.attention for a in left.values())
        try:
            shared = probe(every, attention)
            predictions, asking = shared.predictions, _Asking(shared)
        except Exception:  # a network may raise anything, and listening is no fault of its own
            if not (every or attention):
                raise
            predictions = probe((), False).predictions  # what fails here is the model's error
        else:
            return {i: asking.of(a) for i, a in left.items()}, predictions
        own: dict[int, Probe] = {}
        for i, a in left.items():
            with refusing(a.method, partial(found.refuse, i), listened[i]):
                own[i] = _Asking(probe(listened[i], a.method.attention)).of(a)
        return own, predictions

    def _attribute(self, i: int, method: Explainer, probe: Probe, first: int, found: _Found) -> None:
        with refusing(method, partial(found.refuse, i), method.layers(self.model)):
            try:
                found.take(i, first, len(probe.inputs), method.attribute(probe))
            except NoInfluenceError as error:
                raise ExplainerError(without_gradient(method, probe, error)) from error


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
