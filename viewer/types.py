"""What flows: Series → ModelInput → Prediction → Attribution → Overlay → Snapshot.

Every value is frozen, its arrays are read-only, and each holds its parent: a map knows the
predictions it explains, those know their input, and that its series. A map can therefore not be
drawn on, or exported with, a series it was not computed from.

Axis order is (slice, row, column) everywhere; patient coordinates are DICOM's LPS in millimetres.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from viewer import affine as grid
from viewer.affine import Matrix
from viewer.errors import ExplainerError

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
Shape3 = tuple[int, int, int]


def _read_only(array: Array) -> Array:
    """The same memory through a view that cannot be written."""
    view = array.view()
    view.setflags(write=False)
    return view


def _freeze(instance: object) -> None:
    """Make every array field of a frozen dataclass read-only; called from `__post_init__`."""
    for item in fields(instance):  # type: ignore[arg-type]
        value = getattr(instance, item.name)
        if isinstance(value, np.ndarray):
            object.__setattr__(instance, item.name, _read_only(value))


SpacingKind = Literal["patient", "pixel", "detector", "magnified", "region", "absent"]
"""Where a pixel's millimetres are measured: in the patient; as calibrated; at the detector; that divided by
the estimated magnification; in the ultrasound's region, which need not be the whole picture; or nowhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Where the voxels are: spacing, origin, direction and frame of reference; no voxels.

    `matrix` maps (slice, row, column) to LPS millimetres when `orientation_known`; otherwise only
    the lengths of its columns mean something, and only where `spacing_kind` is not "absent". A
    sheared matrix is a tilted gantry. `between` is False for a single slice, whose distance to a
    neighbour does not exist. Where the slices are not one even step apart, the matrix is exact in the
    plane and for slice 0 only; `origins` then says where each slice is.
    """

    matrix: Matrix
    spacing_kind: SpacingKind = "absent"
    orientation_known: bool = False
    between: bool = False
    frame_of_reference: str | None = None
    patient_orientation: tuple[str, str] | None = None
    """DICOM (0020,0020) for projections: towards what a row's and a column's index increase."""
    origins: Matrix | None = None
    """LPS position of every slice's first pixel, (slices, 3), where no one matrix places them all."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", grid.frozen(self.matrix))
        if self.origins is not None:
            object.__setattr__(self, "origins", grid.frozen(self.origins))

    @property
    def volume(self) -> bool:
        """Whether the slices are one even stack, so that `matrix` holds between them too."""
        return self.between and self.origins is None

    def position(self, slice: int) -> tuple[float, float, float] | None:
        """True LPS position of the first pixel of a slice, even or not; None where it is not known."""
        if not self.orientation_known:
            return None
        place = self.matrix[:3, 3] + slice * self.matrix[:3, 0]
        x, y, z = (float(v) for v in (place if self.origins is None else self.origins[slice]))
        return (x, y, z)

    @property
    def spacing(self) -> tuple[float | None, float, float] | None:
        """Millimetres between slices (None for a single one), rows and columns, or None.

        Between uneven slices it is the usual distance.
        """
        if self.spacing_kind == "absent":
            return None
        between, rows, columns = (float(np.linalg.norm(self.matrix[:3, i])) for i in range(3))
        return (between if self.between else None, rows, columns)

    @property
    def pixel_aspect(self) -> float:
        """Height of a pixel ÷ its width."""
        rows, columns = (float(np.linalg.norm(self.matrix[:3, i])) for i in (1, 2))
        return rows / columns

    @property
    def origin(self) -> tuple[float, float, float] | None:
        """LPS position of the centre of voxel (0, 0, 0), or None where the file gives none."""
        if not self.orientation_known:
            return None
        x, y, z = (float(v) for v in self.matrix[:3, 3])
        return (x, y, z)

    @property
    def direction(self) -> Matrix | None:
        """3 × 3, its columns the unit steps of the slice, row and column index; or None."""
        if not self.orientation_known:
            return None
        columns = self.matrix[:3, :3]
        return np.asarray(columns / np.linalg.norm(columns, axis=0))

    @property
    def orientation(self) -> tuple[float, ...] | None:
        """The six cosines of DICOM (0020,0037): along a row, then down a column; or None."""
        direction = self.direction
        if direction is None:
            return None
        return tuple(float(v) for v in (*direction[:, 2], *direction[:, 1]))

    def letters(self) -> tuple[str, str, str, str] | None:
        """The patient's side at the picture's left, right, top and bottom ("R", "AL", …), or None."""
        if self.orientation_known:
            right, bottom = (direction_letters(self.matrix[:3, i]) for i in (2, 1))
        elif self.patient_orientation is not None:
            right, bottom = self.patient_orientation
        else:
            return None
        return (_opposite(right), right, _opposite(bottom), bottom)


