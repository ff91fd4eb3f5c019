# SPDX-License-Identifier: Apache-2.0
"""What "not there" means for a method that removes or fades the image, or compares it with another."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import AfterValidator
from torch import Tensor

from viewer import dicom
from viewer.errors import ExplainerError, ModelError, SeriesError
from viewer.explain.probe import Probe
from viewer.models import Model
from viewer.types import ModelInput, Tip

Made = Literal["minimum", "zero", "mean", "blur"]
"""Of the image: its lowest value per channel (air, black), zero after normalisation, its mean, a blur."""
Named = Literal["minimum", "zero", "mean", "blur", "data set", "several"]
NAMED: tuple[str, ...] = get_args(Named)

_SEVERAL: tuple[Made, ...] = ("minimum", "blur", "mean")
_MOST_BASELINES = 64
"""Baselines that a file may hold; an average over so many has long settled."""


def _known(text: str) -> str:
    if text not in NAMED and not Path(text).suffix and len(Path(text).parts) < 2:
        raise ValueError(f"it wants {', '.join(NAMED)}, or the path of an image or a .npy file, not {text!r}")
    return text


Baseline = Annotated[
    Named | str,
    AfterValidator(_known),
    Tip("What “not there” means: one made of the image, several, or the path of an image or .npy file"),
]
"""A setting of every method that has a baseline.

One of the image itself (`Made`); "data set", what the card's `explain.baseline` names, else the mean of its
normalisation; "several", the average over minimum, blur and mean; else the path of an image, prepared as
the model's input is, or of a `.npy` file of prepared pixels, ([baselines,] channels, …spatial).
"""


def baseline(x: Tensor, kind: Made) -> Tensor:
    """A baseline of the shape of `x`, (n, channels, …spatial), made of the image itself.

    "zero" in a normalised space is mean grey, not black; "blur" is a Gaussian with a standard
    deviation of a tenth of the shortest side.
    """
    spatial = tuple(range(2, x.ndim))
    match kind:
        case "minimum":
            return x.amin(spatial, keepdim=True).expand_as(x).contiguous()
        case "mean":
            return x.mean(spatial, keepdim=True).expand_as(x).contiguous()
        case "blur":
            return _blur(x, max(1.0, min(x.shape[2:]) / 10))
    return torch.zeros_like(x)


def baselines(probe: Probe, kind: str) -> Tensor:
    """What a setting of the type `Baseline` means for a batch, (baselines, n, channels, …spatial).

    A method averages over the first axis, which mostly has length 1. Where the reader gave a region, a
    baseline is the image itself outside of it. Raises `ExplainerError` where there is none to be had.
    """
    x = probe.original
    if kind in get_args(Made):
        found = baseline(x, kind)[None]  # type: ignore[arg-type]
    elif kind == "several":
        found = torch.stack([baseline(x, one) for one in _SEVERAL])
    elif kind == "data set":
        found = _of_data(probe.model, probe.inputs).to(x)
    else:
        found = _of_file(Path(kind).expanduser(), probe.model, probe.inputs).to(x)
    for n in range(len(probe.inputs)):
        mask = probe.within(n)
        if mask is not None:
            found[:, n] = torch.where(mask, found[:, n], x[n])
    return found


def over_baselines(covers: Tensor, scores: Callable[[Tensor, str], Tensor]) -> Tensor:
    """The mean over what `baselines` gave of `scores(cover, which)`, where `which` tells progress apart."""
    if len(covers) == 1:
        return scores(covers[0], "")
    every = [scores(cover, f", baseline {i + 1} of {len(covers)}") for i, cover in enumerate(covers)]
    return torch.stack(every).mean(0)


def _of_data(model: Model, inputs: tuple[ModelInput, ...]) -> Tensor:
    named, mean = model.card.explain.baseline, model.card.input.mean
    if named is not None:
        if model.folder is None:
            raise ExplainerError(
                "The model was not opened from a folder, where its card's baseline would lie."
            )
        return _of_file(model.folder / named, model, inputs)
    if mean is None:
        raise ExplainerError(
            "The card of this model names neither explain.baseline nor input.mean, so that the mean of "
            "its data set is not known."
        )
    # Normalised by the mean of the data set, that mean is zero.
    return torch.zeros((1, len(inputs), *model.input_shape))


def _of_file(path: Path, model: Model, inputs: tuple[ModelInput, ...]) -> Tensor:
    if not path.exists():
        raise ExplainerError(f"There is no baseline at {path}.")
    if path.suffix.lower() == ".npy":
        found = _pixels(path, model.input_shape)
        return found[:, None].repeat(1, len(inputs), *[1] * len(model.input_shape))
    try:
        series = dicom.scan([path]).series
    except SeriesError as error:
        raise ExplainerError(f"The baseline {path.name} cannot be used: {error}") from error
    if not series:
        raise ExplainerError(f"The baseline {path.name} holds no image that can be read.")
    one = series[0]

    def prepared(source: ModelInput) -> Tensor:
        # The same slice of a volume of as many slices, else its middle.
        same = one.shape[0] == source.series.shape[0]
        return model.prepare(one, source.slice if same else None).tensor

    try:
        return torch.cat([prepared(source) for source in inputs])[None]
    except (ModelError, SeriesError) as error:
        raise ExplainerError(f"The baseline {path.name} cannot be used: {error}") from error


def _pixels(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Prepared pixels (baselines, channels, …spatial) of a `.npy` file; nothing in it is unpickled."""
    wanted = " × ".join(map(str, shape))
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ExplainerError(f"The baseline {path.name} is no .npy file of numbers.") from error
    if not isinstance(stored, np.ndarray) or stored.dtype.kind not in "fiu":
        raise ExplainerError(f"The baseline {path.name} is no .npy file of numbers.")
    if stored.shape[-len(shape) :] != shape or stored.ndim > len(shape) + 1 or stored.size == 0:
        there = " × ".join(map(str, stored.shape))
        raise ExplainerError(f"The baseline {path.name} is {there}; the model's input is {wanted}.")
    if stored.ndim > len(shape) and len(stored) > _MOST_BASELINES:
        raise ExplainerError(
            f"The baseline {path.name} holds {len(stored)} images; at most {_MOST_BASELINES} are used."
        )
    found = np.array(stored, dtype=np.float32).reshape(-1, *shape)
    if not np.isfinite(found).all():
        raise ExplainerError(f"The baseline {path.name} holds NaN or infinity.")
    return torch.from_numpy(found)


def _blur(x: Tensor, sigma: float) -> Tensor:
    radius = round(3 * sigma)
    positions = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (positions / sigma) ** 2)
    kernel = kernel / kernel.sum()
    for axis in range(2, x.ndim):
        moved = x.movedim(axis, -1)
        flat = moved.reshape(-1, 1, moved.shape[-1])
        padded = F.pad(flat, (radius, radius), mode="replicate")
        x = F.conv1d(padded, kernel[None, None]).reshape(moved.shape).movedim(-1, axis)
    return x
