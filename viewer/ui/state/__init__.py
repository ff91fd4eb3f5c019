"""What the window shows, as one frozen value.

The presenter makes a `ViewState`; every widget draws its part of it in `show(state)` and reads nothing
else. Two states are compared field by field with `is`, so that a widget redraws only what changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from viewer.dicom import Graphics, Row, in_time
from viewer.overlay import Interpolation
from viewer.overlay.outline import Box, Outline
from viewer.planes import ANATOMICAL, Plane, Point, Views
from viewer.planes.slab import How
from viewer.settings import Preferences
from viewer.types import (
    Array,
    Attribution,
    Display,
    Field,
    Identity,
    LoadedMap,
    Map,
    Part,
    Prediction,
    Region,
    Score,
    Series,
    Style,
    Sweep,
    Window,
)

Layout = Literal["1", "1|1", "3", "sheet", "compare"]
At = tuple[float, ...] | Sweep | None
"""What a network that reads a patch is shown, as `--at` has it: one at a place, many, or the middle one."""
WHOLE = ""
"""In place of a region's source: all of a slice or volume is swept."""
NOWHERE = Sweep(((), ()))
"""The sweep over a region where it does not lie."""


@dataclass(frozen=True, slots=True, eq=False)
class SeriesItem:
    """A row of the series list. `thumbnail` is uint8 (rows, columns[, 3]), None until it is read."""

    title: str
    facts: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    thumbnail: Array | None = field(default=None, repr=False)
    laid: tuple[str, ...] = ()
    """Which segmentations and maps that came with the study lie on it."""
    part: Part | None = None
    """Which point of a fourth dimension it is; its points stand one after the other."""


def one_stack(one: Series | None, other: Series | None) -> bool:
    """Whether two series are points of one fourth dimension, whose slices lie in the same places."""
    if one is None or other is None or one.part is None or other.part is None:
        return one is other
    there = [s.geometry.frame_of_reference for s in (one, other)]
    return one.part.of == other.part.of and one.shape[1:] == other.shape[1:] and there[0] == there[1]


@dataclass(frozen=True, slots=True, eq=False)
class MethodItem:
    """An explainer in the chooser; `settings` are its defaults, `unsuitable` why it is greyed."""

    name: str
    title: str
    family: str
    shows: str
    cost: str
    settings: Mapping[str, Any]
    unsuitable: str | None = None
    hints: Mapping[str, Any] = field(default_factory=dict)
    """The types of the settings, from which the form is made."""
    target_dependent: bool = True
    caution: str = ""
    paper: str = ""
    unit: str = ""
    signed: bool = True

    @property
    def quick(self) -> bool:
        """Whether it costs so little that it runs unasked."""
        return "shared with the prediction" in self.cost and self.unsuitable is None

    @property
    def limited(self) -> bool:
        """Whether it changes the image, which may be limited to a region."""
        return self.family == "perturbation" or "baseline" in self.settings

    @property
    def layered(self) -> bool:
        """Whether it explains at a layer."""
        return "layer" in self.settings


@dataclass(frozen=True, slots=True, eq=False)
class ModelItem:
    """The loaded model, as far as the window shows it."""

    name: str
    sha256: str
    device: str
    labels: tuple[str, ...]
    layers: tuple[str, ...]
    methods: tuple[MethodItem, ...]
    volume: bool
    """Whether it reads volumes (one map for all slices) or single slices."""
    stages: tuple[str, ...] = ()
    """A layer of each stage, from the input to the output."""
    patch: tuple[int, ...] | None = None
    """The size of the patch that it reads, in its pixels; None where it reads the whole."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Long work under way; `total` 0 means that its length is not known."""

    doing: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of the slices that are kept, and their bound."""

    used: int
    room: int


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """The header of one slice's file."""

    title: str
    rows: tuple[Row, ...] = field(repr=False)
    identity: Identity = field(repr=False)
    """What is kept out of all values while the patient is masked."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence in the message bar; `action` is the text of its button, `wish` what the button asks."""

    text: str
    kind: Literal["info", "warning", "stop"] = "info"
    action: str | None = None
    wish: str | None = None
    stays: bool = False
    """Until it is answered or dismissed, whatever happens meanwhile."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What lies under the pointer: row and column from 0, raw and modality value, map value."""

    row: int
    column: int
    raw: str
    value: str
    map: str
    slice: int | None = None
    """From 0, where it is another than the shown one."""


