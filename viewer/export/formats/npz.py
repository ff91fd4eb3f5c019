# SPDX-License-Identifier: Apache-2.0
"""The format npz: the map as numbers."""

from pathlib import Path

import numpy as np

from viewer.export.files import whole
from viewer.export.formats.format import Format
from viewer.export.provenance import as_json, provenance
from viewer.overlay import on_source
from viewer.types import Array, Attribution, Map, Snapshot


class Arrays(Format):
    """The raw map at native resolution and on the source grid; nothing of how it was drawn."""

    name = "npz"
    suffix = ".npz"
    title = "Map as numbers (npz)"

    def write(self, snapshot: Snapshot, folder: Path, stem: str) -> str:
        name = f"{stem}{self.suffix}"
        save_npz(snapshot.overlay.map, folder / name)
        return name


def save_npz(map: Map, path: Path) -> None:
    """`map` (signed float32 on the source grid, NaN where it has no value), `native`,
    `matrix` (native cell to source voxel) and `provenance` (JSON text); read without pickles."""
    with whole(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            map=_source_map(map),
            native=np.asarray(map.values, dtype=np.float32),
            matrix=map.matrix,
            **_baselines(map),  # type: ignore[arg-type]
            provenance=np.asarray(as_json(provenance(map))),
        )


def _baselines(map: Map) -> dict[str, Array]:
    """What the image was compared with, (baselines, channels, …spatial), as the model reads it."""
    found = map.baselines if isinstance(map, Attribution) else None
    return {} if found is None else {"baselines": found}


def _source_map(map: Map) -> Array:
    """(rows, columns) of the explained slice, or (slices, rows, columns) of a volume."""
    if map.slice is not None:
        return on_source(map, map.slice)
    return np.stack([on_source(map, i) for i in range(map.series.shape[0])])
