# SPDX-License-Identifier: Apache-2.0
"""A `Series` from a group of images: lazy voxels, geometry, display facts and warnings."""

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewer.dicom.decode import Slices, read_frame
from viewer.dicom.decoder_pool import CHILDREN
from viewer.dicom.facts import Image, Slice
from viewer.dicom.geometry import PROJECTION, Stacking, geometry, stacking
from viewer.dicom.group import Group
from viewer.dicom.header import syntax_name
from viewer.dicom.suv import suv
from viewer.dicom.units import localizer, unit_of
from viewer.settings import Limits
from viewer.types import Display, Geometry, Series, Window


def _read(slices: tuple[Slice, ...], limits: Limits, index: int) -> NDArray[Any]:
    return read_frame(slices[index].image.pixels, slices[index].number, limits)


def series_of(group: Group, limits: Limits) -> Series:
    """The series of a group; nothing is decoded."""
    slices = group.slices
    first = slices[0].image
    stack = _stacking(group)
    positions = [s.frame.position for s in slices if s.frame.position is not None]
    origins = None if stack.even or len(positions) < len(slices) else positions
    turns = [s.frame.orientation for s in slices] if group.turned else None
    space = geometry(first, slices[0].frame, stack.step, origins, turns)
    display, about_values = display_of(slices)
    pixels = first.pixels
    voxels = Slices(
        partial(_read, slices, limits),
        (len(slices), *pixels.shape),
        np.result_type(*{s.image.pixels.dtype for s in slices}),
        tuple(s.image.path.name for s in slices),
        # What is decoded by children waits for them, and what lies in the file for nothing. Frames that are
        # not compressed come from the data set, which two children would both hold.
        ahead=1 if pixels.direct or (pixels.frames > 1 and pixels.length is not None) else CHILDREN,
    )
    return Series(
        uid=group.uid,
        modality=first.modality,
        voxels=voxels,
        geometry=space,
        display=display,
        sop_uids=tuple(s.image.sop_uid for s in slices),
        paths=tuple(s.image.path for s in slices),
        frame_numbers=tuple(s.number + 1 for s in slices),
        fingerprints=tuple(s.image.fingerprint for s in slices),
        description=_name(group),
        number=first.series_number,
        study_uid=first.study_uid,
        identity=first.identity,
        body_part=first.body_part,
        view=first.view,
        laterality=first.laterality,
        syntax=", ".join(sorted({syntax_name(s.image.pixels.syntax) for s in slices})),
        frames_in_time=len(slices) if group.in_time else 1,
        rate=first.rate if group.in_time else None,
        files=len(group.images),
        part=group.part,
        warnings=(*_about_stack(group, stack, space), *about_values, *_about_file(group)),
    )


def _name(group: Group) -> str:
    """The description in the file, and what sets this stack apart from others of its series."""
    own = (group.kind, group.part.words if group.part else "")
    return " · ".join(t for t in (group.slices[0].image.description, *own) if t)


def _stacking(group: Group) -> Stacking:
    """The step between slices, or why there is none."""
    count, first = len(group.slices), group.slices[0]
    if first.image.mosaic is not None:
        return Stacking(None)
    if count == 1:
        placed = first.frame.position is not None and first.image.modality in _STACKED
        alone = placed and not localizer(first) and first.image.pixels.frames == 1
        return Stacking(None, ("This is a single slice, so there is no volume.",) if alone else ())
    if group.turned:
        said = f"These are {count} views, each turned from the one before: they are shown one by one, "
        return Stacking(None, (f"{said}{_how(group)}, and no volume is built.",), even=False)
    if group.proven and first.frame.orientation is not None:
        if group.across:
            return Stacking(None, (_one_place(group),), even=False)
        if first.image.modality == "CT" and localizer(first):
            said = f"These are {count} localisers, which are projections: they are shown one by one."
            return Stacking(None, (said,), even=False)
        positions = [s.frame.position for s in group.slices if s.frame.position is not None]
        return stacking(first.frame.orientation, positions)
    if first.image.pixels.frames > 1:
        if first.image.in_time:
            return Stacking(None)
        numbers = [s.number for s in group.slices]
        how = "as stored" if numbers == sorted(numbers) else "in the order of their dimension indices"
        said = f"The frames are not proven to be one stack: shown {how}, and no volume is built."
        return Stacking(None, (said,), even=False)
    said = f"The slices have no position: they are shown {_how(group)}, which geometry does not prove."
    return Stacking(None, (said,), even=False)


