# SPDX-License-Identifier: Apache-2.0
"""Standardised uptake values by body weight, where a PET file holds all that they follow from.

PS3.3 C.8.9.1 with the vendor-neutral computation of QIBA: SUVbw [g/ml] = activity [Bq/ml] × weight [g] ÷
injected dose [Bq], the dose decayed to the moment to which the scanner corrected the activity.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from viewer.dicom import elements as get
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import Pet
from viewer.dicom.frames import moment
from viewer.dicom.placing import group

_ENHANCED = "1.2.840.10008.5.1.4.1.1.130"
_CONVERTED = "1.2.840.10008.5.1.4.1.1.128.1"
"""Legacy Converted Enhanced PET: the elements of the single images are kept in two sequences."""
_SUV_TYPES = {
    "": "SUVbw",
    "BW": "SUVbw",
    "LBM": "SUVlbm",
    "LBMJAMES128": "SUVlbm",
    "LBMJANMA": "SUVlbm",
    "IBW": "SUVibw",
}
_MAPPED = {
    "BQ/ML": "",
    "G/ML{SUVBW}": "SUVbw",
    "{SUVBW}G/ML": "SUVbw",
    "G/ML{SUVLBM}": "SUVlbm",
    "{SUVLBM}G/ML": "SUVlbm",
    "G/ML{SUVIBW}": "SUVibw",
    "{SUVIBW}G/ML": "SUVibw",
    "CM2/ML{SUVBSA}": "SUVbsa",
    "{SUVBSA}CM2/ML": "SUVbsa",
}
"""What values mapped to a unit of UCUM (PS3.16 CID 84, 85) are: SUV, or activity."""
_DAY = 86_400.0
_HALF_LIVES = 10
"""Half-lives between injection and scan beyond which there is nothing left to image: a date is wrong."""
_LONG_LIVED = 6 * 3600.0
"""Half-life from which a dose may be imaged on a later day than that of its injection."""
_LARGEST = 1e12
_HEAVIEST = 10.0
"""Grams for each becquerel injected, hundreds of times what is given: the dose is in another unit."""
_ZONE = re.compile(r"([+-])(\d{2})(\d{2})$")


class _Missing(Exception):  # noqa: N818 - a finding, not an error
    """Why a file gives no SUV: the end of a sentence."""


def pets_of(dataset: Dataset, sop_class: str, frames: int) -> tuple[Pet, ...]:
    """What each frame of a PET file (modality PT) says of SUV, or which fact is missing."""
    shared, own = _functional_groups(dataset, frames)
    if sop_class == _ENHANCED:
        return tuple(_settled(_enhanced, dataset, shared, frame) for frame in own)
    if sop_class == _CONVERTED:
        return tuple(_settled(_pet, _unconverted(dataset, shared, frame)) for frame in own)
    return (_settled(_pet, dataset),) * frames


def _settled(read: Callable[..., Pet], *of: Dataset) -> Pet:
    try:
        return read(*of)
    except _Missing as missing:
        return Pet(missing=str(missing))


def _functional_groups(dataset: Dataset, frames: int) -> tuple[Dataset, list[Dataset]]:
    shared = next(iter(get.items(dataset, "SharedFunctionalGroupsSequence")), Dataset())
    own = get.items(dataset, "PerFrameFunctionalGroupsSequence")
    return shared, [*own, *[Dataset()] * (frames - len(own))][:frames]


def suv(pets: Sequence[Pet | None]) -> tuple[tuple[float, ...], str] | str:
    """The factor from modality values to SUV of every slice, and the unit; or which fact is missing."""
    known = [pet for pet in pets if pet is not None]
    if not known or len(known) < len(pets):
        return "not every slice is of a PET file"
    missing = next((pet.missing for pet in known if pet.missing), "")
    if missing:
        return missing
    if len({pet.unit for pet in known}) > 1:
        return "the slices do not agree on what it is normalised to"
    try:
        factors = tuple(
            pet.factor * _decay(pet, start) for pet, start in zip(known, _starts(known), strict=True)
        )
    except _Missing as reason:
        return str(reason)
    if not all(0 < factor < _LARGEST for factor in factors):
        return "the weight and the dose in the file cannot both be true"
    return factors, known[0].unit


def _refuse(reason: str) -> NoReturn:
    raise _Missing(reason)


def _pet(dataset: Dataset) -> Pet:
    units = get.text(dataset, "Units").upper()
    if units == "GML":
        kind = get.text(dataset, "SUVType").upper()
        return Pet(unit=_SUV_TYPES.get(kind) or _refuse("the file's kind of SUV is not a known one"))
    if units not in ("BQML", "CNTS"):
        _refuse("the file's unit is not one of activity" if units else "the file names no unit of its values")
    correction = _corrected(dataset)
    if units == "CNTS":
        return Pet(unit="SUVbw", factor=_philips(dataset, correction))
    factor, drug = _per_dose(dataset)
    if correction == "ADMIN":  # corrected to the injection: the dose has not decayed
        return Pet(unit="SUVbw", factor=factor)
    half_life = _positive(drug, "RadionuclideHalfLife", "half-life of the radionuclide")
    injected, dated = _injected(dataset, drug, half_life)
    return Pet(
        "",
        "SUVbw",
        factor,
        half_life,
        injected,
        dated,
        begun=_moment_of(dataset, "Series"),
        acquired=_acquired(dataset),
        stated_start=_stated_start(dataset, half_life),
    )


def _per_dose(dataset: Dataset) -> tuple[float, Dataset]:
    """Weight in grams ÷ injected dose in Bq, and what else the file says of the drug."""
    weight = _positive(dataset, "PatientWeight", "patient weight")
    drugs = get.items(dataset, "RadiopharmaceuticalInformationSequence")
    if len(drugs) != 1:
        _refuse(
            "the file names " + ("more than one radiopharmaceutical" if drugs else "no radiopharmaceutical")
        )
    dose = _positive(drugs[0], "RadionuclideTotalDose", "injected dose")
    if weight * 1000 / dose > _HEAVIEST:
        _refuse("the injected dose is too small to be in becquerel")
    return weight * 1000 / dose, drugs[0]


def _enhanced(dataset: Dataset, shared: Dataset, own: Dataset) -> Pet:
    """One frame of an Enhanced PET (PS3.3 A.56): its real-world values are activity, or SUV already."""
    kind, mapped = _mapping(shared, own)
    if kind:
        return Pet(unit=kind, factor=mapped)
    for keyword, what in (("AttenuationCorrected", "attenuation"), ("DecayCorrected", "decay")):
        if get.text(dataset, keyword).upper() != "YES":
            _refuse(f"the file names no correction for {what}")
    factor, drug = _per_dose(dataset)
    half_life = _positive(drug, "RadionuclideHalfLife", "half-life of the radionuclide")
    injected, dated = _injected(dataset, drug, half_life)
    corrected_to = _local(dataset, get.text(dataset, "DecayCorrectionDateTime"))
    if corrected_to is None:
        _refuse("the file names no moment to which decay is corrected")
    return Pet("", "SUVbw", mapped * factor, half_life, injected, dated, begun=corrected_to)


def _mapping(shared: Dataset, own: Dataset) -> tuple[str, float]:
    """The kind of SUV that the values of a frame are mapped to ("" for Bq/ml), and the factor to it.

    The factor is from what the grey levels are shown in (Pixel Value Transformation) to the real-world
    value (PS3.3 C.7.6.16.2.9, C.7.6.16.2.11); where none leads there, SUV is refused.
    """
    name = "RealWorldValueMappingSequence"
    found: dict[str, Dataset] = {}
    for item in get.items(own, name) or get.items(shared, name):
        code = next(iter(get.items(item, "MeasurementUnitsCodeSequence")), Dataset())
        kind = _MAPPED.get(get.text(code, "CodeValue").upper())
        if kind is not None:
            found.setdefault(kind, item)
    if not found:
        _refuse("the file maps its values to no unit of activity")
    kind = next((k for k in ("SUVbw", "") if k in found), next(iter(found)))
    slope, intercept = (get.number(found[kind], f"RealWorldValue{k}") for k in ("Slope", "Intercept"))
    shown = group(own, shared, "PixelValueTransformationSequence")
    own_slope, own_intercept = (get.number(shown, f"Rescale{k}") for k in ("Slope", "Intercept"))
    if not slope:
        _refuse("the file gives its values by a table")
    factor = slope / (own_slope or 1.0)
    if abs((intercept or 0.0) - factor * (own_intercept or 0.0)) > 1e-6 * slope:
        _refuse("the file's real-world values do not follow its grey levels")
    return kind, factor


def _unconverted(dataset: Dataset, shared: Dataset, own: Dataset) -> Dataset:
    """What the single image said of which a frame was converted (PS3.3 A.72)."""
    found = Dataset()
    for item in (
        dataset,
        group(Dataset(), shared, "UnassignedSharedConvertedAttributesSequence"),
        group(own, Dataset(), "UnassignedPerFrameConvertedAttributesSequence"),
    ):
        found.update({tag: item.get_item(tag) for tag in item.keys() if tag.group < 0x5200})  # noqa: SIM118
    begun = get.text(group(own, shared, "FrameContentSequence"), "FrameAcquisitionDateTime")
    if begun:
        found.AcquisitionDateTime = begun
    return found


def _corrected(dataset: Dataset) -> str:
    """The moment to which decay is corrected: START or ADMIN (PS3.3 C.8.9.1.1.5)."""
    done = {word.upper() for word in get.texts(dataset, "CorrectedImage")}
    for word, what in (("ATTN", "attenuation"), ("DECY", "decay")):
        if word not in done:
            _refuse(f"the file names no correction for {what}")
    moment_named = get.text(dataset, "DecayCorrection").upper()
    if moment_named == "NONE":
        _refuse("the file's values are not corrected for decay")
    if moment_named not in ("START", "ADMIN"):
        _refuse("the file names no moment to which decay is corrected")
    return moment_named


def _philips(dataset: Dataset, correction: str) -> float:
    """The maker's factor from counts to SUV (7053,1000)."""
    found = get.plain_numbers(get.private(dataset, 0x7053, "Philips PET Private Group", 0x00, "PHILIPS"))
    if not found or not 0 < found[0] < _LARGEST:
        _refuse("the file counts, and names no factor from counts to SUV")
    if correction != "START":
        _refuse("the file's factor from counts to SUV is one for decay corrected to the scan's start")
    return found[0]


