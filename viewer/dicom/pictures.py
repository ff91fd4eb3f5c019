# SPDX-License-Identifier: Apache-2.0
"""PNG and JPEG pictures as one-slice series: no spacing, no orientation, no patient."""

import struct
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Exif
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from viewer.dicom.decode import Slices
from viewer.dicom.decoder_pool import shared_decoder
from viewer.dicom.image import content_hash
from viewer.errors import SeriesError
from viewer.settings import Limits
from viewer.types import Display, Geometry, Series, Window

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
_TAIL = 65_536
_EXIF_ORIENTATION = 0x0112
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I")


@dataclass(frozen=True, slots=True)
class PictureFile:
    """What the header of a picture says; `turn` is the EXIF orientation, 1 when upright."""

    path: Path
    kind: Literal["PNG", "JPEG"]
    sha256: str
    rows: int
    columns: int
    colour: bool
    deep: bool
    turn: int
    warnings: tuple[str, ...]


def picture_of(path: Path, limits: Limits) -> PictureFile:
    """The facts of a picture from its header; raises `SeriesError`."""
    if path.stat().st_size > limits.bytes:
        raise SeriesError("The picture's file is larger than the limit allows.")
    with path.open("rb") as file:
        png = file.read(len(PNG)) == PNG
    # Not `Image.open`: its own check of the size warns or raises before ours can say the numbers.
    with PngImageFile(path) if png else JpegImageFile(path) as picture:
        mode, (columns, rows) = picture.mode, picture.size
        exif, moving = picture.info.get("exif"), int(getattr(picture, "n_frames", 1)) > 1
        transparent = "transparency" in picture.info or mode in ("RGBA", "LA", "PA")
    if rows > limits.rows or columns > limits.columns or rows * columns * 4 > limits.bytes:
        raise SeriesError(f"The picture asks for {columns} × {rows} pixels, more than the limit allows.")
    _whole(path, png)
    turn = _turn(exif)
    deep = mode in _SIXTEEN_BITS
    warnings = ["A picture says neither its spacing nor how it lies in the patient."]
    if turn != 1:
        warnings.append("The picture was turned upright as its EXIF data say.")
        rows, columns = (columns, rows) if turn >= 5 else (rows, columns)
    if transparent:
        warnings.append("Transparent parts of the picture are shown black.")
    if moving:
        warnings.append("The picture moves; only its first frame is shown.")
    if png and not deep and _png_depth(path) == 16:
        warnings.append("The picture has 16 bits per colour, of which 8 are read.")
    return PictureFile(
        path=path,
        kind="PNG" if png else "JPEG",
        sha256=content_hash(path),
        rows=rows,
        columns=columns,
        colour=mode not in (*_SIXTEEN_BITS, "1", "L", "LA"),
        deep=deep,
        turn=turn,
        warnings=tuple(warnings),
    )


def _turn(exif: object) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none that can be read."""
    if not isinstance(exif, bytes):
        return 1
    found = Exif()
    found.load(exif)
    turn = found.get(_EXIF_ORIENTATION, 1)
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _png_depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(25)[24]


def _whole(path: Path, png: bool) -> None:
    """Refuse a picture whose end is missing, without decoding it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if not png:
            file.seek(max(0, size - _TAIL))
            whole = b"\xff\xd9" in file.read()
        else:
            offset, whole = len(PNG), False
            while not whole and offset + 12 <= size:
                file.seek(offset)
                length, name = struct.unpack(">I4s", file.read(8))
                offset += 12 + length
                whole = name == b"IEND"
    if not whole:
        raise SeriesError("The file ends before the picture does.")


def _read(picture: PictureFile, limits: Limits, index: int) -> NDArray[Any]:
    request = {
        "kind": "picture",
        "path": str(picture.path),
        "colour": picture.colour,
        "turn": picture.turn,
        "dtype": "uint16" if picture.deep else "uint8",
    }
    most = picture.rows * picture.columns * (3 if picture.colour else 2)
    return shared_decoder(limits.decode_seconds, limits.decode_memory).decode(request, most)


def series_of_picture(picture: PictureFile, limits: Limits) -> Series:
    """A picture as a series of one slice, shown as it is stored."""
    colour = (3,) if picture.colour else ()
    top = 65_535.0 if picture.deep else 255.0
    return Series(
        uid=f"picture:{picture.sha256[:32]}",
        modality="picture",
        voxels=Slices(
            partial(_read, picture, limits),
            (1, picture.rows, picture.columns, *colour),
            np.dtype(np.uint16 if picture.deep else np.uint8),
            (picture.path.name,),
        ),
        geometry=Geometry(np.eye(4)),
        display=Display(
            rescale=((1.0, 0.0),),
            windows=() if colour else (Window(top / 2, top, "as stored", "LINEAR_EXACT"),),
            photometric="RGB" if colour else "MONOCHROME2",
            stored_range=(0.0, top),
        ),
        sop_uids=("",),
        paths=(picture.path,),
        fingerprints=(bytes.fromhex(picture.sha256),),
        syntax=picture.kind,
        warnings=picture.warnings,
    )
