# SPDX-License-Identifier: Apache-2.0
"""Look-up tables: what their descriptors claim against what their entries are.

A table that says another thing than it holds is mended where there is no doubt of what it means, and
otherwise not applied; either is told with its numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewer.dicom import elements as get
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import Lut, Note, Pixels
from viewer.dicom.pixel_codecs import filled_bits

Entries = NDArray[Any]
_COLOURS = ("Red", "Green", "Blue")
_AS_TOLD = "; it is shown as a table of"


class _Unusable(Exception):  # noqa: N818 - a finding, not an error
    """Why a table is not applied: the end of a sentence about it."""


@dataclass(frozen=True, slots=True)
class Table:
    """The first table of a sequence that can be applied, its own words, and what is told of it and others."""

    lut: Lut | None
    """First input value and entries; those of a VOI table as 0…1 of what they can hold."""
    words: str = ""
    notes: tuple[Note, ...] = ()


_NONE = Table(None)


def voi_table(dataset: Dataset, little: bool, pixels: Pixels) -> Table:
    """The VOI table (PS3.3 C.11.2.1.1), its entries as 0…1."""
    items = get.items(dataset, "VOILUTSequence")
    return _first(items, "VOI table", "LUTExplanation", little, pixels) if items else _NONE


def modality_table(dataset: Dataset, little: bool, pixels: Pixels) -> Table:
    """The modality table (PS3.3 C.11.1.1), its entries as they are."""
    items = get.items(dataset, "ModalityLUTSequence")
    return _first(items, "modality table", "ModalityLUTType", little, pixels) if items else _NONE


def _first(items: Iterable[Dataset], name: str, words: str, little: bool, pixels: Pixels) -> Table:
    notes: list[Note] = []
    for item in items:
        try:
            first, entries, bits = _read(item, little, pixels, name, notes)
            if name == "VOI table":
                bits = _filled(entries, bits, pixels, name, notes)
                entries = (entries / float((1 << bits) - 1)).clip(0, 1).astype(np.float32)
            elif int(entries.max()) >> bits:
                said = (
                    f"claims {bits} bits an entry, and the largest of its {entries.size} is {entries.max()}"
                )
                notes.append((name, f"The file's {name} {said}; its entries are used as they are."))
        except _Unusable as reason:
            notes.append((name, f"The file's {name} {reason}: it is not applied."))
        else:
            return Table((first, entries), get.text(item, words), tuple(notes))
    return Table(None, notes=tuple(notes))


def _read(
    item: Dataset, little: bool, pixels: Pixels, name: str, notes: list[Note]
) -> tuple[int, Entries, int]:
    """First input value, entries and bits of an entry as the descriptor has them."""
    described = get.numbers(item, "LUTDescriptor")
    if len(described) != 3:
        raise _Unusable("has no descriptor of three numbers")
    count, first, bits = (int(v) for v in described)
    count = count % 65_536 or 65_536  # 0 means 65 536, and a signed reading of the count is negative
    if pixels.signed and first > 32_767:
        first -= 65_536
    if not 1 <= bits <= 16:
        raise _Unusable(f"claims {bits} bits an entry")
    entries = _entries(item, count, little)
    if not entries.size:
        raise _Unusable("has no entries")
    if entries.size != count and entries.size == 1 << pixels.stored:
        said = (
            f"The file's {name} claims {count} entries and holds {entries.size}, one for each value that can "
        )
        notes.append((name, f"{said}be stored; all are used."))
        count = entries.size
    if entries.size < count:
        raise _Unusable(f"claims {count} entries and holds {entries.size}")
    if entries.size > count + 1:  # one may be padding
        said = f"The file's {name} holds {entries.size} entries; the {count} that it claims are used."
        notes.append((name, said))
    entries = entries[:count].astype(np.uint16)
    if count > 1 and entries.min() == entries.max():
        raise _Unusable(f"makes {entries[0]} of every value ({count} entries)")
    return first, entries, bits


def _entries(item: Dataset, count: int, little: bool) -> Entries:
    """All numbers that a table holds, of 8 or of 16 bits."""
    raw, order = get.value(item, "LUTData"), "<" if little else ">"
    if not isinstance(raw, bytes):
        words = np.asarray(get.numbers(item, "LUTData"), dtype=np.int64).astype(f"{order}u2")
        if not words.size < count <= 2 * words.size:
            return words
        raw = words.tobytes()  # two entries of 8 bits to a word
    if len(raw) < 2 * count and len(raw) in (count, count + 1):
        return np.frombuffer(raw, "u1")
    return np.frombuffer(raw[: len(raw) // 2 * 2], f"{order}u2")


def _filled(entries: Entries, claimed: int, pixels: Pixels, name: str, notes: list[Note]) -> int:
    """The bits that the entries of a VOI table fill; raises `_Unusable` where that is in doubt."""
    largest = int(entries.max())
    bits = filled_bits(largest, claimed, pixels.stored)
    if bits == claimed:
        return bits
    said = f"claims {claimed} bits an entry, and the largest of its {entries.size} entries is {largest}"
    if bits is None:
        raise _Unusable(said)
    notes.append((name, f"The file's {name} {said}{_AS_TOLD} {bits} bits."))
    return bits


# --- palettes -----------------------------------------------------------------------------------------


def with_palette(dataset: Dataset, pixels: Pixels, little: bool) -> Pixels:
    """The pixels of a palette with what is told of that; as grey levels where it shows one colour alone."""
    tables, claimed = [], 16
    for colour in _COLOURS:
        described = get.numbers(dataset, f"{colour}PaletteColorLookupTableDescriptor")
        raw = get.value(dataset, f"{colour}PaletteColorLookupTableData")
        if len(described) != 3 or not isinstance(raw, bytes) or not raw:
            return pixels  # segmented, or damaged, which the decoder finds
        count, claimed = int(described[0]) % 65_536 or 65_536, int(described[2])
        wide = len(raw) >= 2 * count
        entries = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2" if little else ">u2")
        tables.append(entries[:count] if wide else np.frombuffer(raw, "u1")[:count])
    if all(len(one) > 1 and one.min() == one.max() for one in tables):
        said = "The file's palette makes one colour of every value: it is not applied, and values are grey."
        return replace(pixels, photometric="MONOCHROME2", notes=(*pixels.notes, ("palette", said)))
    largest = max(int(one.max()) for one in tables)
    bits = filled_bits(largest, claimed, 8)
    if bits is None or bits == claimed or claimed not in (8, 16):
        return pixels
    said = f"The file's palette claims {claimed} bits an entry, and its largest entry is {largest}"
    return replace(pixels, notes=(*pixels.notes, ("palette", f"{said}{_AS_TOLD} {max(bits, 8)} bits.")))
