"""What lies under some paths: series, healthy files that are not images, and files refused."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from viewer.dicom import archives, elements, pictures
from viewer.dicom.facts import Image
from viewer.dicom.group import groups, once
from viewer.dicom.header import BLOCK, NotAnImage, read_header
from viewer.dicom.image import object_of
from viewer.dicom.memory import KEPT
from viewer.dicom.parametric import ParametricMap
from viewer.dicom.pictures import Picture, picture_of, series_of_picture
from viewer.dicom.placing import Placed, belongs
from viewer.dicom.segmentation import Segmentation
from viewer.dicom.series import series_of
from viewer.errors import SeriesError
from viewer.settings import Limits, Settings
from viewer.task import Task
from viewer.types import Series

MANY = 40
"""Files of which the first image is told before all are read; fewer are read before it could be seen."""
UNKNOWN_PLACE = "Still being read: where this image lies among the others is not known yet."
_DICOM_NAMES = frozenset({".dcm", ".dicom", ".dic", ".ima"})
_PICTURE_NAMES = frozenset({".png", ".jpg", ".jpeg"})
_ARCHIVES = (b"\x1f\x8b", b"PK\x03\x04", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ")
_SHOWN = (pictures.PNG, pictures.JPEG)
_PICTURES = (b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
_FIRST_GROUPS = frozenset({0x0002, 0x0008})
_REPRESENTATIONS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OW PN SH SL SQ SS ST TM UC UI UL UN UR US UT".split()
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that is not part of a series, and why, in one sentence."""

    path: Path
    reason: str


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
    found: Callable[[Series], None] | None = None,
) -> Study:
    """Find the series under files and folders, reading headers only.

    Series come in the order of study, series number and uid, whatever the files are called, pictures
    after them. Where there are many files, `found` is told the first image of all, as a provisional
    series of one slice that is no part of the study. Raises `SeriesError` if a path does not exist or
    there is no file at all.
    """
    elements.hush()
    KEPT.resize(settings.slice_memory)
    images: list[Image] = []
    shown: list[Picture] = []
    placed: list[Placed] = []
    other: list[Listed] = []
    refused: list[Listed] = []
    files = _files(paths, other, refused)
    if not files and not other and not refused:
        raise SeriesError("There is no file in the folder.")
    as_given: dict[Path, Path] = {}
    for path, finding, place in _findings(files, settings.limits, task or Task()):
        if place is not None:
            as_given[place] = path
        match finding:
            case Image() as image:
                images.append(image)
                if found is not None and len(images) == 1 and len(files) >= MANY:
                    found(_provisional(image, settings.limits))
            case Placed() as planes:
                placed.append(planes)
            case Picture() as picture:
                shown.append(picture)
            case NotAnImage() as healthy:
                other.append(Listed(path, str(healthy)))
            case SeriesError() as error:
                refused.append(Listed(path, str(error)))
    kept, copies = once(images)
    other += [Listed(as_given[i.path], "This is the same image again.") for i in copies]
    series = [series_of(group, settings.limits) for group in groups(kept)]
    other += [Listed(as_given[one.path], _place(one, series)) for one in placed]
    return Study(
        (*series, *_pictures(shown, other, as_given, settings.limits)),
        tuple(sorted(other, key=lambda entry: entry.path)),
        tuple(sorted(refused, key=lambda entry: entry.path)),
        tuple(one for one in placed if isinstance(one, Segmentation) and belongs(one, series)),
        tuple(one for one in placed if isinstance(one, ParametricMap) and belongs(one, series)),
    )


