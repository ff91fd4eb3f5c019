# SPDX-License-Identifier: Apache-2.0
"""A made-up series, what a model says of it, and maps of that, without a network."""

import dataclasses
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np

from viewer import affine
from viewer.overlay import automatic_style
from viewer.types import (
    Attribution,
    BestBlock,
    Display,
    Geometry,
    Identity,
    ModelInput,
    Overlay,
    Prediction,
    Score,
    Series,
    Snapshot,
    Style,
    Swept,
    Target,
    Window,
)

NAME, NUMBER, BORN = "Zoidberg^Wilhelmina", "PID-778899", "19610412"


@dataclass(frozen=True)
class Method:
    steps: int = 32
    weird: float = float("nan")
    name: ClassVar[str] = "grad-cam"
    title: ClassVar[str] = "Grad-CAM"
    paper: ClassVar[str] = "Selvaraju et al., Grad-CAM, ICCV 2017"
    signed: ClassVar[bool] = True
    target_dependent: ClassVar[bool] = True

    def settings(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Tensor:
    def __init__(self, *shape: int) -> None:
        self.shape = shape


SCORES = (
    Score("pneumonia", 1.5, 0.82, False, 0.5),
    Score("nodule / mass", -0.4, 0.41, False, 0.6),
    Score("Erguß", -2.0, 0.12),
)


def series(shape: tuple[int, ...] = (3, 60, 80), **facts: Any) -> Series:
    voxels = (np.indices(shape[:3]).sum(axis=0) % 200).astype(np.int16)
    if len(shape) == 4:
        voxels = np.stack([voxels, voxels // 2, 200 - voxels], axis=-1).astype(np.uint8)
    who = Identity(NAME, NUMBER, BORN, "20200101")
    facts.setdefault("geometry", Geometry(np.diag([3.0, 0.7, 0.7, 1.0]), "patient", True, True))
    display = Display(((1.0, 0.0),) * shape[0], windows=(Window(100, 200, "soft"),))
    sops = tuple(f"1.2.3.{i}" for i in range(shape[0]))
    return Series(
        "1.2.3",
        "CT",
        voxels,
        display=display,
        sop_uids=sops,
        identity=who,
        description="Head ZOIDBERG",
        **facts,
    )


def predict(source: Series, slice: int | None = 1, **facts: Any) -> Prediction:
    whole_volume = slice is None
    depth = source.shape[0] if whole_volume else 1
    matrix = affine.scale_offset((1, 1, 1), (slice or 0, 0, 0)) @ affine.cells(
        (depth, 32, 32), (depth, *source.shape[1:])
    )
    shape = (1, 1, depth, 32, 32) if whole_volume else (1, 1, 32, 32)
    given = ModelInput(source, slice, Tensor(*shape), matrix)  # type: ignore[arg-type]
    facts = {"scores": SCORES, **facts}
    return Prediction(given, "Chest CNN", "3f9a12bc" * 8, "CPU", **facts)


def explain(
    said: Prediction, label: str | None = "pneumonia", values: Any = None, **facts: Any
) -> Attribution:
    if values is None:
        values = np.linspace(-0.2, 0.4, said.input.shape[0] * 16).reshape(-1, 4, 4)
    values = np.asarray(values, np.float32)
    matrix = said.input.matrix @ affine.cells(values.shape, said.input.shape)
    target = None if label is None else Target(label, [s.label for s in SCORES].index(label))
    layer = facts.pop("layer", "features.norm5")
    return Attribution(values, matrix, "logit", (said,), Method(), target, layer, **facts)


def snapshot(map: Any, slice: int = 1, style: Style | None = None, **facts: Any) -> Snapshot:
    return Snapshot(Overlay(map, style or automatic_style([map])), slice, **facts)


def block(
    source: Series,
    size: tuple[int, int, int],
    first: tuple[float, ...],
    slice: int | None = None,
    **facts: Any,
) -> Prediction:
    """What a model says of one block of this size whose first voxel is given; of a slice where one is."""
    shape = (1, 1, *size) if slice is None else (1, 1, *size[1:])
    matrix = affine.scale_offset((1, 1, 1), first)
    given = ModelInput(source, slice, Tensor(*shape), matrix)  # type: ignore[arg-type]
    return dataclasses.replace(predict(source, slice, **facts), input=given)


def sweep(source: Series, size: tuple[int, int, int], label: str = "pneumonia", **facts: Any) -> Attribution:
    """A map of blocks with half overlap; the first of them is the best."""
    steps = (max(size[0] // 2, 1), size[1] // 2, size[2] // 2)
    ends = (range(0, n - s + 1, step) for n, s, step in zip(source.shape, size, steps, strict=True))
    firsts = list(product(*ends))
    low = tuple(dataclasses.replace(score, logit=-4.0, probability=0.02) for score in SCORES)
    said = [block(source, size, first, scores=low if i else SCORES) for i, first in enumerate(firsts)]
    best = tuple(BestBlock(one.score(label), one.input.field) for one in said[:2])
    how = {"refined": True, "half_width": (0.3, 0.3, 0.3), "weighted": True}
    swept = Swept(label, len(said), len(said), size, steps, best, **{**how, **facts})
    values = np.linspace(-0.2, 0.4, 2 * 6 * 8).reshape(2, 6, 8).astype(np.float32)
    matrix = affine.cells(values.shape, source.shape)
    target = Target(label, [s.label for s in SCORES].index(label))
    return Attribution(values, matrix, "logit", tuple(said), Method(), target, "features.norm5", swept=swept)
