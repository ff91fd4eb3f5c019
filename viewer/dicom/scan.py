# SPDX-License-Identifier: Apache-2.0
"""What lies under some paths: series, healthy files that are not images, and files refused."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from viewer.dicom import archives, elements, pictures
from viewer.dicom.arrivals import Arrivals, OnArrivals
from viewer.dicom.facts import Image
from viewer.dicom.group import groups, once
from viewer.dicom.header import BLOCK, NotAnImage, read_header
from viewer.dicom.image import object_of
from viewer.dicom.memory import KEPT
from viewer.dicom.parametric import ParametricMap
from viewer.dicom.pictures import PictureFile, picture_of, series_of_picture
from viewer.dicom.placing import Placed, belongs
from viewer.dicom.segmentation import Segmentation
from viewer.dicom.series import series_of
from viewer.dicom.walk import Listed, files_under
from viewer.errors import SeriesError
from viewer.settings import Limits, Settings
from viewer.task import Task
from viewer.types import Series

GONE = "The file was there when its folder was listed, and is gone."
MANY = 40
"""Files of which series are told before all are read; fewer are read before it could be seen."""
_DICOM_NAMES = frozenset({".dcm", ".dicom", ".dic", ".ima"})
_PICTURE_NAMES = frozenset({".png", ".jpg", ".jpeg"})
_ARCHIVES = (b"\x1f\x8b", b"PK\x03\x04", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\x1f\x9d")
"""How archives begin that are not opened: gzip, ZIP, 7z, bzip2, xz, zstd, compress."""
_SHOWN = (pictures.PNG, pictures.JPEG)
_PICTURES = (b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
_FIRST_GROUPS = frozenset({0x0002, 0x0008})
_REPRESENTATIONS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OW PN SH SL SQ SS ST TM UC UI UL UN UR US UT".split()
)


@dataclass(frozen=True, slots=True)
class Study:
    """All files under some paths, each counted once."""

    series: tuple[Series, ...]
    other: tuple[Listed, ...]
    refused: tuple[Listed, ...]
    segmentations: tuple[Segmentation, ...] = ()
    """What is drawn on the series; the files are listed among the others."""
    parametric: tuple[ParametricMap, ...] = ()
    """What was computed on the series; the files are listed among the others."""


def scan(
    paths: Sequence[Path],
    settings: Settings = Settings(),  # noqa: B008
    task: Task | None = None,
    found: OnArrivals | None = None,
) -> Study:
    """Find the series under files and folders, reading headers only.

    Series come in the order of study, series number and uid, whatever the files are called, pictures
    after them. Where there are many files, `found` is told meanwhile of which series images have come.
    Raises `SeriesError` if a path does not exist or there is no file at all.
    """
    elements.hush()
    KEPT.resize(settings.slice_memory)
    limits, kinds = settings.limits, _Kinds()
    files = files_under(paths, kinds.other, kinds.refused)
    if not files and not kinds.other and not kinds.refused:
        raise SeriesError("There is no file in the folder.")
    arrivals = None if found is None or len(files) < MANY else Arrivals(found, limits)
    for path, finding, place in _findings(files, limits, task or Task()):
        kinds.take(path, finding, place)
        if arrivals is not None:
            if isinstance(finding, Image):
                arrivals.take(finding)
            arrivals.tell()
    return _study(kinds, limits, task or Task())


def lost(study: Study) -> bool:
    """Whether files of a study are gone, and were there when it began to be read."""
    return any(one.reason == GONE for one in study.refused) or not all(
        os.access(series.paths[0], os.R_OK) for series in study.series
    )


class _Kinds:
    """What the files are, by kind."""

    def __init__(self) -> None:
        self.images: list[Image] = []
        self.shown: list[PictureFile] = []
        self.placed: list[Placed] = []
        self.other: list[Listed] = []
        self.refused: list[Listed] = []
        self.as_given: dict[Path, Path] = {}
        """How a file that lies at a place is called."""

    def take(self, path: Path, finding: "Finding", place: Path | None) -> None:
        """One more file."""
        if place is not None:
            self.as_given[place] = path
        match finding:
            case Image() as image:
                self.images.append(image)
            case Placed() as planes:
                self.placed.append(planes)
            case PictureFile() as picture:
                self.shown.append(picture)
            case NotAnImage() as healthy:
                self.other.append(Listed(path, str(healthy)))
            case SeriesError() as error:
                self.refused.append(Listed(path, str(error)))


def _study(kinds: _Kinds, limits: Limits, task: Task) -> Study:
    """The series that the files make, and all others."""
    as_given, other = kinds.as_given, kinds.other
    kept, copies = once(kinds.images, limits, task)
    other += [Listed(as_given[one.image.path], one.reason) for one in copies]
    series = [series_of(group, limits) for group in groups(kept)]
    other += [Listed(as_given[one.path], _place(one, series)) for one in kinds.placed]
    return Study(
        (*series, *_pictures(kinds.shown, other, as_given, limits)),
        tuple(sorted(other, key=lambda entry: entry.path)),
        tuple(sorted(kinds.refused, key=lambda entry: entry.path)),
        tuple(one for one in kinds.placed if isinstance(one, Segmentation) and belongs(one, series)),
        tuple(one for one in kinds.placed if isinstance(one, ParametricMap) and belongs(one, series)),
    )


def _place(placed: Placed, series: list[Series]) -> str:
    """Where a segmentation or a parametric map went, in one sentence."""
    drawn = isinstance(placed, Segmentation)
    what = "segmentation" if drawn else "parametric map"
    names = " and ".join(one.description or one.modality for one in belongs(placed, series))
    if not names:
        return f"This is a {what} of images that are not here."
    return f"This is a {what}; it is {'outlined on' if drawn else 'kept as a map of'} {names}."


def _pictures(
    shown: list[PictureFile], other: list[Listed], as_given: dict[Path, Path], limits: Limits
) -> list[Series]:
    """One series per picture, sorted by content; a copy is listed, not shown twice."""
    unique: dict[str, PictureFile] = {}
    for picture in shown:
        if picture.sha256 in unique:
            other.append(Listed(as_given[picture.path], "This is the same image again."))
        else:
            unique[picture.sha256] = picture
    return [series_of_picture(unique[key], limits) for key in sorted(unique)]


class _Archive(NotAnImage):
    """The file is an archive, whose files count in its place."""


Finding = Image | Segmentation | ParametricMap | PictureFile | NotAnImage | SeriesError
_Finding = tuple[Path, Finding, Path | None]
"""How a file is called, what it is, and where it lies if it could be read."""


def _findings(files: list[Path], limits: Limits, task: Task) -> Iterator[_Finding]:
    """What every file is; those of an archive one by one, in its place."""
    for number, path in enumerate(files):
        task.progress(number, len(files), "reading files")
        # Slices are read later, by a child in another folder: what is kept is the whole path.
        place = path.absolute()
        finding = _attempt(place, limits)
        if isinstance(finding, _Archive):
            yield from _inside(path, limits, task)
        else:
            yield path, finding, place


def _inside(path: Path, limits: Limits, task: Task) -> Iterator[_Finding]:
    """What the files of an archive are."""
    held: list[_Finding] = []
    healthy, images = True, False
    try:
        for shown, place in archives.unpacked(path, limits, _look):
            task.check()
            if isinstance(place, Path):
                images = True
                yield shown, _attempt(place, limits), place
            else:
                healthy &= isinstance(place, NotAnImage)
                held.append((shown, place, None))
    except SeriesError as error:
        yield path, error, None
        return
    if healthy and not images:  # a document, say: its inner files are nobody's concern
        yield path, NotAnImage("There is no image in this archive."), None
    else:
        yield from held


def segmentation_in(path: Path, limits: Limits) -> Segmentation:
    """The SEG in one file; raises `SeriesError` where it holds none."""
    found = _attempt(path.absolute(), limits)
    if isinstance(found, Segmentation):
        return found
    reason = f" {found}" if isinstance(found, (NotAnImage, SeriesError)) else ""
    raise SeriesError(f"The file {path.name} is no segmentation (DICOM SEG).{reason}")


def _attempt(path: Path, limits: Limits) -> Finding:
    """Read one file's header, and turn whatever goes wrong into a sentence.

    The `except` is broad: on damaged or hostile files the parsers raise nearly anything, from
    `struct.error` to `RecursionError`, and one file must not stop the others.
    """
    try:
        return _read(path, limits)
    except (NotAnImage, SeriesError) as finding:
        return finding
    except FileNotFoundError:
        return SeriesError(GONE)
    except OSError:
        return SeriesError("The file cannot be opened or read.")
    except MemoryError:
        return SeriesError("The file's header needs more memory than there is.")
    except Exception:  # noqa: BLE001 - pydicom raises anything at all on damaged headers
        return SeriesError("The file's header is damaged and cannot be read.")


def _read(path: Path, limits: Limits) -> Image | Segmentation | ParametricMap | PictureFile:
    """The facts of a file, whatever it is called: what it is, its first bytes say."""
    with path.open("rb", buffering=BLOCK) as file:
        block = file.read(BLOCK)
        head = block[: archives.HEAD]
        if head.startswith(archives.ZIP):
            raise _Archive
        if head[128:] != b"DICM":
            _look(head, os.fstat(file.fileno()).st_size, path.suffix.lower())
        if not head.startswith(_SHOWN):
            header = read_header(path, file, block, limits)
            return object_of(header, limits, header.fingerprint(block))
    return picture_of(path, limits)


def _look(head: bytes, size: int, suffix: str) -> None:
    """Raise what is to be said of a file that is neither DICOM nor a picture; by its first bytes."""
    if head.startswith(_SHOWN) or head[128:] == b"DICM" or _bare(head, size):
        return
    if not size:
        if suffix and suffix not in _DICOM_NAMES | _PICTURE_NAMES:
            raise NotAnImage("The file is empty.")
        raise SeriesError("The file is empty.")
    if suffix in _DICOM_NAMES:
        raise SeriesError("The file is named like a DICOM file, but what is in it is not DICOM.")
    if suffix in _PICTURE_NAMES:
        raise SeriesError("The file is named like a PNG or JPEG picture, but what is in it is neither.")
    if head.startswith(_ARCHIVES):
        raise NotAnImage("This is a packed archive; unpack it to see what is in it.")
    if head.startswith(_PICTURES):
        raise NotAnImage("This may be a picture, but of a kind that is not opened; save it as PNG.")
    raise NotAnImage("This is neither DICOM nor a PNG or JPEG picture.")


def _bare(head: bytes, size: int) -> bool:
    """Whether a file without preamble starts like a DICOM data set."""
    if len(head) < 8:
        return False
    for order in ("little", "big"):
        group = int.from_bytes(head[:2], order)
        if group in _FIRST_GROUPS and head[4:6] in _REPRESENTATIONS:
            return True
    length = int.from_bytes(head[4:8], "little")
    return int.from_bytes(head[:2], "little") in _FIRST_GROUPS and length % 2 == 0 and length <= size