@dataclass(frozen=True, slots=True)
class Slab:
    """How thick the three planes are, in millimetres, and what is shown of that; 0 is thin."""

    thickness: float = 0.0
    how: How = "mean"


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """One of the three planes as it was cut: its place, and what lies there of one series and one map.

    `values` are float32 modality values (rows, columns), NaN outside the volume; so is `map`, a plane `of`
    a map: None where that is, or where `remark` says why nothing of it lies on this plane.
    """

    plane: Plane
    series: Series
    slab: Slab
    values: Array = field(repr=False)
    of: Map | None = None
    interpolation: Interpolation = "bilinear"
    map: Array | None = field(default=None, repr=False)
    remark: str | None = None
    outlines: tuple[Outline, ...] = ()
    graphics: Graphics | None = None
    """What the file lays over the slice that this plane lies on; None where it lies on none."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A map drawn small over the shown slice: `drawn` is float32 (rows, columns), NaN where not seen."""

    map: Attribution
    drawn: Array = field(repr=False)
    style: Style
    negative: bool
    """Whether it explains a label that the model does not call."""


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A map in the contact sheet: `name` is the label or method that a click chooses."""

    name: str
    title: str
    score: Score | None
    tile: Tile | None
    chosen: bool


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One of the views that compare: a map, what is drawn of it, and what it is; or why there is none."""

    title: str
    target: str = ""
    map: Map | None = None
    drawn: Array | None = field(default=None, repr=False)
    style: Style = field(default_factory=Style)
    why: str = ""
    negative: bool = False
    """Whether it explains a label that the model does not call."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Two maps of the shown slice and the difference of their ranks; `apart` says why only ranks compare."""

    one: Side
    other: Side
    difference: Side
    ranks: bool
    apart: str = ""


@dataclass(frozen=True, slots=True)
class Marked:
    """The voxel at the crosshair, each index from 0, and the native values of image and map there."""

    voxel: tuple[int, int, int]
    value: str
    map: str


