# SPDX-License-Identifier: Apache-2.0
"""Maps on a series, and what a picture shows of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from viewer import affine as grid
from viewer.affine import Matrix
from viewer.cache import Memo
from viewer.types.arrays import Array, freeze
from viewer.types.evidence import Evidence
from viewer.types.prediction import Field, Prediction, Region, Score, Target
from viewer.types.resolution import Resolution
from viewer.types.series import Series, Window
from viewer.types.swept import Swept


class Method(Protocol):
    """A configured explainer, as far as a map's provenance needs it."""

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    signed: ClassVar[bool]
    target_dependent: ClassVar[bool]

    def settings(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Map(ABC):
    """Values that an overlay can draw: (slice, row, column) at native resolution, signed, raw.

    Never normalised and never clipped: scaling is display. `matrix` maps a native cell to the
    source voxel of `series`.
    """

    values: Array = field(repr=False)
    matrix: Matrix
    unit: str

    def __post_init__(self) -> None:
        if self.values.ndim != 3:
            raise ValueError(f"a map has three axes, not {self.values.ndim}")
        object.__setattr__(self, "matrix", grid.frozen(self.matrix))
        freeze(self)

    @property
    @abstractmethod
    def series(self) -> Series:
        """The images that the map lies on."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What a reader calls the map."""

    @property
    def slice(self) -> int | None:
        """The slice that the map was made of; None where it is one of a volume."""
        return None

    def extremes(self) -> tuple[float | None, float | None]:
        """Smallest and largest finite value at native resolution, or None of an empty map."""
        finite = self.values[np.isfinite(self.values)]
        return (float(finite.min()), float(finite.max())) if finite.size else (None, None)


@dataclass(frozen=True, slots=True, eq=False)
class Attribution(Map):
    """What a method says of a target, with the predictions it explains (many for a swept patch)."""

    predictions: tuple[Prediction, ...]
    explainer: Method
    target: Target | None
    """None for a method that is the same for every label."""
    layer: str | None = None
    completeness_error: float | None = None
    """|Σ map − (score − score of the baseline)| ÷ |score − score of the baseline|, in per cent."""
    seconds: float = 0.0
    found: Mapping[str, int] = field(default_factory=dict)
    """How many of what the method used as it ran, by a name in the plural: e.g. the steps it took."""
    features: Mapping[str, float] = field(default_factory=dict)
    """The values of what in the image has a name, such as a segment, where the method gives each one."""
    regions: tuple[Region, ...] = ()
    """The regions of which these are."""
    within: Region | None = None
    """The region outside of which the method left the image as it was, and the map is zero."""
    resolution: Resolution | None = None
    """What a value stands for; None where that is a cell of the map."""
    swept: Swept | None = None
    """How blocks were laid and which are the best, of a map that was put together from many."""
    baselines: Array | None = field(default=None, repr=False)
    """What the image was compared with, as the model reads it and small: (baselines, channels, …spatial)."""
    evidence: Evidence | None = None
    """What the map speaks of beside the score; None where that was not measured, as of a preview."""

    def __post_init__(self) -> None:
        Map.__post_init__(self)
        if not self.predictions:
            raise ValueError("an attribution explains at least one prediction")
        if any(p.input.series is not self.series for p in self.predictions):
            raise ValueError("an attribution belongs to one series")

    @property
    def series(self) -> Series:
        return self.predictions[0].input.series

    @property
    def slice(self) -> int | None:
        return self.predictions[0].input.slice

    @property
    def title(self) -> str:
        return self.explainer.title

    @property
    def shows_nothing(self) -> bool:
        """Whether all that the map speaks of is too little beside the score to be drawn; see `Evidence`."""
        return self.evidence is not None and self.evidence.negligible

    @property
    def prediction(self) -> Prediction:
        """The prediction shown beside the map; of a swept patch, the patch with the highest target score.

        Of a map that is the same for every label, the patch with the highest score of any.
        """
        target = self.target
        if len(self.predictions) == 1:
            return self.predictions[0]
        if target is None:
            return max(self.predictions, key=lambda p: p.top.probability)
        return max(
            self.predictions,
            key=lambda p: next((s.logit for s in p.scores if s.label == target.label), float("-inf")),
        )

    @property
    def score(self) -> Score | None:
        """The score of the target's label, or None of a map that names no label."""
        if self.target is None:
            return None
        label = self.target.label
        return next((s for s in self.prediction.scores if s.label == label), None)

    @property
    def looked_at(self) -> Field:
        """The part of the series that the model was shown: a block, all of a sweep, or the whole."""
        return Field(self.matrix, self.values.shape) if self.swept else self.prediction.input.field

    @property
    def negative(self) -> bool:
        """Whether the map explains a label that the model does not call; a difference calls none."""
        if self.target is None or self.target.minus is not None:
            return False
        return self.prediction.rejects(self.target.label)


@dataclass(frozen=True, slots=True, eq=False)
class LoadedMap(Map):
    """A map that came with the study, e.g. a DICOM Parametric Map."""

    source: Series
    name: str
    provenance: str = ""

    @property
    def series(self) -> Series:
        return self.source

    @property
    def title(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, eq=False)
class DerivedMap(Map):
    """A map made from others of one series, e.g. a difference of ranks."""

    parents: tuple[Map, ...]
    how: str
    memo: Memo = field(default_factory=Memo, init=False, repr=False)
    """What was found out about the map, such as how much of it is not positive."""

    def __post_init__(self) -> None:
        Map.__post_init__(self)
        if not self.parents or any(p.series is not self.parents[0].series for p in self.parents):
            raise ValueError("a derived map has parents of one series")

    @property
    def series(self) -> Series:
        return self.parents[0].series

    @property
    def title(self) -> str:
        return self.how


Sign = Literal["positive", "signed", "magnitude"]
"""Which values of a map are drawn: the positive ones, both, or their size."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a map is drawn. Changing it never touches the model.

    `range` is (lowest, highest) in the map's unit; values of a size below `threshold` (same unit)
    are blank. `sign` says which values are shown: the positive ones, both, or their size.
    """

    colours: str = "inferno"
    range: tuple[float, float] = (0.0, 1.0)
    opacity: float = 0.5
    threshold: float = 0.0
    sign: Sign = "positive"
    interpolation: Literal["bilinear", "nearest"] = "bilinear"


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """A map in a style; `viewer.overlay` colours one slice of it on the source grid."""

    map: Map
    style: Style


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that a picture for export shows."""

    overlay: Overlay
    slice: int
    window: Window | None = None
    crop: tuple[int, int, int, int] | None = None
    """First row, first column, last row, last column, inclusive."""
    annotations: tuple[str, ...] = ()
    notes: str = ""
    show_identity: bool = False
    inverted: bool = False
    """Whether grey is shown the other way round than the file asks for."""
    overlays: bool = True
    """Whether overlays and shutter of the file are drawn."""
