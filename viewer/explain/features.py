# SPDX-License-Identifier: Apache-2.0
"""Features: parts of the image that are removed together, superpixels, the boxes of a grid, or segments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Interval
from torch import Tensor

from viewer.errors import ExplainerError
from viewer.explain.explainer import Explainer, Family
from viewer.explain.probe import Probe
from viewer.explain.values import Values
from viewer.types import Resolution, Tip, distinct

Cut = Literal["superpixels", "grid"]
Features = Literal["superpixels", "grid", "segments"]
"""Parts of like intensity (SLIC) of the image as the network is shown it, boxes of one size, or what
segmentations mark."""

REST = "the rest"
"""The feature that is all which no segment covers."""

PARTS_TIP = Tip(
    "About how many parts the image, or the region, is cut into; segments are as many as they are",
    "finer parts, more of them to try, each with less effect",
)

PARTS = {"superpixels": "superpixel", "grid": "box", "segments": "segment"}
"""What a reader calls one feature."""

_COMPACTNESS = (0.1, 0.3, 1.0)
"""How much SLIC minds distance beside intensity between 0 and 1: in an image of much noise parts of like
intensity are scattered, and all but a few run together, so that distance must count for more."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One input as features: the number of that of every pixel, (…spatial), and their names, if any.

    Numbers are 0, 1, … without a gap, and −1 where the image may not be changed.
    """

    numbers: Tensor
    count: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class OverFeatures(Explainer):
    """A method whose unit is a feature: what is removed together, and gets one value.

    With "segments" each of the reader's regions is one, what several of them cover is one for each
    combination ("liver & tumour"), and what none covers is one more ("the rest"): every pixel that may be
    changed belongs to exactly one. A region that does not lie on the input has none.
    """

    features: Annotated[int, Interval(ge=2, le=5000), PARTS_TIP] = 60
    over: Annotated[
        Features,
        Tip(
            "What is removed together: parts of like intensity, boxes of a grid, or the study's segments; "
            "each gets one value"
        ),
    ] = "superpixels"

    family: ClassVar[Family] = "perturbation"
    counted: ClassVar[str] = "features"
    """What the reader is told the number of."""
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"

    def parts(self, probe: Probe) -> list[Parts]:
        """Every input of a batch as features; `ExplainerError` where there are no segments to be had."""
        return [self._parts(probe, n) for n in range(len(probe.inputs))]

    def _parts(self, probe: Probe, n: int) -> Parts:
        within = probe.within(n)
        if self.over != "segments":
            numbers = features(probe.x[n], self.over, self.features, within)
            return Parts(numbers, int(numbers.max()) + 1)
        if not probe.regions:
            raise ExplainerError(
                "No segmentation lies on this series, so that there are no segments to take as features; "
                "name a SEG file with --features."
            )
        everywhere = torch.ones(probe.x.shape[2:], dtype=torch.bool, device=probe.x.device)
        return segments(probe.segments(n), everywhere if within is None else within)

    def mapped(
        self,
        probe: Probe,
        parts: Sequence[Parts],
        values: Sequence[Tensor],
        covers: Tensor,
        groups: Sequence[Tensor] | None = None,
    ) -> Values:
        """For every input the values (targets, features) at each pixel of their feature, as `compute` gives.

        `covers` is what the image was compared with. Where the values are those of groups, `groups` says for
        every feature in which it is: they share the value evenly, and are named together ("liver, spleen").
        """
        groups = [torch.arange(some.count) for some in parts] if groups is None else groups
        maps: list[Tensor] = []
        named: list[dict[str, Tensor]] = []
        for some, own, group in zip(parts, values, groups, strict=True):
            each = (own / group.bincount().to(own))[:, group.to(own.device)]
            maps.append(each[:, some.numbers.clamp(min=0)])
            members: list[list[str]] = [[] for _ in own.T]
            for name, number in zip(some.names, group.tolist(), strict=False):
                members[number].append(name)
            words = distinct(", ".join(names) for names in members)
            named.append(dict(zip(words, own.T, strict=True)) if some.names else {})
        grouped = any(int(group.bincount().max()) > 1 for group in groups)
        counts = torch.tensor([[own.shape[1] for own in values]] * len(probe.targets))
        return Values(
            probe.limited(torch.stack(maps, 1)),
            baselines=covers,
            found={self.counted: counts},
            features=named if any(named) else (),
            resolution=Resolution(f"group of {self.over}" if grouped else PARTS[self.over]),
        )


def segments(masks: Iterable[tuple[str, Tensor]], within: Tensor) -> Parts:
    """Named masks (…spatial) as features, one for each combination of masks that some pixel is in.

    They stand in the order of the masks, those of several after the first of these, and what lies in none
    at the end. Raises `ExplainerError` where no pixel of `within` is in any.
    """
    # Only the pixels of one mask after the other are looked at: a volume may have a hundred.
    codes = torch.zeros(within.numel(), dtype=torch.long, device=within.device)
    names: list[str] = []
    made: list[tuple[int, ...]] = [()]
    for i, (name, mask) in enumerate(masks):
        names.append(name)
        inside = (mask & within).flatten().nonzero()[:, 0]
        own, place = torch.unique(codes[inside], return_inverse=True)
        codes[inside] = place + len(made)
        made += [(*made[code], i) for code in own.tolist()]
    codes = codes.reshape(within.shape)
    left = torch.unique(codes[within]).tolist()
    if left == [0]:
        where = "" if bool(within.all()) else ", where that may be changed"
        raise ExplainerError(f"No segment lies on what the model was shown{where}.")
    left.sort(key=lambda code: (not made[code], made[code]))
    number = torch.full((len(made),), -1, device=within.device)
    number[left] = torch.arange(len(left), device=within.device)
    words = distinct(" & ".join(names[i] for i in made[code]) or REST for code in left)
    return Parts(number[codes].masked_fill(~within, -1), len(left), words)


def features(x: Tensor, kind: Cut, count: int, within: Tensor | None = None) -> Tensor:
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
