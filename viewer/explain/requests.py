# SPDX-License-Identifier: Apache-2.0
"""Requests: made of what is asked for, and answered, all of one place out of one forward."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from viewer.errors import ExplainerError, ModelError, SeriesError
from viewer.explain.baseline import NAMED
from viewer.explain.explainer import Explainer
from viewer.explain.features import OverFeatures
from viewer.explain.forward_cache import ForwardCache
from viewer.explain.layers import resolve
from viewer.explain.run import Assignment, Explained, Outcome, outcome
from viewer.explain.sweep import swept
from viewer.models import Model
from viewer.models.tiling import check_sweep
from viewer.task import Task
from viewer.types import Asked, Attribution, Place, Prediction, Region, Request, Series, Sweep, Swept, Target
from viewer.types.digest import digest

Contents = tuple[tuple[str, str], ...]


# --- made -----------------------------------------------------------------------------------------


def request(
    series: Series,
    model: Model,
    explainer: Explainer,
    target: Asked = "top",
    place: Place = Place(),  # noqa: B008
    within: Region | None = None,
    features: Sequence[Region] = (),
    contents: Contents | None = None,
) -> Request:
    """What asks for one map of a series.

    The suggested layer stands by its name, so that it is one with the same by wish. `features` count for
    methods over segments alone. `contents` are known already, where no file may be read.
    """
    over = isinstance(explainer, OverFeatures) and explainer.over == "segments"
    return Request(
        series=series.digest,
        model=model.digest,
        place=place,
        explainer=explainer,
        target=target,
        layer=_layer(explainer, model),
        within=within,
        features=tuple(features) if over else (),
        contents=file_contents(explainer, model) if contents is None else contents,
    )


def _layer(explainer: Explainer, model: Model) -> str | None:
    """The name of the layer that a method is set to; one that there is not stays as it was given."""
    settings = explainer.settings()
    if "layer" not in settings:
        return None
    try:
        return resolve(model, settings["layer"])
    except ExplainerError:  # said when the request is answered
        return settings["layer"]  # type: ignore[no-any-return]


def file_contents(explainer: Explainer, model: Model) -> Contents:
    """The digest of what lies in the files that settings name: those of a baseline; it reads them whole."""
    named = explainer.settings().get("baseline")
    path = None
    if named == "data set" and model.card.explain.baseline and model.folder:
        path = model.folder / model.card.explain.baseline
    elif isinstance(named, str) and named not in NAMED:
        path = Path(named).expanduser()
    # One that is not there is told when the request is answered.
    return (("baseline", _content(path)),) if path is not None and path.exists() else ()


def _content(path: Path) -> str:
    """A digest of a file, or of all files of a folder, whatever they are called."""
    if path.is_dir():
        return digest(sorted(_content(one) for one in path.rglob("*") if one.is_file()))
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ExplainerError(f"The baseline {path.name} cannot be read: {error.strerror}.") from error


def place(
    series: Series, model: Model, slice: int | None = None, at: Sequence[float] | Sweep | None = None
) -> Place:
    """What of a series a model is shown: the middle slice where none is named, or the volume.

    `at` is the middle of a patch, (row, column) or (slice, row, column), or a sweep; the middle of the image
    is the same place as none. Raises `ModelError` where the model or the series has no such place.
    """
    volume = model.card.input.dimensions == 3
    if volume and slice is not None:
        raise ModelError("This network reads the whole volume; leave the slice out, or give a place.")
    if isinstance(at, Sweep):
        check_sweep(at, model.card.input)
    model.field(series, slice, None if isinstance(at, Sweep) else at)  # raises where there is no such place
    if at is not None and not isinstance(at, Sweep):
        if not volume and len(at) == 3:
            slice, at = round(at[0]), at[1:]
        middle = tuple((n - 1) / 2 for n in series.shape[-len(at) :])
        at = None if tuple(at) == middle else tuple(at)
    if not volume and slice is None:
        slice = series.shape[0] // 2
    return Place(slice, at)


# --- answered -------------------------------------------------------------------------------------


def refuse_others(series: Series, model: Model, requests: Sequence[Request]) -> None:
    """Raise `SeriesError` or `ModelError` for what was asked of another series or another model."""
    volumes = model.card.input.dimensions == 3
    for one in requests:
        if one.series != series.digest:
            raise SeriesError("This was asked of another series, or of files that have changed since.")
        if one.model != model.digest:
            raise ModelError(f"This was asked of another model than {model.name}, or of another card of it.")
        if (one.place.slice is None) != volumes:
            reads, asked = ("volumes", "a slice") if volumes else ("slices", "a volume")
            raise ModelError(f"The model {model.name} reads {reads}, and this was asked of {asked}.")
        if isinstance(one.target, Target):
            _refuse_label(one.target.label, one.target.index, model)
            if one.target.minus is not None:
                _refuse_label(one.target.minus, one.target.minus_index, model)


def _refuse_label(label: str, index: int | None, model: Model) -> None:
    if label not in model.labels or model.labels.index(label) != index:
        raise ModelError(f"The label {label!r} is not the output {index} of {model.name}.")


def answer(
    series: Series,
    model: Model,
    requests: Sequence[Request],
    task: Task | None = None,
    batch: int = 16,
    override: str | None = None,
    preview: Callable[[Attribution], None] | None = None,
    kept: ForwardCache | None = None,
) -> Explained:
    """The maps that requests ask for: whatever is asked at one place comes out of one forward.

    Places at which the same is asked go through the network together, `batch` at a time. Requests of another
    series or model are refused (`refuse_others`), and so are files that have changed since they were asked.
    """
    refuse_others(series, model, requests)
    _refuse_changed(model, {one.how: one for one in requests}.values())
    at_place: dict[Place, list[Request]] = {}
    for one in dict.fromkeys(requests):
        at_place.setdefault(one.place, []).append(one)
    alike: dict[object, list[Place]] = {}
    for where, some in at_place.items():
        asked = frozenset((one.how, one.aim) for one in some)
        alike.setdefault((isinstance(where.at, Sweep), asked), []).append(where)
    whole = _Whole(at_place)
    for places in alike.values():
        plan = _Plan.of(at_place[places[0]])
        if isinstance(places[0].at, Sweep):
            tilings = (model.tiling(series, p.at, p.slice) for p in places if isinstance(p.at, Sweep))
            found = swept(model, tilings, plan.assignments, task, batch, override)
        else:
            inputs = [model.prepare(series, p.slice, p.at) for p in places if not isinstance(p.at, Sweep)]
            found = outcome(model, inputs, plan.assignments, task, batch, override, preview, kept)
        whole.take(plan, found, places)
    return whole.explained()


def searched(
    series: Series,
    model: Model,
    places: Iterable[Place],
    task: Task | None = None,
    batch: int = 16,
    override: str | None = None,
) -> Explained:
    """What the model says of the blocks of sweeps, of all that were looked at; without a map."""
    tilings = (model.tiling(series, p.at, p.slice) for p in places if isinstance(p.at, Sweep))
    return swept(model, tilings, (), task, batch, override).explained(())


def _refuse_changed(model: Model, requests: Iterable[Request]) -> None:
    for one in requests:
        explainer = one.explainer
        if isinstance(explainer, Explainer) and file_contents(explainer, model) != one.contents:
            raise ExplainerError(f"The baseline of {explainer.title} has changed since this was asked.")


@dataclass(frozen=True, slots=True)
class _Plan:
    """The assignments that requests of one place come to, and of each the requests, target by target."""

    assignments: list[Assignment]
    requests: list[list[Request]]

    @classmethod
    def of(cls, requests: Sequence[Request]) -> "_Plan":
        """One assignment for each method as it is set; equal targets and regions become one, as probes do."""
        together: dict[tuple[object, ...], list[Request]] = {}
        for one in requests:
            together.setdefault(one.how, []).append(one)
        targets: dict[object, Asked] = {}
        regions: dict[str, Region] = {}

        def assigned(some: Sequence[Request]) -> Assignment:
            explainer, within = some[0].explainer, some[0].within
            if not isinstance(explainer, Explainer):
                raise ExplainerError(f"{explainer.title} is no explainer.")
            wishes = tuple(targets.setdefault(one.aim, one.target or "top") for one in some)
            named = [*some[0].features, *(() if within is None else (within,))]
            own = [regions.setdefault(region.digest, region) for region in named]
            features = tuple(own[: len(some[0].features)])
            return Assignment(explainer, wishes, None if within is None else own[-1], features)

        return cls([assigned(some) for some in together.values()], list(together.values()))


class _Whole:
    """What is found of all places, as `Explained` has it."""

    def __init__(self, at_place: Mapping[Place, Sequence[Request]]) -> None:
        self._at_place = at_place
        self._predictions: list[Prediction] = []
        self._attributions: list[Attribution] = []
        self._swept: list[Swept] = []
        self._refused: dict[tuple[str, str], None] = {}
        self._answers: dict[Request, Attribution | str] = {}

    def take(self, plan: _Plan, found: Outcome, places: Sequence[Place]) -> None:
        """What was found of some places at which the same was asked."""
        explained = found.explained(plan.assignments)
        self._predictions += explained.predictions
        self._swept += explained.swept
        self._attributions += explained.attributions
        self._refused |= dict.fromkeys(explained.refused)
        asked = {(where, one.how, one.aim): one for where in places for one in self._at_place[where]}
        for i in sorted(found.refused):
            for where in places:
                self._answers |= dict.fromkeys(
                    (asked[where, one.how, one.aim] for one in plan.requests[i]), found.refused[i]
                )
        for i, maps in found.maps.items():
            for row, n, attribution in maps:
                one = plan.requests[i][row]
                self._answers[asked[places[n], one.how, one.aim]] = attribution

    def explained(self) -> Explained:
        """All of it."""
        maps, refused = tuple(self._attributions), tuple(self._refused)
        return Explained(tuple(self._predictions), maps, refused, self._answers, tuple(self._swept))