@dataclass(frozen=True, slots=True, eq=False)
class ViewState:
    """All that the window shows."""

    items: tuple[SeriesItem, ...] = ()
    not_opened: tuple[tuple[str, str], ...] = ()
    """(file name, reason) of what is not an image or was refused."""
    chosen: int | None = None
    """The place of the shown series in `items`."""
    arriving: int | None = None
    """The place of the shown series while the study is still being read and nothing is chosen yet."""
    series: Series | None = None
    slice: int = 0
    values: Array | None = None
    """Modality values of the shown slice, float32 (rows, columns) or uint8 (rows, columns, 3); None
    while it is being read."""
    playing: bool = False
    """Whether the slices, or the points, are played."""
    along: Literal["slices", "points"] | None = None
    """What the reader wants played where there are both; None: what suits the fourth dimension."""
    levels: tuple[float, float] = (0.0, 1.0)
    """Modality values shown as black and white; where a curve is shown, those of a line close to it."""
    window: Window | None = None
    """The reader's window; without one `own`, the file's for this slice or an automatic one, is shown."""
    own: Window | None = None
    inverted: bool = False
    """Whether low values are shown bright: MONOCHROME1 or the reader's wish, not both."""
    masked: bool = True
    layout: Layout = "1|1"
    model: ModelItem | None = None
    prediction: Prediction | None = None
    profile: tuple[float | None, ...] = ()
    """Evidence per slice: the target's score (2D), the share of positive mass (3D); None if not run."""
    target: str | None = None
    against: str | None = None
    """The label whose score is taken off the target's: "why this rather than that"."""
    method: str = "grad-cam"
    settings: Mapping[str, Any] = field(default_factory=dict)
    layer: str | None = None
    within: str | None = None
    """The source of the region outside of which the method changes nothing."""
    placed: tuple[float, ...] | None = None
    """The middle of the patch that the model reads: (row, column) or, of a volume, (slice, row, column);
    None: that of the image."""
    swept: str | None = None
    """What patches are laid over in place of one: `WHOLE`, or the source of a region."""
    patch: Field | None = None
    """Where the patch lies, or the box of the region that has been swept."""
    attribution: Attribution | None = None
    preview: bool = False
    """Whether that is only what a method has so far."""
    baselines: tuple[Array, ...] = ()
    """What the image was compared with, small, uint8 (rows, columns)."""
    strip: tuple[Tile | None, ...] = ()
    """The map at each stage of the model, None where it is not known; none for a method without layers."""
    sheet: tuple[Cell, ...] = ()
    """The contact sheet, while that is the layout."""
    sheet_of: Literal["labels", "methods"] = "labels"
    compared: Compared | None = None
    """What is compared, while that is the layout."""
    came: tuple[LoadedMap, ...] = ()
    """The maps of the shown series that came with the study."""
    spans: tuple[str, ...] = ()
    """Of each of them the smallest and the largest value, in words."""
    loaded: LoadedMap | None = None
    """The one of them that is drawn, in place of an attribution."""
    map: Array | None = None
    """The shown slice of the map on the source grid, float32 (rows, columns), NaN where not seen."""
    outlines: tuple[Outline, ...] = ()
    """What a segmentation that came with the study marks on the shown slice."""
    regions: tuple[Region, ...] = ()
    """What segmentations mark in the series, trimmed."""
    boxes: Mapping[tuple[str, int | None], Box] = field(default_factory=dict)
    """The box of each by its source, on every slice that it lies on, and with None in the volume."""
    hidden: frozenset[str] = frozenset()
    """The sources of the regions that are not outlined."""
    outlined: bool = True
    graphics: Graphics | None = None
    """What the file lays over the slice that `values` are of."""
    annotated: bool = True
    """Whether that is drawn."""
    style: Style = field(default_factory=Style)
    locked: bool = True
    overlay: bool = True
    gate: Literal["open", "negative", "outside"] = "open"
    """"negative": below its threshold, hidden until asked, then hatched; "outside": not accepted."""
    asked: bool = False
    """Whether the reader asked to see a map that the gate hides."""
    outside: str | None = None
    """Why the study lies outside what the model accepts."""
    busy: Busy | None = None
    notice: Notice | None = None
    probed: Probed | None = None
    header: Header | None = None
    """The shown slice's header, while somebody looks at it."""
    preferences: Preferences = field(default_factory=Preferences)
    memory: Memory | None = None
    """What the slices that are kept take, once there are some."""
    missing: frozenset[str] = frozenset()
    """Paths opened before that are no longer there."""
    flat: str | None = None
    """Why the series has no other planes than its own; None where it is a volume."""
    crosshair: Point | None = None
    """The place that all three planes go through, in LPS millimetres; it lies on the shown slice."""
    views: Views = field(default_factory=lambda: ANATOMICAL)
    """How the three planes lie in the patient, by name."""
    slab: Slab = field(default_factory=Slab)
    cuts: tuple[Cut, ...] = ()
    """The three planes as they were cut last, of the shown series; the crosshair may have gone on."""
    marked: Marked | None = None
    building: Busy | None = None
    """How far the volume has been read."""
    enlarged: str | None = None
    """The one of the three planes that is shown alone."""

    @property
    def current(self) -> int | None:
        """The place of the shown series in `items`, whether it is chosen or still being read."""
        return self.arriving if self.chosen is None else self.chosen

    @property
    def curve(self) -> Window | Display | None:
        """What greys follow where no straight line does: a SIGMOID window, or the file's VOI table."""
        if self.series is None or self.series.colour:
            return None
        if self.window is None and self.series.display.voi_lut is not None:
            return self.series.display
        window = self.window or self.own
        return window if window is not None and window.function == "SIGMOID" else None

    @property
    def three(self) -> bool:
        """Whether three planes are shown: wished, and there are such."""
        return self.layout == "3" and self.series is not None and self.flat is None

    @property
    def chosen_method(self) -> MethodItem | None:
        """The chosen method, where the model offers it."""
        methods = () if self.model is None else self.model.methods
        return next((m for m in methods if m.name == self.method), None)

    @property
    def region(self) -> Region | None:
        """The region of the series that the method is limited to, if it can be."""
        item = self.chosen_method
        if item is None or not item.limited or self.within is None:
            return None
        return next((region for region in self.regions if region.source == self.within), None)

    @property
    def at(self) -> At:
        """What the model is shown of the slice or volume, if it reads patches."""
        return self.at_slice(self.slice)

    def at_slice(self, slice: int) -> At:
        """The same of another slice."""
        if self.model is None or self.model.patch is None:
            return None
        if self.swept is None:
            return self.placed
        if self.swept == WHOLE:
            return Sweep()
        box = self.boxes.get((self.swept, None if self.model.volume else slice))
        return NOWHERE if box is None else Sweep(box)

    @property
    def free(self) -> bool:
        """Whether the chosen method costs so little here that it runs unasked."""
        item = self.chosen_method
        return item is not None and item.quick and not isinstance(self.at, Sweep)

    @property
    def target_words(self) -> str | None:
        """What is explained, as `Target.words` has it."""
        return self.target if self.against is None else f"{self.target} − {self.against}"

    @property
    def shown(self) -> Map | None:
        """The map that is drawn: one that came with the study, else what a method made."""
        return self.attribution if self.loaded is None else self.loaded

    @property
    def negative(self) -> bool:
        """Whether the drawn map explains a label that the model does not call."""
        return self.gate == "negative" and self.loaded is None

    @property
    def map_shown(self) -> bool:
        """Whether a map is drawn at all."""
        open_to_all = self.gate == "open" or self.asked or self.loaded is not None
        return self.map is not None and self.overlay and open_to_all

    @property
    def drawn_outlines(self) -> tuple[Outline, ...]:
        """The outlines of the slice, without what is hidden."""
        if not self.outlined:
            return ()
        return tuple(one for one in self.outlines if one.region.source not in self.hidden)

    @property
    def points(self) -> range:
        """The places in `items` of the fourth dimension that the shown series is a point of, or none."""
        part = None if self.series is None else self.series.part
        if part is None or self.chosen is None:
            return range(0)
        first = self.chosen - part.index
        return range(first, first + part.count) if 0 <= first <= len(self.items) - part.count else range(0)

    @property
    def played(self) -> Literal["slices", "points"]:
        """What is played: what there is; of both what is wished, else the points where they are times."""
        if self.series is None or len(self.points) < 2:
            return "slices"
        if self.series.shape[0] < 2:
            return "points"
        part = self.series.part
        return self.along or ("points" if part is not None and in_time(part) else "slices")
