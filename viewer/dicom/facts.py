# SPDX-License-Identifier: Apache-2.0
"""What one file says of its image, as plain values: no pydicom object outlives the reading of a header."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from viewer.types import CalibratedRegion, Identity, Window

Vector = tuple[float, float, float]
Cosines = tuple[float, float, float, float, float, float]
Lut = tuple[int, NDArray[Any]]
Note = tuple[str, str]
"""A fault of a file that is told: what it is about, which is the same in all files, and a sentence."""

LOSSY = frozenset(
    {
        "1.2.840.10008.1.2.4.50",  # JPEG baseline
        "1.2.840.10008.1.2.4.51",  # JPEG extended
        "1.2.840.10008.1.2.4.53",  # JPEG, spectral selection
        "1.2.840.10008.1.2.4.55",  # JPEG, full progression
        "1.2.840.10008.1.2.4.111",  # JPEG XL, recompression of a JPEG
        "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    }
)
PERHAPS_LOSSY = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (91, 203, 112))  # JPEG 2000, HTJ2K, JPEG XL
COLOURS = frozenset({"RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "XYB"})
PACKED = 12
"""Bits of cells that are packed, two to three bytes (ACR-NEMA, and PS3.5 before 1998)."""
GREYS = frozenset({"MONOCHROME1", "MONOCHROME2"})


@dataclass(frozen=True, slots=True)
class Pixels:
    """Where the pixel data of a file are and how they are stored (PS3.3 C.7.6.3).

    `offset` is that of the value in the file; None where it lies in a deflated data set. `length`
    is None for encapsulated data.
    """

    path: Path
    syntax: str
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    planar: bool
    offset: int | None
    length: int | None
    floating: bool = False
    """Whether the values are decimal: Float or Double Float Pixel Data (7FE0,0008), (7FE0,0009)."""
    stated_frames: int | None = None
    """Frames that the header says there are, where the data hold another number."""
    whole: "Pixels | None" = None
    """The picture of which the frames are tiles, row by row: a mosaic."""
    resized: bool = False
    """Whether the header says another size than the data, which are believed."""
    notes: tuple[Note, ...] = ()
    """What is told of the header where the data contradict it."""

    @property
    def colour(self) -> bool:
        return self.photometric in COLOURS

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one decoded frame: (rows, columns), or (rows, columns, 3) for colour."""
        return (self.rows, self.columns, 3) if self.colour else (self.rows, self.columns)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the decoded values; a palette is looked up to 8 bits."""
        if self.photometric == "PALETTE COLOR" or self.allocated == 1:
            return np.dtype(np.uint8)
        if self.floating:
            return np.dtype(f"float{self.allocated}")
        bits = 16 if self.allocated == PACKED else self.allocated
        return np.dtype(f"{'int' if self.signed and not self.colour else 'uint'}{bits}")

    @property
    def frame_bits(self) -> int:
        """Bits of one native frame in the file; those of 1-bit frames need not fill a byte."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * self.allocated

    @property
    def frame_bytes(self) -> int:
        """Bytes of one native frame in the file, for itself."""
        return -(-self.frame_bits // 8)

    @property
    def native_bytes(self) -> int:
        """Bytes that all frames need when not compressed."""
        return -(-self.frame_bits * self.frames // 8)

    @property
    def direct(self) -> bool:
        """Whether the values lie in the file as little-endian numbers and need no decoder."""
        return (
            self.syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
            and self.offset is not None
            and self.allocated in ((32, 64) if self.floating else (8, PACKED, 16, 32))
            and (self.photometric in GREYS or self.photometric == "RGB")
        )


@dataclass(frozen=True, slots=True)
class Marks:
    """What tells images of one place apart: contrast and time, in the units of DICOM."""

    image_type: tuple[str, ...] = ()
    """Image Type (0008,0008), or a frame's Frame Type, with its complex component last."""
    echo_number: int | None = None
    echo_time: float | None = None
    """Milliseconds."""
    inversion_time: float | None = None
    flip_angle: float | None = None
    tube_voltage: float | None = None
    kernel: str = ""
    b_value: float | None = None
    """s/mm²."""
    gradient: Vector | None = None
    """Unit vector of the diffusion gradient; None without one."""
    temporal_position: int | None = None
    trigger_time: float | None = None
    """Milliseconds after the R wave."""
    acquisition: int | None = None
    acquired: float | None = None
    """Seconds since the beginning of the calendar, or of the day where the file gives no date."""
    quantity: str = ""
    """What a frame's real-world values are of, with their unit; of single images it is read if it matters."""
    index: tuple[int, ...] = ()
    """Dimension Index Values (0020,9157)."""


Doubt = Literal["", "unit", "values"]
"""What is not sound in a rescale: a part of it is missing, so that the unit is not known; or all of it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What may differ between the frames of one file. Positions and spacing are in millimetres."""

    position: Vector | None
    orientation: Cosines | None
    spacing: tuple[float, float] | None
    """Between rows, between columns, from Pixel Spacing (0028,0030)."""
    thickness: float | None
    rescale: tuple[float, float] | None
    rescale_type: str
    windows: tuple[Window, ...]
    doubt: Doubt = ""
    stack: str = ""
    marks: Marks = Marks()


@dataclass(frozen=True, slots=True)
class Pet:
    """What a PET file says of SUV; moments are seconds since the beginning of the calendar."""

    missing: str = ""
    """Why the file gives none, as the end of a sentence; then nothing else is said."""
    unit: str = ""
    factor: float = 1.0
    """From modality values to SUV, without the decay between injection and scan."""
    half_life: float | None = None
    """Seconds; None where decay plays no part."""
    injected: float | None = None
    """Seconds of the day only, unless `dated`."""
    dated: bool = False
    begun: float | None = None
    """Series Date and Time (0008,0021), (0008,0031)."""
    acquired: float | None = None
    stated_start: float | None = None
    """The scan's start from other elements than the series time."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One file's image: identifiers, frames, and what is common to its frames."""

    pixels: Pixels
    frames: tuple[Frame, ...]
    sop_class: str
    sop_uid: str
    series_uid: str
    study_uid: str
    modality: str
    identity: Identity
    fingerprint: bytes = b""
    """What tells the file from another; see `Header.fingerprint`."""
    instance: int | None = None
    series_number: int | None = None
    description: str = ""
    body_part: str = ""
    view: str = ""
    laterality: str = ""
    patient_orientation: tuple[str, str] | None = None
    frame_of_reference: str | None = None
    imager_spacing: tuple[float, float] | None = None
    calibrated: bool = False
    magnification: float | None = None
    """Size at the detector ÷ size in the patient, as the file estimates it."""
    region_spacing: tuple[float, float] | None = None
    """Millimetres between rows and between columns in the ultrasound region of the picture's middle."""
    regions: tuple[CalibratedRegion, ...] = ()
    """The calibrated parts of an ultrasound picture."""
    pixel_aspect: float = 1.0
    """Height of a pixel ÷ its width, where no spacing says it."""
    bad_orientation: bool = False
    in_time: bool = False
    rate: float | None = None
    """Frames a second at which they are to be played."""
    enhanced: bool = False
    """Whether it is known of each frame where it is, and of what (PS3.3 C.7.6.16)."""
    mosaic: int | None = None
    """Slices that a Siemens mosaic holds in one picture, 0 where it does not say; else None."""
    units: str = ""
    pet: tuple[Pet, ...] = ()
    """One for each frame of a PET file."""
    burned_in: bool = False
    """Whether the file says that its pixels hold words that tell whose they are."""
    lossy: bool | None = False
    """None where the transfer syntax allows both and the file does not say."""
    padding: tuple[float, float] | None = None
    lut: Lut | None = None
    lut_type: str = ""
    unsound_lut: bool = False
    """Whether the file has a modality table, and it cannot be applied."""
    voi_lut: Lut | None = None
    """Entries as 0…1 of the presentation range."""
    voi_lut_name: str = ""
    notes: tuple[Note, ...] = ()
    """What is told of the file's faults, and of what is made of them."""
    version: int = 0
    """Which it is of several images that bear one identifier at one place."""
    device: str = ""
    """The model of the device, where the file does not state the unit of its values."""

    @property
    def path(self) -> Path:
        return self.pixels.path


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One frame of one image."""

    image: Image
    number: int

    @property
    def frame(self) -> Frame:
        return self.image.frames[self.number]
