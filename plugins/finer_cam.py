# SPDX-License-Identifier: Apache-2.0
"""Finer-CAM, by the grad-cam package."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from viewer.explain import ExplainerError, Interval, LibraryCAM, Model, Probe, Tip


@dataclass(frozen=True)
class FinerCAM(LibraryCAM):
    """Grad-CAM of a label's logit less those of the labels whose logits are nearest.

    Each difference counts by the other label's share in a softmax.
    """

    others: Annotated[
        int,
        Interval(ge=1, le=100),
        Tip("Labels to compare with, those of the nearest logits", "also less similar labels"),
    ] = 3
    strength: Annotated[
        float,
        Interval(ge=0, le=10),
        Tip(
            "How much of the others' logits is taken off, as a factor",
            "only what tells the labels apart is left",
            "Grad-CAM of the label alone",
        ),
    ] = 1.0

    name = "finer-cam"
    title = "Finer-CAM"
    contribution = True
    paper = "Zhang et al., Finer-CAM: spotting the difference reveals finer details, CVPR 2025"
    shows = "Places that speak for a label rather than for the labels most like it."
    caution = (
        "It shows a difference: what speaks for the label and for its neighbours alike is left out. Which "
        "labels are compared, and how much each counts, is read off a softmax over all logits, and means "
        "little where labels do not exclude each other. It has Grad-CAM's averaged weights, which may "
        "colour places that the network did not use (Draelos & Carin, arXiv:2011.08891, 2020)."
    )

    def unsuitable(self, model: Model) -> str | None:
        if len(model.labels) < 2:
            return "This network gives one logit, and Finer-CAM compares a label's with those of others."
        return super().unsuitable(model)

    def peer(self, module: nn.Module, layer: nn.Module) -> Any:
        from pytorch_grad_cam import FinerCAM as Peer

        return Peer(module, [layer])

    def numbers(self, one: Probe) -> Callable[[Tensor], Tensor] | None:
        target = one.targets[0][0]
        if target.minus_index is not None:
            raise ExplainerError("Finer-CAM is a difference by itself; ask for one label, not for two.")
        labels = [replace(target, label=label, index=i) for i, label in enumerate(one.model.labels)]

        def logits(output: Tensor) -> Tensor:
            found = torch.stack([one.score(output, label) for label in labels], 1)
            if bool((found == found[:, target.index, None]).sum() > len(found)):
                raise ExplainerError(
                    "Another label has exactly the same logit, so that grad-cam, which takes the nearest as "
                    "the label itself, does not tell which is explained."
                )
            return found

        return logits

    def explained(self, cam: Any, one: Probe) -> None:
        nearest = list(range(1, 1 + min(self.others, len(one.model.labels) - 1)))
        own = one.targets[0][0].index
        cam(one.x.clone(), alpha=self.strength, comparison_categories=nearest, target_idx=own)
