"""A `Series` from a group of images: lazy voxels, geometry, display facts and warnings."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewer.dicom.decode import Slices, read_frame
from viewer.dicom.facts import Image
from viewer.dicom.geometry import PROJECTION, Stacking, geometry, stacking
from viewer.dicom.group import Group, Slice
from viewer.dicom.header import syntax_name
from viewer.settings import Limits
from viewer.types import Display, Geometry, Series, Window


def _read(slices: tuple[Slice, ...], limits: Limits, index: int) -> NDArray[Any]:
    return read_frame(slices[index].image.pixels, slices[index].number, limits)


def series_of(group: Group, limits: Limits) -> Series:
    """The series of a group; nothing is decoded."""
    slices = group.slices
    first = slices[0].image
    stack = _stacking(group)
    space = geometry(first, slices[0].frame, stack.step)
    display, about_values = display_of(slices)
    pixels = first.pixels
    voxels = Slices(
        partial(_read, slices, limits),
        (len(slices), *pixels.shape),
        np.result_type(*{s.image.pixels.dtype for s in slices}),
        tuple(s.image.path.name for s in slices),
    )
    return Series(
        uid=group.uid,
        modality=first.modality,
        voxels=voxels,
        geometry=space,
        display=display,
        sop_uids=tuple(s.image.sop_uid for s in slices),
        paths=tuple(s.image.path for s in slices),
        description=first.description,
        study_uid=first.study_uid,
        identity=first.identity,
        body_part=first.body_part,
        view=first.view,
        laterality=first.laterality,
        syntax=", ".join(sorted({syntax_name(i.pixels.syntax) for i in group.images})),
        frames_in_time=pixels.frames if first.in_time else 1,
        files=len(group.images),
        warnings=(*stack.warnings, *_about_place(group, space), *about_values, *_about_file(group)),
    )


def _stacking(group: Group) -> Stacking:
    """The step between slices, or why there is none."""
    count, first = len(group.slices), group.slices[0]
    if count == 1:
        return Stacking(None)
    if group.proven and first.frame.orientation is not None:
        positions = [s.frame.position for s in group.slices if s.frame.position is not None]
        return stacking(first.frame.orientation, positions)
    if first.image.pixels.frames > 1:
        if first.image.in_time:
            return Stacking(None)
        return Stacking(
            None, ("The frames are not proven to be one stack: shown as stored, and no volume is built.",)
        )
    numbered = all(s.image.instance is not None for s in group.slices)
    how = "in the order of their instance numbers" if numbered else "in an order that the files do not give"
    return Stacking(
        None, (f"The slices have no position: they are shown {how}, which geometry does not prove.",)
    )


def _about_place(group: Group, space: Geometry) -> list[str]:
    """Warnings on spacing and orientation."""
    first, found = group.slices[0].image, []
    if space.spacing_kind == "absent":
        found.append("No pixel spacing in the file; lengths can only be given in pixels.")
    if space.spacing_kind == "detector":
        found.append("The pixel spacing is measured at the detector; in the patient lengths are smaller.")
    if any(i.bad_orientation for i in group.images):
        found.append("The orientation in the file is not one that can be; it is not used.")
    elif not space.orientation_known and space.letters() is None:
        found.append("The file does not say how the image lies in the patient.")
    if first.modality in PROJECTION and space.patient_orientation and not first.laterality:
        sided = first.modality == "MG" or first.body_part.upper() in ("HAND", "FOOT", "KNEE", "BREAST")
        found += ["The file does not say which side of the body this is."] if sided else []
    return found


def _about_file(group: Group) -> list[str]:
    """Warnings on identifiers and compression."""
    found = []
    if any(i.lossy for i in group.images):
        found.append("The image was compressed with loss.")
    elif any(i.lossy is None for i in group.images):
        found.append("The image may have been compressed with loss.")
    if not group.images[0].series_uid:
        found.append("The file names no series, so the image stands alone.")
    names = [i.sop_uid for i in group.images]
    if len(set(names)) < len(names) or not all(names):
        found.append("Some images carry no identifier of their own.")
    if len({i.identity.patient for i in group.images}) > 1:
        found.append("The patient's name is not spelled the same in all files.")
    return found


def display_of(slices: tuple[Slice, ...]) -> tuple[Display, list[str]]:
    """Display facts of ordered slices, and warnings about them."""
    middle = slices[len(slices) // 2]
    image, pixels = middle.image, middle.image.pixels
    warnings = []
    windows = middle.frame.windows
    if any(s.frame.windows[:1] != windows[:1] for s in slices):
        warnings.append("The window differs between the slices; the middle slice's is used for all.")
        windows = windows or next(s.frame.windows for s in slices if s.frame.windows)
    if not windows and image.voi_lut is None and not pixels.colour:
        warnings.append("No window in the file; grey levels are set from the data.")
    unit = _unit(image, middle)
    if image.modality == "CT" and unit != "HU" and not pixels.colour:
        warnings.append("The file does not state Hounsfield units; its values may not be Hounsfield units.")
    display = Display(
        rescale=tuple(s.frame.rescale or (1.0, 0.0) for s in slices),
        unit=unit,
        windows=_without_repeats(windows),
        inverted=pixels.photometric == "MONOCHROME1",
        photometric=pixels.photometric,
        stored_range=_union([stored_range(s.image) for s in slices]),
        padding=image.padding,
        lut=image.lut,
        voi_lut=image.voi_lut,
    )
    return display, warnings


def _without_repeats(windows: tuple[Window, ...]) -> tuple[Window, ...]:
    """Some files give one window twice; the order stays."""
    return tuple(dict.fromkeys(windows))


def _union(ranges: list[tuple[float, float]]) -> tuple[float, float]:
    return min(r[0] for r in ranges), max(r[1] for r in ranges)


def stored_range(image: Image) -> tuple[float, float]:
    """Lowest and highest value that the stored bits can hold."""
    pixels = image.pixels
    if pixels.photometric == "PALETTE COLOR":
        return (0.0, 255.0)
    if pixels.signed and not pixels.colour:
        return (-float(1 << (pixels.stored - 1)), float((1 << (pixels.stored - 1)) - 1))
    return (0.0, float((1 << pixels.stored) - 1))


def _unit(image: Image, middle: Slice) -> str:
    """The unit of modality values: as stated, else Hounsfield for CT that is rescaled and no localizer."""
    stated = image.lut_type if image.lut is not None else middle.frame.rescale_type
    if stated:
        return "" if stated.upper() in ("US", "UNSPECIFIED") else stated
    if image.modality == "PT" and image.units:
        return image.units
    localizer = "LOCALIZER" in image.image_type[2:3]
    rescaled = middle.frame.rescale is not None
    return "HU" if image.modality == "CT" and rescaled and not localizer else ""