def _positive(dataset: Dataset, keyword: str, name: str) -> float:
    found = get.number(dataset, keyword)
    return found if found is not None and found > 0 else _refuse(f"the file names no {name}")


def _moment_of(dataset: Dataset, of: str) -> float | None:
    """Seconds since the beginning of the calendar of a date and time, e.g. of the series.

    An anonymised file may have no day at all; then one day stands for all of its times.
    """
    days = (get.text(dataset, f"{name}Date") for name in (of, "Series", "Acquisition", "Study"))
    time = get.text(dataset, f"{of}Time").replace(":", "")
    return moment((next(filter(None, days), "") or "00010101") + time) if time else None


def _acquired(dataset: Dataset) -> float | None:
    found = _local(dataset, get.text(dataset, "AcquisitionDateTime"))
    return _moment_of(dataset, "Acquisition") if found is None else found


def _injected(dataset: Dataset, drug: Dataset, half_life: float) -> tuple[float, bool]:
    """When the dose was injected, in seconds, and whether the file gives the day of it."""
    stated = get.text(drug, "RadiopharmaceuticalStartDateTime")
    found = _local(dataset, stated)
    if found is not None:
        return found, True
    time = get.text(drug, "RadiopharmaceuticalStartTime").replace(":", "")
    found = moment("00010101" + time)
    if found is None:
        _refuse("the file names no time of injection")
    if half_life > _LONG_LIVED:
        _refuse("the file names no day of the injection, and its radionuclide lasts for days")
    return found % _DAY, False


