"""Asking the model, on its worker."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from viewer import overlay
from viewer.overlay import Interpolation
from viewer.task import Task
from viewer.types import Array, Attribution, Region, Series
from viewer.ui.maps import Maps, Place, Wish
from viewer.ui.state import ViewState

if TYPE_CHECKING:
    from viewer.explain import Explained


def target_of(state: ViewState) -> str:
    """The target as the command line writes it; labels that cost nothing more come along."""
    if state.target is not None and state.against is not None:
        return f"{state.target}-{state.against}"
    item = state.chosen_method
    free = item is not None and item.quick and item.family != "attention"
    return "all" if free else state.target or "top"


_MOST = 4
"""Baselines of which there are pictures."""
Pictures = tuple[Array, ...]
MANY = 8
"""With more labels than this, several maps are made for one label at a time: backward takes that long."""


def targets_of(state: ViewState) -> str:
    """The target of several maps at once; all labels where those are few."""
    many = state.model is not None and len(state.model.labels) > MANY
    if state.against is not None and state.target is not None:
        return target_of(state)
    return state.target or "top" if many else "all"


def run(
    maps: Maps,
    series: Series,
    place: Place,
    wish: Wish,
    target: str,
    task: Task,
    preview: Callable[[Attribution], None] | None = None,
    within: Region | None = None,
    layer: str | None = None,
) -> "Explained":
    """Explain one place as wished; `layer` stands over that of the wish and may name several."""
    from viewer import session

    model: Any = maps.model
    return session.explain(
        series, model, [wish.method], target, place[1], layer=layer or wish.layer,
        settings=dict(wish.settings), outside_intended_use=True, preferences=maps.settings, task=task,
        within=within, preview=preview, kept=maps.remember(),
    )  # fmt: skip


_AHEAD = 16 * 2**20
"""Bytes of maps that are laid over a slice before anyone has asked for their labels."""
Laid = list[tuple[Attribution, Array]]


def laid(explained: "Explained", words: str | None, slice: int, interpolation: Interpolation) -> Laid:
    """Maps over a slice, as `overlay.on_source` gives them: the one to be shown, others if they are small.

    `words` are those of the target, None for that of the label with the highest score.
    """
    wanted = words or explained.predictions[0].top.label
    found: Laid = []
    for one in sorted(explained.attributions, key=lambda a: a.target is None or a.target.words != wanted):
        if found and sum(drawn.nbytes for _, drawn in found) + found[0][1].nbytes > _AHEAD:
            break
        found.append((one, overlay.on_source(one, slice, interpolation)))
    return found


def pictures(attribution: Attribution) -> tuple[Array, ...]:
    """What a map's image was compared with, uint8 (rows, columns), in the greys of the image itself."""
    if attribution.baselines is None:
        return ()
    found, image = attribution.baselines, attribution.predictions[0].input.tensor
    low, high = float(image.min()), float(image.max())
    grey = np.clip((found.mean(1) - low) / max(high - low, 1e-12), 0, 1)
    if grey.ndim == 4:
        grey = grey[:, grey.shape[1] // 2]
    return tuple(np.rint(255 * one).astype(np.uint8) for one in grey[:_MOST])


def run_all(
    maps: Maps, series: Series, place: Place, wishes: Sequence[Wish], target: str, task: Task
) -> "Explained":
    """Explain one place by several methods, out of one forward."""
    from viewer import explain, session

    methods = []
    for wish in wishes:
        layer = {} if wish.layer is None else {"layer": wish.layer}
        methods.append(explain.explainer(wish.method).configured({**dict(wish.settings), **layer}))
    model: Any = maps.model
    return session.explain(
        series, model, methods, target, place[1], outside_intended_use=True, preferences=maps.settings,
        task=task, kept=maps.remember(),
    )  # fmt: skip
