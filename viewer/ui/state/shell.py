# SPDX-License-Identifier: Apache-2.0
"""What stands around the views: work under way, messages, the header, what the reader prefers."""

from dataclasses import dataclass, field
from typing import Literal

from viewer.dicom import Row
from viewer.settings import Preferences
from viewer.types import Identity, Series


@dataclass(frozen=True, slots=True)
class Busy:
    """Long work under way; `total` 0 means that its length is not known."""

    doing: str
    done: int = 0
    total: int = 0
    part: float = 0.0
    """Which share of the step that is under way is done too."""
    step: str = ""
    """What that step is, where steps differ."""
    detail: str = ""
    """How far it is in words, e.g. "412 MiB of 980 MiB, about 4 s left"."""

    @property
    def words(self) -> str:
        """What is under way, and in which step."""
        return f"{self.doing}: {self.step}" if self.step else self.doing


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of the slices that are kept, and their bound."""

    used: int
    room: int


@dataclass(frozen=True, slots=True, eq=False)
class ShownHeader:
    """The header of one slice's file."""

    title: str
    rows: tuple[Row, ...] = field(repr=False)
    identity: Identity = field(repr=False)
    series: Series | None = field(default=None, repr=False)
    """Of which it is: that of another series than the shown one is not shown."""
    """What is kept out of all values while the patient is masked."""


@dataclass(frozen=True, slots=True)
class BroughtCode:
    """The program that a model brings: the model's name, the file, its SHA-256, and its text."""

    model: str
    path: str
    sha256: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence in the message bar; `action` is the text of its button, `wish` what the button asks.

    `other` and `other_wish` are the same of a second button, which commits to less.
    """

    text: str
    kind: Literal["info", "warning", "stop"] = "info"
    action: str | None = None
    wish: str | None = None
    stays: bool = False
    """Until it is answered or dismissed, whatever happens meanwhile."""
    other: str | None = None
    other_wish: str | None = None
    about: str = ""
    """The matter, e.g. the model: what is said of it later takes the place, and goes when that is over."""


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


@dataclass(frozen=True, slots=True, eq=False)
class ShellState:
    """All that does not depend on what is shown."""

    masked: bool = True
    """Whether whose image it is is hidden."""
    reading: Busy | None = None
    """Files that are opened."""
    loading: Busy | None = None
    """A model that is opened."""
    busy: Busy | None = None
    """What the model is asked."""
    writing: Busy | None = None
    """An export."""
    notice: Notice | None = None
    """The message that is shown."""
    waiting: tuple[Notice, ...] = ()
    """Those that are shown after it, in order."""
    probed: Probed | None = None
    header: ShownHeader | None = None
    """The shown slice's header, while somebody looks at it."""
    code: BroughtCode | None = None
    """The program of a model, while the reader looks at it."""
    preferences: Preferences = field(default_factory=Preferences)
    memory: Memory | None = None
    """What the slices that are kept take, once there are some."""
    missing: frozenset[str] = frozenset()
    """Paths opened before that are no longer there."""

    @property
    def under_way(self) -> tuple[Busy, ...]:
        """All that goes on at once: none of it hides another, nor ends with it."""
        every = (self.reading, self.loading, self.busy, self.writing)
        return tuple(one for one in every if one is not None)