def _local(dataset: Dataset, stated: str) -> float | None:
    """The moment of a date and time, in the zone of the file's other times where it names its own."""
    found, own = moment(stated), _zone(stated)
    zone = _zone(get.text(dataset, "TimezoneOffsetFromUTC"))
    return found if found is None or own is None or zone is None else found - own + zone


def _zone(stated: str) -> float | None:
    """Seconds east of UTC of a date and time's end, None where it names no zone."""
    found = _ZONE.search(stated)
    if found is None:
        return None
    size = int(found[2]) * 3600.0 + int(found[3]) * 60.0
    return -size if found[1] == "-" else size


def _stated_start(dataset: Dataset, half_life: float) -> float | None:
    """The scan's start where the series time is of no use: the maker's own, or from the frame's times.

    Frame Reference Time is from the scan's start to the moment of the frame's mean activity.
    """
    private = get.private(dataset, 0x0009, "GEMS_PETD_01", 0x0D, "GE")
    text = private.decode("latin-1") if isinstance(private, bytes) else str(private or "")
    found = _local(dataset, text.strip(" \0"))
    if found is not None:
        return found
    begun = _acquired(dataset)
    reference, duration = (get.number(dataset, k) for k in ("FrameReferenceTime", "ActualFrameDuration"))
    if begun is None or not reference or not duration or reference < 0 or duration < 0:
        return None
    decay = math.log(2) / half_life
    within = decay * duration / 1000
    mean = math.log(within / -math.expm1(-within)) / decay
    return begun - reference / 1000 + mean


def _starts(pets: Sequence[Pet]) -> list[float]:
    """The moment to which each slice's decay is corrected, in seconds.

    It is the series time, unless that is later than the acquisition: then the series was derived later.
    """
    if all(pet.half_life is None for pet in pets):
        return [0.0] * len(pets)
    begun = [pet.begun for pet in pets if pet.begun is not None]
    if len(begun) == len(pets) and all(
        pet.acquired is None or start <= pet.acquired for pet, start in zip(pets, begun, strict=True)
    ):
        return begun
    stated = [pet.stated_start for pet in pets if pet.stated_start is not None]
    if len(stated) == len(pets):
        return stated
    times = [pet.acquired for pet in pets if pet.acquired is not None]
    if len(times) < len(pets):
        _refuse("the file names no time of the scan")
    return [min(times)] * len(pets)  # beds follow each other, and all are corrected to the first


def _decay(pet: Pet, start: float) -> float:
    """By how much less of the dose is left at a moment, as a factor of SUV; 1 where that is in it."""
    if pet.half_life is None or pet.injected is None:
        return 1.0
    waited = start - pet.injected if pet.dated else (start % _DAY) - pet.injected
    if waited < 0 and not pet.dated and waited + _DAY < _DAY / 2:
        waited += _DAY  # injected before midnight
    if waited < 0:
        _refuse("the injection is later than the scan")
    if waited > _HALF_LIVES * pet.half_life:
        _refuse(f"between injection and scan lie more than {_HALF_LIVES} half-lives")
    return float(2 ** (waited / pet.half_life))
