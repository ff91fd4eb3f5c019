# SPDX-License-Identifier: Apache-2.0
"""What the model is, what it said of the shown place, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from viewer.types import Array, Attribution, Map, PeerCheck, Prediction, Score, Style


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
    library: str = ""
    """The package whose method it is; "" for one of the program's own."""

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
    remarks: tuple[str, ...] = ()
    """What was found in opening it that a reader should know."""


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


@dataclass(frozen=True, slots=True, eq=False)
class AnswerState:
    """The answer to the request, for the active view."""

    model: ModelItem | None = None
    prediction: Prediction | None = None
    scoring: object = None
    """The place whose scores are on their way, where they come before a map."""
    slow: frozenset[str] = frozenset()
    """Methods that have taken so long on this model that they wait for the reader, whatever they say."""
    profile: tuple[float | None, ...] = ()
    """Evidence per slice: the target's score (2D), the share of positive mass (3D); None if not run."""
    attribution: Attribution | None = None
    answers: object = None
    """The model, place, method and target that the attribution is the answer for."""
    preview: bool = False
    """Whether that is only what a method has so far."""
    checks: tuple[PeerCheck, ...] = ()
    """The drawn map beside the same method by captum and grad-cam, once that has been asked for."""
    checking: bool = False
    """Whether that is under way."""
    baselines: tuple[Array, ...] = ()
    """What the image was compared with, small, uint8 (rows, columns)."""
    layer_strip: tuple[Tile | None, ...] = ()
    """The map at each stage of the model, None where it is not known; none for a method without layers."""
    contact_sheet: tuple[Cell, ...] = ()
    """The contact sheet, while that is the layout."""
    contact_sheet_of: Literal["labels", "methods"] = "labels"
    compared: Compared | None = None
    """What is compared, while that is the layout."""
    gate: Literal["open", "negative", "outside"] = "open"
    """"negative": below its threshold, hidden until asked, then hatched; "outside": not accepted."""
    asked: bool = False
    """Whether the reader asked to see a map that the gate hides."""
    outside: str | None = None
    """Why the study lies outside what the model accepts."""
    unknown: str | None = None
    """Why nobody knows whether the model was made for the study: what is shown then says so."""

    @property
    def overridden(self) -> str | None:
        """The same where the reader went on all the same: what is shown then bears a mark."""
        return None if self.gate == "outside" else self.outside