def _how(group: Group) -> str:
    """In which order slices are that places do not order."""
    numbered = all(s.image.instance is not None for s in group.slices)
    return "in the order of their instance numbers" if numbered else "in an order that the files do not give"


_STACKED = frozenset({"CT", "MR", "PT"})
"""Modalities that take stacks, so that a single slice is worth a word."""


def _one_place(group: Group) -> str:
    """What is said of a run of pictures of one slice."""
    return (
        f"All {len(group.slices)} images show one slice: they are in the order of their {group.across}, "
        "and no volume is built."
    )


def _about_stack(group: Group, stack: Stacking, space: Geometry) -> tuple[str, ...]:
    """Warnings on what the stack is, what it lacks, and how its slices lie."""
    count = group.slices[0].image.mosaic
    if count is None:
        return (*group.warnings, *stack.warnings, *_about_place(group, space))
    many = f"{count} slices" if count else "many slices"
    said = f"This is a Siemens mosaic of {many} in one picture; it is shown as stored, and positions in it "
    return (said + "mean nothing.", *group.warnings, *_about_place(group, space))


_NO_SPACING = "No pixel spacing in the file; lengths can only be given in pixels."


def _about_regions(space: Geometry) -> str:
    """Warning on an ultrasound whose regions have scales of their own; "" where none has millimetres."""
    if not any(region.measures for region in space.regions):
        return ""
    words = ", ".join(region.words for region in space.regions)
    many = f"{len(space.regions)} regions" if len(space.regions) > 1 else "region"
    return f"Lengths hold only inside the ultrasound's {many}, one pixel of which is: {words}."


def _about_place(group: Group, space: Geometry) -> list[str]:
    """Warnings on spacing and orientation."""
    first, found = group.slices[0].image, []
    if space.spacing_kind == "absent":
        found.append(_about_regions(space) or _NO_SPACING)
    if space.spacing_kind == "detector":
        found.append("The pixel spacing is measured at the detector; in the patient lengths are smaller.")
    if space.spacing_kind == "magnified":
        found.append(
            "The pixel spacing is that of the detector divided by a magnification of "
            f"{first.magnification:g}, which the file estimates; it holds at one depth in the patient."
        )
    if space.spacing_kind == "region":
        found.append("The pixel spacing is that of the ultrasound region; beside it nothing has a length.")
    images = [s.image for s in group.slices]
    if any(i.bad_orientation for i in images):
        found.append("The orientation in the file is not one that can be; it is not used.")
    elif not space.orientation_known and space.letters(0) is None and first.mosaic is None:
        found.append("The file does not say how the image lies in the patient.")
    if first.modality in PROJECTION and space.patient_orientation and not first.laterality:
        sided = first.modality == "MG" or first.body_part.upper() in ("HAND", "FOOT", "KNEE", "BREAST")
        found += ["The file does not say which side of the body this is."] if sided else []
    return found


def _about_file(group: Group) -> list[str]:
    """Warnings on faults of the files, identifiers and compression."""
    images = tuple({id(s.image): s.image for s in group.slices}.values())
    found = _about_faults(images)
    if any(i.lossy for i in images):
        found.append("The image was compressed with loss.")
    elif any(i.lossy is None for i in images):
        found.append("The image may have been compressed with loss.")
    if any(i.burned_in for i in images):
        found.append("Words are burned into the image, perhaps the patient's name: masking cannot hide them.")
    if not images[0].series_uid:
        found.append("The file names no series, so the image stands alone.")
    if len({i.series_uid for i in images}) > 1:
        found.append(
            f"The {len(images)} files name a series each; by study, description, numbers and geometry "
            "they are one."
        )
    names = [i.sop_uid for i in images]
    if len(set(names)) < len(names) or not all(names):
        found.append("Some images carry no identifier of their own.")
    if len({i.identity.patient for i in images}) > 1:
        found.append("The patient's name is not spelled the same in all files.")
    return found


def _about_faults(images: tuple[Image, ...]) -> list[str]:
    """What is told of single files: of each fault the first sentence, and in how many files it is."""
    told: dict[str, str] = {}
    count: Counter[str] = Counter()
    for image in images:
        if image.notes:
            count.update({about for about, _ in image.notes})
            told = {**dict(reversed(image.notes)), **told}
    return [
        said if count[about] == len(images) else f"{said[:-1]} (in {count[about]} of {len(images)} files)."
        for about, said in told.items()
    ]


