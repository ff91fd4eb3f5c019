# SPDX-License-Identifier: Apache-2.0
"""The b-value and the gradient of an image, as the standard or the maker's private elements give them."""

from typing import NamedTuple

import numpy as np

from viewer.dicom import elements as get
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import Vector


class _Element(NamedTuple):
    """A private element: who made it, its group, its number in the block, and its binary type or ""."""

    maker: str
    creator: str
    group: int
    number: int
    kind: str


_SIEMENS = _Element("SIEMENS", "SIEMENS MR HEADER", 0x0019, 0x0C, "")
_PHILIPS = _Element("PHILIPS", "Philips Imaging DD 001", 0x2001, 0x03, "f")
_GE = _Element("GE", "GEMS_PARM_01", 0x0043, 0x39, "")
_FLAGGED = 1_000_000_000
"""GE adds multiples of it to a b-value, as flags."""
_GRADIENTS = (
    (_Element("SIEMENS", "SIEMENS MR HEADER", 0x0019, 0x0E, "d"),),
    tuple(_Element("PHILIPS", "Philips MR Imaging DD 001", 0x2005, n, "f") for n in (0xB0, 0xB1, 0xB2)),
    tuple(_Element("GE", "GEMS_ACQU_01", 0x0019, n, "") for n in (0xBB, 0xBC, 0xBD)),
)


def b_value(dataset: Dataset, private: bool = True) -> float | None:
    """The b-value in s/mm² of a data set or an MR Diffusion Sequence item; None where not stated."""
    found = get.number(dataset, "DiffusionBValue")
    for element in (_SIEMENS, _PHILIPS, _GE) if private else ():
        if found is None:
            values = _private(dataset, element)
            found = values[0] if values else None
            if found is not None and element is _GE:
                found %= _FLAGGED
    return found if found is not None and 0 <= found < 1e6 else None


def gradient(dataset: Dataset, private: bool = True) -> Vector | None:
    """The direction of the diffusion gradient in LPS (a maker's own axes where private), or None."""
    direction = next(iter(get.items(dataset, "DiffusionGradientDirectionSequence")), dataset)
    found = get.numbers(direction, "DiffusionGradientOrientation")
    for elements in _GRADIENTS if private else ():
        if len(found) != 3:
            found = tuple(v for element in elements for v in _private(dataset, element))
    if len(found) != 3 or not 0.5 < float(np.linalg.norm(found)) < 1.5:
        return None
    return (found[0], found[1], found[2])


def _private(dataset: Dataset, element: _Element) -> tuple[float, ...]:
    """The numbers of a private element, () where it is absent."""
    value = get.private(dataset, element.group, element.creator, element.number, element.maker)
    if value is None:
        return ()
    return get.plain_numbers(value, element.kind)
