"""Features: parts of the image that are removed together, superpixels or the boxes of a grid."""

from typing import Literal

import torch
from torch import Tensor

Features = Literal["superpixels", "grid"]
"""Parts of like intensity (SLIC) of the image as the network is shown it, or boxes of one size."""

_COMPACTNESS = (0.1, 0.3, 1.0)
"""How much SLIC minds distance beside intensity between 0 and 1: in an image of much noise parts of like
intensity are scattered, and all but a few run together, so that distance must count for more."""


def features(x: Tensor, kind: Features, count: int, within: Tensor | None = None) -> Tensor:
    """The number of the feature of every pixel of one sample (channels, …spatial), about `count` of them.

    Numbers are 0, 1, … without a gap, and −1 outside of `within`. SLIC: Achanta et al., TPAMI 2012.
    """
    inside = torch.ones(x.shape[1:], dtype=torch.bool, device=x.device) if within is None else within
    place = inside.nonzero()
    low, high = place.amin(0).tolist(), (place.amax(0) + 1).tolist()
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    # The box around a region is cut so finely that the region alone has about as many features.
    wanted = max(1, round(count * inside[box].numel() / len(place)))
    sides = [b - a for a, b in zip(low, high, strict=True)]
    own = inside[box]
    for _ in range(4):  # in a small box SLIC makes more pieces than it is asked for
        found = _grid(sides, wanted) if kind == "grid" else _superpixels(x[:, *box], wanted)
        numbers = torch.unique(found.to(x.device)[own], return_inverse=True)[1]
        if int(numbers.max()) < 1.5 * count:
            break
        wanted = max(1, wanted // 2)
    result = torch.full(inside.shape, -1, device=x.device)
    result[box] = result[box].masked_scatter(own, numbers)
    return result


def _grid(sides: list[int], count: int) -> Tensor:
    """Boxes as nearly cubic as whole numbers of them allow."""
    size = (torch.tensor(sides).prod() / count) ** (1 / len(sides))
    result = torch.zeros(sides, dtype=torch.long)
    for axis, side in enumerate(sides):
        boxes = min(side, max(1, round(side / float(size))))
        along = torch.arange(side) * boxes // side
        result = result * boxes + along.reshape([-1 if a == axis else 1 for a in range(len(sides))])
    return result


def _superpixels(x: Tensor, count: int) -> Tensor:
    # Imported here: it is only needed by two methods.
    from skimage.segmentation import slic

    image = x.detach().float().movedim(0, -1).cpu().numpy()
    for compactness in _COMPACTNESS:
        found = slic(
            image,
            count,
            compactness,
            start_label=0,
            channel_axis=-1,
            convert2lab=False,
            enforce_connectivity=True,
        )
        if 2 * (int(found.max()) + 1) > count:
            break
    return torch.as_tensor(found, dtype=torch.long)