_OPPOSITE = str.maketrans("LRAPHFSI", "RLPAFHIS")


def _opposite(letters: str) -> str:
    return letters.translate(_OPPOSITE)


def direction_letters(vector: Array) -> str:
    """The patient directions of an LPS vector, the strongest first, e.g. "L" or "AR".

    A second or third letter stands where that component is over a quarter of the length.
    """
    length = float(np.linalg.norm(vector)) or 1.0
    pairs = (("L", "R"), ("P", "A"), ("H", "F"))
    order = sorted(range(3), key=lambda i: -abs(float(vector[i])))
    return "".join(
        pairs[i][0] if vector[i] > 0 else pairs[i][1] for i in order if abs(float(vector[i])) / length > 0.25
    )


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window (DICOM PS3.3 C.11.2): centre and width in modality values."""

    center: float
    width: float
    name: str = ""
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"


@dataclass(frozen=True, slots=True, eq=False)
class Display:
    """Facts that turn stored values into modality values and those into grey or colour.

    `rescale` is one (slope, intercept) per slice; `lut` a modality look-up table (first stored
    value, entries) instead of it; `voi_lut` likewise for the VOI step. `stored_range` is what the
    stored bits can hold. `inverted` is MONOCHROME1. `windows` holds for all slices, unless
    `slice_windows` gives each its own.
    """

    rescale: tuple[tuple[float, float], ...]
    unit: str = ""
    windows: tuple[Window, ...] = ()
    inverted: bool = False
    photometric: str = "MONOCHROME2"
    stored_range: tuple[float, float] = (0.0, 255.0)
    padding: tuple[float, float] | None = None
    """Lowest and highest stored value that mean "no data here" (PS3.3 C.7.5.1.1.2)."""
    lut: tuple[int, Array] | None = None
    voi_lut: tuple[int, Array] | None = None
    voi_lut_name: str = ""
    """What the file calls its VOI table."""
    slice_windows: tuple[tuple[Window, ...], ...] = ()
    """The windows of each slice, where they differ between the slices."""

    def windows_of(self, index: int) -> tuple[Window, ...]:
        """The windows of the file for one slice; those of the series where it has none of its own."""
        return (self.slice_windows[index] if self.slice_windows else ()) or self.windows


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose image this is. Never in logs: the values stay out of `repr`."""

    patient: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    study_date: str = field(default="", repr=False)


