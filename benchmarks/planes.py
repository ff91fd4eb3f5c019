# SPDX-License-Identifier: Apache-2.0
"""How long a plane through a volume takes: in the grid, askew and as a slab, beside SimpleITK's Resample.

The volume is 500 × 512 × 512 int16 of noise; all figures are medians of CPU time on one core. SimpleITK
has no slabs: its own is the maximum of thin planes, one every half voxel.

    python benchmarks/planes.py [--runs 9] [--json]
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its own name

sys.path.insert(0, str(Path(__file__).parents[1]))

from viewer import overlay, planes
from viewer.affine import cells, scale_offset
from viewer.dicom.volume import Volume, volume
from viewer.planes import Plane
from viewer.planes.resample import resampled
from viewer.types import Display, Geometry, LoadedMap, Series

SHAPE = (500, 512, 512)
SLABS: tuple[tuple[str, float, Literal["mean", "max"]], ...] = (
    ("coronal", 20.0, "mean"), ("coronal", 20.0, "max"), ("oblique", 5.0, "max"),
    ("oblique", 20.0, "mean"), ("oblique", 20.0, "max"), ("oblique", 50.0, "max"),
)  # fmt: skip
AIMS = {"coronal": 30.0, "oblique": 150.0}
"""Milliseconds."""


def stack() -> Volume:
    """A CT-like stack of noise, 1 mm between slices of 0.7 mm pixels."""
    voxels = np.random.default_rng(0).integers(-1000, 1000, SHAPE, dtype=np.int16)
    matrix = np.zeros((4, 4))
    matrix[2, 0], matrix[1, 1], matrix[0, 2], matrix[3, 3] = 1.0, 0.7, 0.7, 1.0
    display = Display(((1.0, -24.0),) * len(voxels), "HU")
    return volume(Series("bench", "CT", voxels, Geometry(matrix, "patient", True, True), display))


def median(work: Callable[[], object], runs: int) -> float:
    """Milliseconds; the first run does not count."""
    work()
    taken = []
    for _ in range(runs):
        start = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - start))
    return statistics.median(taken)


def by_sitk(image: sitk.Image, plane: Plane) -> sitk.Image:
    """The same plane by SimpleITK."""
    way = np.stack([plane.matrix[:3, 2], plane.matrix[:3, 1], plane.normal * plane.pixel], 1) / plane.pixel
    size = [plane.shape[1], plane.shape[0], 1]
    origin = [float(v) for v in plane.matrix[:3, 3]]
    spacing = [plane.pixel, plane.pixel, 1.0]
    return sitk.Resample(
        image, size, sitk.Transform(), sitk.sitkLinear, origin, spacing,
        [float(v) for v in way.ravel()], -2000.0, sitk.sitkFloat32,
    )  # fmt: skip


def slab_by_sitk(image: sitk.Image, plane: Plane, step: float) -> np.ndarray:
    """The maximum of a slab by SimpleITK."""
    result = np.full(plane.shape, -2000.0, np.float32)
    depths = np.linspace(-plane.thickness / 2, plane.thickness / 2, round(plane.thickness / step) + 1)
    for depth in depths:
        behind = replace(plane, matrix=plane.matrix @ scale_offset((1, 1, 1), (depth, 0, 0)))
        np.maximum(result, sitk.GetArrayFromImage(by_sitk(image, behind))[0], out=result)
    return result


def measure(runs: int) -> dict[str, dict[str, float]]:
    """Milliseconds by plane: ours, SimpleITK's, and of a map of 64 × 64 × 64 cells."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    shown = stack()
    image = sitk.GetImageFromArray(shown.voxels)
    image.SetSpacing([0.7, 0.7, 1.0])
    map = LoadedMap(np.ones((64, 64, 64), np.float32), cells((64, 64, 64), SHAPE), "u", shown.series, "map")
    middle = planes.middle(shown.series)
    views = {str(name): planes.through(shown.series, name, middle) for name in planes.ORIENTATIONS[:3]}
    views["oblique"] = planes.oblique(shown.series, middle, (0.5, 0.7, 0.4), (0.0, 0.0, 1.0))
    result: dict[str, dict[str, float]] = {}
    for name, plane in views.items():
        result[name] = {
            "ours": median(partial(resampled, shown, plane), runs),
            "SimpleITK": median(partial(by_sitk, image, plane), runs),
            "map": median(partial(overlay.on_plane, map, plane), runs),
        }
    few = max(1, runs // 3)
    for name, thickness, how in SLABS:
        slab = replace(views[name], thickness=thickness)
        row = {"ours": median(partial(resampled, shown, slab, how), few)}
        if how == "max" and thickness <= 20:
            step = slab.step(shown.series) / 2
            row["SimpleITK"] = median(partial(slab_by_sitk, image, slab, step), few)
        result[f"{name}, {thickness:.0f} mm {how}"] = row
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.runs)
    if given.json:
        ratios = {n: AIMS[n] / found[n]["ours"] for n in AIMS}
        print(json.dumps({"milliseconds": found, "aims": AIMS, "times_faster_than_aim": ratios}))
        return
    print(f"{'plane':<22}{'ours':>10}{'SimpleITK':>12}{'map':>10}{'aim':>8}   ms")
    for name, row in found.items():
        figures = [f"{row[k]:.1f}" if k in row else "" for k in ("ours", "SimpleITK", "map")]
        aim = f"{AIMS[name]:.0f}" if name in AIMS else ""
        print(f"{name:<22}{figures[0]:>10}{figures[1]:>12}{figures[2]:>10}{aim:>8}")


if __name__ == "__main__":
    main()