def _provisional(image: Image, limits: Limits) -> Series:
    """The middle frame of an image as a series of its own, while the others are still being read."""
    group = groups([image])[0]
    middle = group.slices[len(group.slices) // 2]
    alone = replace(group, slices=(middle,), images=(image,), part=None, across="", warnings=())
    return replace(series_of(alone, limits), warnings=(UNKNOWN_PLACE,))


def _place(placed: Placed, series: list[Series]) -> str:
    """Where a segmentation or a parametric map went, in one sentence."""
    drawn = isinstance(placed, Segmentation)
    what = "segmentation" if drawn else "parametric map"
    names = " and ".join(one.description or one.modality for one in belongs(placed, series))
    if not names:
        return f"This is a {what} of images that are not here."
    return f"This is a {what}; it is {'outlined on' if drawn else 'kept as a map of'} {names}."


def _pictures(
    shown: list[Picture], other: list[Listed], as_given: dict[Path, Path], limits: Limits
) -> list[Series]:
    """One series per picture, sorted by content; a copy is listed, not shown twice."""
    unique: dict[str, Picture] = {}
    for picture in shown:
        if picture.sha256 in unique:
            other.append(Listed(as_given[picture.path], "This is the same image again."))
        else:
            unique[picture.sha256] = picture
    return [series_of_picture(unique[key], limits) for key in sorted(unique)]


class _Archive(NotAnImage):
    """The file is an archive, whose files count in its place."""


Finding = Image | Segmentation | ParametricMap | Picture | NotAnImage | SeriesError
Found = tuple[Path, Finding, Path | None]
"""How a file is called, what it is, and where it lies if it could be read."""


def _findings(files: list[Path], limits: Limits, task: Task) -> Iterator[Found]:
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


def _inside(path: Path, limits: Limits, task: Task) -> Iterator[Found]:
    """What the files of an archive are."""
    held: list[Found] = []
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


def _attempt(path: Path, limits: Limits) -> Finding:
    """Read one file's header, and turn whatever goes wrong into a sentence.

    The one broad `except` of this package: on damaged or hostile files the parsers raise nearly
    anything, from `struct.error` to `RecursionError`, and one file must not stop the others.
    """
    try:
        return _read(path, limits)
    except (NotAnImage, SeriesError) as finding:
        return finding
    except OSError:
        return SeriesError("The file cannot be opened or read.")
    except MemoryError:
        return SeriesError("The file's header needs more memory than there is.")
    except Exception:  # noqa: BLE001
        return SeriesError("The file's header is damaged and cannot be read.")


def _read(path: Path, limits: Limits) -> Image | Segmentation | ParametricMap | Picture:
    """The facts of a file, whatever it is called: what it is, its first bytes say."""
    with path.open("rb", buffering=BLOCK) as file:
        block = file.read(BLOCK)
        head = block[: archives.HEAD]
        if head.startswith(archives.ZIP):
            raise _Archive
        if head[128:] != b"DICM":
            _look(head, os.fstat(file.fileno()).st_size, path.suffix.lower())
        if not head.startswith(_SHOWN):
            return object_of(read_header(path, file, block, limits), limits)
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


def _files(paths: Sequence[Path], other: list[Listed], refused: list[Listed]) -> list[Path]:
    """All regular files under the paths, each once; what cannot be read as one is listed."""
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    given: set[Path] = set()
    for path in paths:
        for entry in _under(path, refused):
            if entry in given:
                continue
            given.add(entry)
            try:
                state = entry.stat()
            except OSError:
                refused.append(Listed(entry, "This is a link that leads nowhere."))
                continue
            if not stat.S_ISREG(state.st_mode):
                other.append(Listed(entry, "This is not a file that can be read."))
            elif entry.is_symlink() and (state.st_dev, state.st_ino) in seen:
                other.append(Listed(entry, "This is a link to a file that is listed already."))
            else:
                seen.add((state.st_dev, state.st_ino))
                found.append(entry)
    return found


def _under(path: Path, refused: list[Listed]) -> Iterator[Path]:
    """The files of a folder and its folders, links last and each folder once; or the file itself."""
    try:
        there = path.exists()
    except (OSError, ValueError):  # a name that is too long, or that no file can have
        there = False
    if not there:
        name = path.name if len(path.name) <= 80 else f"{path.name[:80]}…"
        raise SeriesError(f"There is no file or folder {name}.")
    if path.is_file():
        if path.name.upper() != "DICOMDIR":
            yield path
            return
        path = path.parent  # a directory of what lies beside it; the files themselves are the truth
    elif not path.is_dir():
        yield path
        return
    seen: set[tuple[int, int]] = set()
    links: list[Path] = []

    def fault(error: OSError) -> None:
        refused.append(Listed(Path(error.filename), "This folder cannot be opened."))

    for folder, folders, names in os.walk(path, onerror=fault, followlinks=True):
        state = Path(folder).stat()
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders.sort()
        for name in sorted(names):
            entry = Path(folder) / name
            if entry.is_symlink():
                links.append(entry)
            else:
                yield entry
    yield from links
