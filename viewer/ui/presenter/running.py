# SPDX-License-Identifier: Apache-2.0
"""Asking the model, on its worker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from viewer import overlay
from viewer.errors import ExplainerError
from viewer.overlay import Interpolation
from viewer.task import Task
from viewer.types import Array, Attribution, LoadedMap, Map, Prediction, Region, Request, Series, Style, Sweep
from viewer.ui import engine
from viewer.ui.presenter.evidence import volume_profile
from viewer.ui.presenter.maps import Asking, Maps, suited_style
from viewer.ui.state import NOWHERE, At, MethodChoice, Position, ViewState

if TYPE_CHECKING:
    from viewer.explain import Explained


def target_of(state: ViewState) -> str:
    """The target as the command line writes it; labels that cost nothing more come along."""
    if state.request.target is not None and state.request.against is not None:
        return f"{state.request.target}-{state.request.against}"
    item, model = state.chosen_method, state.answer.model
    free = item is not None and item.quick and item.family != "attention" and not _large(state)
    most = _MOST_OF_CAM if item is not None and item.family == "CAM" else _MANY
    few = model is not None and len(model.labels) <= most
    return "all" if free and few else state.request.target or "top"


def _large(state: ViewState) -> bool:
    """Whether a map for each label is too much: that of a swept volume may have a cell for each voxel."""
    many = state.answer.model is not None and (
        state.answer.model.volume or len(state.answer.model.labels) > _MANY
    )
    return isinstance(state.at, Sweep) and many


_MOST_PICTURES = 4
"""Baselines of which there are pictures."""
BaselineImages = tuple[Array, ...]
_MANY = 8
"""With more labels than this, several maps are made for one label at a time: backward takes that long."""
_MOST_OF_CAM = 64
"""Likewise one map that reads a layer: there backward is short."""


def targets_of(state: ViewState) -> str:
    """The target of several maps at once; all labels where those are few."""
    many = state.answer.model is not None and len(state.answer.model.labels) > _MANY
    if state.request.against is not None and state.request.target is not None:
        return target_of(state)
    return state.request.target or "top" if many or _large(state) else "all"


def run(
    maps: Maps,
    asking: Asking,
    series: Series,
    place: Position,
    choice: MethodChoice,
    target: str,
    task: Task,
    preview: Callable[[Attribution], None] | None = None,
    regions: Sequence[Region] = (),
    layer: str | None = None,
    finer: bool = False,
) -> "Explained":
    """Explain one place as wished; `regions` are those of the series, `layer` stands over that of the choice
    and may name several. `finer` has a sweep go on with a grid that is fine enough for the network."""
    from viewer import session

    if finer and isinstance(place.at, Sweep):
        place = place._replace(at=replace(place.at, finer=True))

    within = next((one for one in regions if one.source == choice.within), None)
    asked = session.requests(
        series, asking.model, [choice.method], target, place.slice, _there(place), layer or choice.layer,
        dict(choice.settings), asking.settings, within, features=regions if choice.segmented else (),
    )  # fmt: skip
    return _answered(maps, asking, series, asked, task, preview)


def _answered(
    maps: Maps, asking: Asking, series: Series, asked: Sequence[Request], task: Task,
    preview: Callable[[Attribution], None] | None = None,
) -> "Explained":  # fmt: skip
    """What the session answers to requests, with what the reader has overridden and forwards have found."""
    from viewer import session

    return session.explain(
        series, asking.model, asked, outside_intended_use=asking.overridden, preferences=asking.settings,
        task=task, preview=preview, kept=maps.remember(asking),
    )  # fmt: skip


def predict(asking: Asking, series: Series, place: Position, task: Task) -> Prediction:
    """What the model says of one place, without a map."""
    from viewer import session

    found = session.predict(
        series, asking.model, place.slice, _there(place), outside_intended_use=asking.overridden,
        settings=asking.settings, task=task,
    )  # fmt: skip
    return leading(found)


def predict_slices(
    asking: Asking, series: Series, slices: Sequence[int], at: At, task: Task
) -> Sequence[Prediction]:
    """What the model says of several slices, without a map."""
    from viewer import session

    return session.predict(
        series, asking.model, slices, at, outside_intended_use=asking.overridden,
        settings=asking.settings, task=task,
    )  # fmt: skip


def leading(predictions: Sequence[Prediction]) -> Prediction:
    """Of the patches of a sweep the one with the highest score of any label; else the only one."""
    return max(predictions, key=lambda one: one.top.probability)


def _alone(prediction: Prediction) -> Prediction:
    """The same with pixels of its own: those of a patch would keep all of a swept volume in memory."""
    source = prediction.input
    return replace(prediction, input=replace(source, tensor=source.tensor.clone()))


def _there(place: Position) -> At:
    """What of a place the model is shown, where there is anything."""
    if place.at == NOWHERE:
        raise ExplainerError("The region does not lie on this slice, so there is nothing to sweep.")
    return place.at


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """What a run found, and what the worker made of it so that the window need not.

    Of each map the pictures of its baselines and, of a volume, the share of evidence per slice; `style`
    is a suggestion, `overlaid` are maps over the slice that was shown.
    """

    explained: "Explained"
    said: Prediction
    baselines: Sequence["BaselineImages"]
    profiles: Sequence[tuple[float, ...]]
    style: Style | None = None
    overlaid: Sequence[tuple[Attribution, Array]] = ()


def result_of(
    kept: Maps, explained: "Explained", place: Position, words: str | None, slice: int,
    interpolation: Interpolation,
) -> RunResult:  # fmt: skip
    """Look through the maps of a place; `words` are those of the target."""
    maps, said = explained.attributions, leading(explained.predictions)
    swept = isinstance(place.at, Sweep)
    style, known = suited_style(maps, kept.sign(maps[0])) if swept and maps else (None, False)
    return RunResult(
        explained,
        _alone(said) if swept else said,
        [baseline_images(one) for one in maps],
        [volume_profile(one) if one.slice is None else () for one in maps],
        style if known else None,
        overlaid(explained, words, slice, interpolation),
    )


_AHEAD = 16 * 2**20
"""Bytes of maps that are laid over a slice before anyone has asked for their labels."""
Overlaid = list[tuple[Attribution, Array]]


def overlaid(explained: "Explained", words: str | None, slice: int, interpolation: Interpolation) -> Overlaid:
    """Maps over a slice, as `overlay.on_source` gives them: the one to be shown, others if they are small.

    `words` are those of the target, None for that of the label with the highest score.
    """
    wanted = words or leading(explained.predictions).top.label
    found: Overlaid = []
    for one in sorted(explained.attributions, key=lambda a: a.target is None or a.target.words != wanted):
        if found and sum(drawn.nbytes for _, drawn in found) + found[0][1].nbytes > _AHEAD:
            break
        found.append((one, overlay.as_drawn(one, overlay.on_source(one, slice, interpolation))))
    return found


def baseline_images(attribution: Attribution) -> tuple[Array, ...]:
    """What a map's image was compared with, uint8 (rows, columns), in the greys of the image itself."""
    if attribution.baselines is None:
        return ()
    found, image = attribution.baselines, attribution.predictions[0].input.tensor
    low, high = float(image.min()), float(image.max())
    grey = np.clip((found.mean(1) - low) / max(high - low, 1e-12), 0, 1)
    if grey.ndim == 4:
        grey = grey[:, grey.shape[1] // 2]
    return tuple(np.rint(255 * one).astype(np.uint8) for one in grey[:_MOST_PICTURES])


def with_baselines(explained: "Explained") -> "tuple[Explained, list[BaselineImages]]":
    """The same with the pictures of each map's baselines: the window has none, for an input is a tensor."""
    return explained, [baseline_images(one) for one in explained.attributions]


def run_all(
    maps: Maps, asking: Asking, series: Series, place: Position, choices: Sequence[MethodChoice],
    target: str, task: Task,
) -> "Explained":  # fmt: skip
    """Explain one place by several methods, out of one forward."""
    from viewer import session

    at = _there(place)
    methods = [
        method
        for one in choices
        for method in session.configured([one.method], one.layer, dict(one.settings))
    ]
    asked = session.requests(
        series, asking.model, methods, target, place.slice, at, preferences=asking.settings
    )
    return _answered(maps, asking, series, asked, task)


def write(shown: Map, *how: Any, **more: Any) -> None:
    """Write a shown map as the command line would; see `session.export`."""
    engine.start()  # what writes knows what runs, and so comes with the engine
    from viewer import session

    if isinstance(shown, Attribution):
        session.export(session.Explained(shown.predictions, (shown,)), *how, **more)
    elif isinstance(shown, LoadedMap):
        session.export(shown, *how, **more)