def display_of(slices: tuple[Slice, ...]) -> tuple[Display, list[str]]:
    """Display facts of ordered slices, and warnings about them."""
    middle = slices[len(slices) // 2]
    image, pixels = middle.image, middle.image.pixels
    warnings = []
    unsound = any(s.image.unsound_lut or s.frame.doubt == "values" for s in slices)
    windows = () if unsound else middle.frame.windows
    differing = not unsound and any(s.frame.windows[:1] != windows[:1] for s in slices)
    if differing:
        warnings.append(_about_windows(slices))
        windows = windows or next(s.frame.windows for s in slices if s.frame.windows)
    if not windows and (unsound or image.voi_lut is None) and not pixels.colour:
        no_window = "Grey levels are set from the data." if unsound else _NO_WINDOW
        warnings.append(no_window)
    unit, why = unit_of(slices)
    factors, unit, about_suv = _suv(slices, unit)
    warnings += about_suv
    if image.modality == "CT" and unit != "HU" and not pixels.colour:
        warnings.append(why or _NO_UNIT)
    rescale = tuple(s.frame.rescale or (1.0, 0.0) for s in slices)
    if len(set(rescale)) > 1 and not pixels.colour:
        warnings.append(_about_rescale(rescale))
    display = Display(
        rescale=tuple(
            (slope * f, intercept * f) for (slope, intercept), f in zip(rescale, factors, strict=True)
        ),
        unit=unit,
        windows=_scaled(windows, factors[len(slices) // 2]),
        inverted=pixels.photometric == "MONOCHROME1",
        photometric=pixels.photometric,
        stored_range=_union([stored_range(s.image) for s in slices]),
        padding=image.padding,
        lut=image.lut,
        voi_lut=None if unsound else image.voi_lut,
        voi_lut_name=image.voi_lut_name,
        slice_windows=tuple(_scaled(s.frame.windows, f) for s, f in zip(slices, factors, strict=True))
        if differing or len(set(factors)) > 1
        else (),
    )
    return display, warnings


_NO_WINDOW = "No window in the file; grey levels are set from the data."
_NO_UNIT = "The file does not state Hounsfield units; its values may not be Hounsfield units."


def _about_windows(slices: tuple[Slice, ...]) -> str:
    first = [s.frame.windows[0] for s in slices if s.frame.windows]
    centers, widths = [w.center for w in first], [w.width for w in first]
    return (
        f"The window differs between the slices: centre {_span(centers)}, width {_span(widths)}; "
        "each slice is shown in its own."
    )


def _about_rescale(rescale: tuple[tuple[float, float], ...]) -> str:
    slopes, intercepts = ([pair[k] for pair in rescale] for k in (0, 1))
    return (
        f"The rescale differs between the slices: slope {_span(slopes)}, intercept {_span(intercepts)}; "
        "each slice's own is used."
    )


def _span(numbers: list[float]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _suv(slices: tuple[Slice, ...], unit: str) -> tuple[tuple[float, ...], str, list[str]]:
    """Every slice's factor to SUV with its unit, or ones with the file's unit and why (PS3.3 C.8.9.1)."""
    images, plain = [s.image for s in slices], (1.0,) * len(slices)
    if images[0].modality != "PT" or images[0].pixels.colour:
        return plain, unit, []
    if any(s.frame.doubt or s.image.unsound_lut for s in slices):
        found: tuple[tuple[float, ...], str] | str = "the file's rescale is not sound"
    elif any(i.lut is not None or i.voi_lut is not None for i in images):
        found = "the file gives its values by a table"
    else:
        found = suv([s.image.pet[s.number] if s.image.pet else None for s in slices])
    return (plain, unit, [f"SUV is not given: {found}."]) if isinstance(found, str) else (*found, [])


def _scaled(windows: tuple[Window, ...], factor: float) -> tuple[Window, ...]:
    """Windows for values times a factor, each once: some files give one window twice.

    LINEAR counts in whole grey levels (PS3.3 C.11.2.1.2.1), which scaled values have none of.
    """
    unique = tuple(dict.fromkeys(windows))
    if factor == 1:
        return unique
    exact = [
        replace(w, center=w.center - 0.5, width=max(w.width - 1, 1e-3), function="LINEAR_EXACT")
        if w.function == "LINEAR"
        else w
        for w in unique
    ]
    return tuple(replace(w, center=w.center * factor, width=w.width * factor) for w in exact)


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
