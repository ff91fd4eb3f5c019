# SPDX-License-Identifier: Apache-2.0
"""What the reader asks of the model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from viewer.overlay.outline import Box
from viewer.types import Field, Sweep

At = tuple[float, ...] | Sweep | None
"""What a network that reads a patch is shown, as `--at` has it: one at a place, many, or the middle one."""
WHOLE = ""
"""In place of a region's source: all of a slice or volume is swept."""
NOWHERE = Sweep(((), ()))
"""The sweep over a region where it does not lie."""

SEGMENTS = ("over", "segments")
"""The setting, and its value, of methods that take what segmentations mark as features."""
NO_SEGMENTS = "No segmentation of this study lies on the series."


@dataclass(frozen=True, slots=True)
class MethodChoice:
    """A method as the form has it, in words: what a `Request` has resolved may still be open here.

    Its settings are text, that no method has read yet, and its region is a source, of which the series may
    have none. It names neither model nor place, and can be made without the engine.
    """

    method: str
    settings: tuple[tuple[str, str], ...] = ()
    layer: str | None = None
    within: str | None = None
    """The source of the region outside of which nothing is changed."""

    @property
    def segmented(self) -> bool:
        """Whether the regions of the series are the features."""
        return SEGMENTS in self.settings


@dataclass(frozen=True, slots=True)
class SearchSize:
    """How many blocks a sweep shows the model, and the seconds of one by the chosen method, where known."""

    blocks: int
    seconds: float | None


@dataclass(frozen=True, slots=True, eq=False)
class RequestState:
    """Which label is explained, by which method as it is set, and where the model looks."""

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
    swept: str | Box | None = None
    """What patches are laid over in place of one: `WHOLE`, the source of a region, or a box, its first and
    its last voxel (slice, row, column)."""
    best: int = 0
    """Which of the best blocks of a sweep is outlined."""
    search: SearchSize | None = None
    """How large the sweep is that is wished for."""
    reference: tuple[object, MethodChoice, str | None, str | None] | None = None
    """What others are compared with: model, the method as it was set, its target and its rival."""
    searched: Field | None = None
    """Where the box lies that is swept, if one is."""
    patch: Field | None = None
    """Where the patch lies; of what has been swept, the best block that the reader has chosen."""

    @property
    def box(self) -> Box | None:
        """The box that is swept, if one is."""
        return None if self.swept is None or isinstance(self.swept, str) else self.swept
