# SPDX-License-Identifier: Apache-2.0
"""The unit of modality values, and what of rescaled CT is not in Hounsfield units."""

import re

from viewer.dicom.facts import Slice
from viewer.dicom.faults import printable

_NAMED = {"US": "", "UNSPECIFIED": "", "OD": "mOD"}
"""What Rescale Type names otherwise; "OD" are thousandths of optical density (PS3.3 C.11.1.1.2)."""
_MAPS = re.compile(
    r"ELECTRON_?DENSITY|RHO(_?Z)?|EFF(ECTIVE)?_?(Z|ATOMIC_?NUM\w*)|Z_?EFF(ECTIVE)?|IODINE\w*|CALCIUM\w*|FAT_?MAP"
    r"|WATER_?MAP|MAT_(SPECIFIC|FRACTIONAL|VALUE_BASED)\w*|PERFUSION|CBF|CBV|MTT|TTP|TMAX|PERMEABILITY"
)
"""Words of an image type that name a map in another unit (PS3.3 C.8.15.2, C.8.16.1, and makers' own)."""
_SPECTRAL = re.compile(
    r"VMI\w*|MONO_?E\w*|VNC|VIRTUAL_?NON\w*|MAT_(REMOVED|MODIFIED)\w*|MULTI_?ENERGY|GSI\w*|SBI\w*"
)
"""Words of one that is made of several energies, and is in Hounsfield units only where it says so."""
_XRAY_3D = "1.2.840.10008.5.1.4.1.1.13.1."
"""Reconstructions of an angiographic or dental device, and tomosynthesis."""
_CONE_BEAM = re.compile(r"\bCBCT\b|\bCONE[ _-]?BEAM|DYNACT|XPERCT", re.IGNORECASE)
_CONE_DEVICES = re.compile(
    r"\bCBCT|on-board imager|\bobi\b|\bxvi\b|\bartis|allura|azurion|i-cat|newtom|promax|orthophos|galileos"
    r"|accuitomo|veraview|o-arm|halcyon",
    re.IGNORECASE,
)
"""Devices whose CT is one of a cone beam."""
_KEEP = "; its values are not taken for Hounsfield units."


def localizer(one: Slice) -> bool:
    """Whether a slice is a projection to plan on."""
    return "LOCALIZER" in one.frame.marks.image_type[2:3]


def unit_of(slices: tuple[Slice, ...]) -> tuple[str, str]:
    """The unit as stated, else Hounsfield for CT that is rescaled; and why it is none of CT.

    A rescale that is not sound has no unit, whatever its type says.
    """
    middle = slices[len(slices) // 2]
    image, frame = middle.image, middle.frame
    if any(s.image.unsound_lut or s.frame.doubt for s in slices):
        return "", "The file's rescale is not sound" + _KEEP
    stated = image.lut_type if image.lut is not None else frame.rescale_type
    if image.modality == "CT" and stated.upper() in ("", "HU"):
        return _of_ct(middle, stated)
    if stated:
        return _NAMED.get(stated.upper(), stated), ""
    return (image.units, "") if image.modality == "PT" and image.units else ("", "")


def _of_ct(middle: Slice, stated: str) -> tuple[str, str]:
    """Hounsfield units, or why not, of CT that states these or nothing."""
    image, words = middle.image, middle.frame.marks.image_type[2:]
    named = next((word for word in words if _MAPS.fullmatch(word)), None)
    if named is not None:
        return "", f"By its image type ({named}) this is a map of something else" + _KEEP
    if middle.frame.rescale is None and image.lut is None:
        return "", ""
    if stated:
        return "HU", ""
    spectral = next((word for word in words if _SPECTRAL.fullmatch(word)), None)
    if spectral is not None:
        return (
            "",
            f"By its image type ({spectral}) this is made of several energies, and states no unit" + _KEEP,
        )
    cone = _cone_beam(middle)
    if cone:
        return "", f"This is a cone-beam CT by its {cone}" + _KEEP
    return ("", "") if localizer(middle) or image.lut is not None else ("HU", "")


def _cone_beam(middle: Slice) -> str:
    """By what a CT that states no unit tells that it is one of a cone beam; "" where it does not."""
    image = middle.image
    if image.sop_class.startswith(_XRAY_3D):
        return "SOP class"
    named = next((word for word in middle.frame.marks.image_type if _CONE_BEAM.search(word)), "")
    for what, found, cone in (
        ("image type", named, _CONE_BEAM),
        ("description", image.description, _CONE_BEAM),
        ("device", image.device, _CONE_DEVICES),
    ):
        if cone.search(found):
            return f"{what} (“{printable(found)}”)"
    return ""