class Voxels(Protocol):
    """Stored values, one slice at a time: an array, or a lazy source that decodes on demand.

    Shape is (slices, rows, columns), or (slices, rows, columns, 3) for RGB. `voxels[i]` may raise
    `SeriesError` for a slice that cannot be decoded.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __getitem__(self, index: int, /) -> Array: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Part:
    """Which point of a fourth dimension a series is, e.g. b 1000 of three b-values.

    `value` is in the unit of DICOM (s/mm², ms), one for each dimension that `by` names; `index`
    counts from 0 among the `count` parts of the stack.
    """

    of: str
    by: str
    value: tuple[float | str | None, ...]
    index: int
    count: int
    words: str


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Series:
    """One stack of slices in one proven order, or a single picture."""

    uid: str
    modality: str
    """As in DICOM (0008,0060); "picture" for PNG and JPEG."""
    voxels: Voxels = field(repr=False)
    geometry: Geometry
    display: Display
    sop_uids: tuple[str, ...] = ()
    paths: tuple[Path, ...] = field(default=(), repr=False)
    """The file of every slice; names of files may name patients."""
    frame_numbers: tuple[int, ...] = ()
    """DICOM frame number of each slice in its file, from 1; empty for pictures."""
    description: str = field(default="", repr=False)
    study_uid: str = ""
    identity: Identity = field(default_factory=Identity)
    body_part: str = ""
    view: str = ""
    laterality: str = ""
    syntax: str = ""
    frames_in_time: int = 1
    files: int = 1
    """Files that this series is the first of the list to use, so that each is counted once."""
    part: Part | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.voxels, np.ndarray):
            object.__setattr__(self, "voxels", _read_only(self.voxels))

    @property
    def shape(self) -> Shape3:
        slices, rows, columns = self.voxels.shape[:3]
        return (slices, rows, columns)

    @property
    def colour(self) -> bool:
        return len(self.voxels.shape) == 4


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """What one forward of a model sees, and where each of its pixels comes from.

    `tensor` is (1, channels, [depth,] rows, columns). `matrix` maps an input index
    (depth, row, column) to the source voxel (slice, row, column), exactly: crop, pad, resize,
    flip and resampling are all in it. `slice` is the explained slice, None for a volume.
    """

    series: Series
    slice: int | None
    tensor: "torch.Tensor" = field(repr=False)
    matrix: Matrix

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", grid.frozen(self.matrix))

    @property
    def shape(self) -> Shape3:
        """(depth, rows, columns) of the input; the depth of a 2D input is 1."""
        spatial = tuple(int(n) for n in self.tensor.shape[2:])
        return (1, *spatial) if len(spatial) == 2 else spatial  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Score:
    """One label's output. Without a calibration `probability` is a score, not a probability."""

    label: str
    logit: float
    probability: float
    calibrated: bool = False
    threshold: float | None = None

    @property
    def positive(self) -> bool | None:
        """Whether the label is called; None where the card gives no threshold."""
        return None if self.threshold is None else self.probability >= self.threshold


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model said of one input, from the forward that also feeds the explanation."""

    input: ModelInput
    model: str
    weights: str
    """SHA-256 of the weights file."""
    device: str
    scores: tuple[Score, ...]
    override: str | None = None
    """Why the study lies outside the card's `accepts`, where the reader went on all the same."""

    def score(self, label: str) -> Score:
        return next(s for s in self.scores if s.label == label)

    @property
    def top(self) -> Score:
        """The label with the highest probability."""
        return max(self.scores, key=lambda s: s.probability)


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A mask on a series: truth, a finding, or a place that should not matter.

    `mask` is (slice, row, column) on a grid that `matrix` maps to source voxels.
    """

    mask: Array = field(repr=False)
    matrix: Matrix
    series: Series
    name: str
    origin: Literal["drawn", "seg", "box"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", grid.frozen(self.matrix))
        _freeze(self)

    @classmethod
    def box(cls, series: Series, slice: int, corners: tuple[int, int, int, int], name: str) -> "Region":
        """A box on one slice; `corners` are first row, first column, last row, last column, inclusive."""
        top, left, bottom, right = corners
        mask = np.ones((1, bottom - top + 1, right - left + 1), dtype=bool)
        return cls(mask, grid.scale_offset((1, 1, 1), (slice, top, left)), series, name, "box")

    def on(self, matrix: Matrix, shape: Shape3) -> Array:
        """The mask at the cell centres of another grid, whose `matrix` maps to the same source."""
        index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
        own = np.rint(grid.apply(np.linalg.inv(self.matrix) @ matrix, index)).astype(int)
        inside = np.all((own >= 0) & (own < self.mask.shape), axis=-1)
        result = np.zeros(shape, dtype=bool)
        result[inside] = self.mask[tuple(own[inside].T)] > 0
        return result


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is explained: a number made from the model's output.

    `label` alone: its logit. With `minus`: the difference of two logits. With `region`, or for a
    net with a dense output: the mean logit over the region, or over all positions. `index` and
    `minus_index` are places in the output; `plain` marks a regression output, not a class.
    """

    label: str
    index: int
    minus: str | None = None
    minus_index: int | None = None
    region: Region | None = None
    plain: bool = False

    @property
    def kind(self) -> Literal["label", "difference", "region", "output"]:
        if self.minus is not None:
            return "difference"
        if self.region is not None:
            return "region"
        return "output" if self.plain else "label"

    @property
    def words(self) -> str:
        name = self.label if self.minus is None else f"{self.label} − {self.minus}"
        return name if self.region is None else f"{name} in {self.region.name}"

    def of(self, output: "torch.Tensor", matrix: Matrix | None = None) -> "torch.Tensor":
        """The number per sample, shape (n,), from outputs of shape (n, labels[, …spatial]).

        `matrix` places a dense output on the source voxels; it is needed for a region only.
        """
        value = output[:, self.index]
        if self.minus_index is not None:
            value = value - output[:, self.minus_index]
        if self.region is None:
            return value.flatten(1).mean(1) if value.ndim > 1 else value
        if value.ndim == 1 or matrix is None:
            raise ExplainerError(
                "A class inside a region needs a network with an output per pixel; "
                "this one gives one number per label, so explain the label itself."
            )
        spatial = tuple(int(n) for n in value.shape[1:])
        shape: Shape3 = (1, *spatial) if len(spatial) == 2 else spatial  # type: ignore[assignment]
        mask = value.new_tensor(self.region.on(matrix, shape).reshape(spatial))
        if not bool(mask.any()):
            raise ExplainerError(f"The region {self.region.name} lies outside what the model was shown.")
        return (value * mask).flatten(1).sum(1) / mask.sum()


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
        _freeze(self)

    @property
    @abstractmethod
    def series(self) -> Series:
        """The images that the map lies on."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What a reader calls the map."""


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
    sign: Literal["positive", "signed", "magnitude"] = "positive"
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
