"""What a state asks of the model: a method as it is set, at a place."""

from dataclasses import dataclass
from typing import NamedTuple

from viewer.ui.state.request import At
from viewer.ui.state.window import ViewState

SEGMENTS = ("over", "segments")
"""The setting, and its value, of methods that take what segmentations mark as features."""
NO_SEGMENTS = "No segmentation of this study lies on the series."


class Place(NamedTuple):
    """What the model is shown: it tells predictions and maps from those of other places."""

    series: int
    slice: int | None
    """None where the model reads volumes."""
    at: At = None


@dataclass(frozen=True, slots=True)
class Wish:
    """A method as it is set: what tells its maps of one place and target from other maps."""

    method: str
    settings: tuple[tuple[str, str], ...] = ()
    layer: str | None = None
    within: str | None = None
    """The source of the region outside of which nothing is changed."""

    @classmethod
    def of(cls, state: ViewState) -> "Wish":
        """What a state asks for; the suggested layer by its name, so that it is one with the same by wish."""
        item = state.chosen_method
        layers = () if item is None or state.answer.model is None else state.answer.model.layers
        has_layer = item is None or "layer" in item.settings
        settings = tuple(sorted((name, str(value)) for name, value in state.request.settings.items()))
        layer = state.request.layer or (layers[0] if layers else None)
        within = None if state.region is None else state.region.source
        return cls(state.request.method, settings, layer if has_layer else None, within)

    @property
    def segmented(self) -> bool:
        """Whether the regions of the series are the features."""
        return SEGMENTS in self.settings


def place_of(state: ViewState) -> Place:
    """The place that a state shows."""
    volume = state.answer.model is not None and state.answer.model.volume
    return Place(state.view.number or 0, None if volume else state.view.slice, state.at)
