# SPDX-License-Identifier: Apache-2.0
"""Anatomies and nodules to learn from, kept as what is cheap to combine.

A radiograph of any of a patient's nodules follows from the patient's line integrals plus the nodule's,
a CT from the patient's voxels plus the nodule's difference.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from radiograph import WATER, line_integrals
from thorax import Grid, Patient, insert

from viewer.models.prepare import Axis

CT_SHAPE = (60, 64, 80)
"""Slices, rows and columns of the volumes, of 5 × 4.25 × 4.8 mm."""
_NODULES = 4


@dataclass(frozen=True)
class Bank:
    """Some patients, each with a few nodules of which one is there at a time."""

    spacing: float
    """Millimetres between the pixels of the line integrals."""
    lines: NDArray[np.float32]
    """(patients, rows, columns): attenuation from back to front."""
    line_nodules: NDArray[np.float16]
    """(patients, nodules, rows, columns): what a nodule adds to it."""
    volumes: NDArray[np.float16]
    """(patients, slices, rows, columns) in HU."""
    volume_nodules: NDArray[np.float16]
    """(patients, nodules, slices, rows, columns): what a nodule adds to it."""

    def __len__(self) -> int:
        return len(self.lines)


def build(
    first: int,
    count: int,
    out: Path,
    say: Callable[[str], None] = print,
    spacing: float = 2.0,
    workers: int = 2,
) -> Bank:
    """Make patients `first`, `first` + 1, … with four nodules each, and keep them in `out` (.npz)."""
    made = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for one in pool.map(partial(_patient, spacing=spacing), range(first, first + count)):
            made.append(one)
            if len(made) % 20 == 0:
                say(f"anatomy {len(made)} of {count}")
    parts = [np.stack(part) for part in zip(*made, strict=True)]
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(out, *parts, spacing=spacing)
    return Bank(spacing, *parts)


def load(path: Path) -> Bank:
    """A bank that `build` kept."""
    with np.load(path) as file:
        return Bank(float(file["spacing"]), *(file[f"arr_{i}"] for i in range(4)))


def _patient(seed: int, spacing: float) -> tuple[NDArray[np.floating], ...]:
    patient, grid = Patient(seed), Grid.around(spacing)
    volume = patient.volume(grid)
    shadows, differences = [], []
    for number in range(_NODULES):
        nodule = patient.lesion(number)
        mask = insert(np.zeros(grid.shape, np.float32), grid, nodule, seed * 10 + number)
        # In the lung nearly all that a nodule displaces is lung.
        extra = mask.sum(1)[::-1] * (nodule.density - patient.lung)
        shadows.append((extra * (WATER * spacing / 1000)).astype(np.float16))
        differences.append(shrunk(mask * (nodule.density - volume), CT_SHAPE).astype(np.float16))
    lines = line_integrals(volume, spacing)
    return lines, np.stack(shadows), shrunk(volume, CT_SHAPE).astype(np.float16), np.stack(differences)


def shrunk(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The last axes made smaller just as the preparation of a model's input does it."""
    for k, n in zip(range(-len(shape), 0), shape, strict=True):
        step = values.shape[k] / n
        weights, _ = Axis(0, n, (step - 1) / 2, step).weights(values.shape[k])
        values = np.moveaxis(np.tensordot(weights, values.astype(np.float32), axes=(1, k)), 0, k)
    return values.astype(np.float32)
