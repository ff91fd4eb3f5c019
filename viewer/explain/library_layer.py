# SPDX-License-Identifier: Apache-2.0
"""Methods of libraries that explain at a layer: the maps of grad-cam, and captum's sums along a path."""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, final

import numpy as np
import torch
from annotated_types import Interval
from torch import Tensor, nn

from viewer.errors import ExplainerError
from viewer.explain.baseline import Baseline, baselines
from viewer.explain.cam import no_layer, refuse_blank
from viewer.explain.explainer import Cost, Explainer, Family, model_layer
from viewer.explain.gradient import completeness_error
from viewer.explain.layers import resolve
from viewer.explain.library import Lent, tapped
from viewer.explain.probe import Probe
from viewer.explain.values import Values
from viewer.models import Model
from viewer.types import Tip

_ROUNDING = 1e-5
"""Of the channels' sizes: a sum over them that is smaller is a sum of rounding errors."""


@dataclass(frozen=True)
class LibraryCAM(Explainer):
    """A map of the grad-cam package, up to its picture: before it cuts off below zero and scales.

    `peer` makes the package's object; one input and one target at a time, each with a forward of its own.
    """

    layer: str | None = None

    family: ClassVar[Family] = "CAM"
    library: ClassVar[str] = "grad-cam"
    cost: ClassVar[Cost] = Cost("1 per label", "1 from the layer upward per label")
    cells: ClassVar[int | None] = None
    """How many cells a layer may have where the package forms a matrix of cells by cells."""
    cut: ClassVar[bool] = True
    """Whether the gradient may end at the layer."""

    def unsuitable(self, model: Model) -> str | None:
        reason = no_layer(model)
        if reason is not None or self.cells is None:
            return reason
        layer = model.structure.layer(resolve(model, self.layer))
        count = 1 if layer is None else int(np.prod(layer.grid))
        if count <= self.cells:
            return None
        return (
            f"The layer has {count} cells, and grad-cam forms a matrix of cells by cells; choose a deeper "
            f"layer, of at most {self.cells}."
        )

    @final
    def compute(self, probe: Probe) -> Tensor:
        layer = model_layer(self, probe.model)
        rows = range(len(probe.targets) if self.target_dependent else 1)
        parts = [[probe.part(n, [row]) for n in range(len(probe.inputs))] for row in rows]
        probe.expect(len(parts) * len(probe.inputs), f"running {self.title}")
        maps = torch.stack([torch.stack([self._map(one, layer) for one in some]) for some in parts])
        if not bool(maps.any()):
            raise ExplainerError(
                f"{self.title} is blank at the layer {layer!r}: behind it only the class token (or a dead "
                "activation) feeds the output, or it is the same everywhere; choose an earlier layer."
            )
        return maps

    def _map(self, one: Probe, layer: str) -> Tensor:
        """The map (…grid) of the one target of the one input."""
        with tapped(one, layer, self.cut) as tap, torch.set_grad_enabled(self.target_dependent):
            cam = self.peer(Lent(one, self.numbers(one), self.cut), tap)
            base = getattr(cam, "base_cam", cam)
            image, kept = base.get_cam_image, []

            def keep(*arguments: Any) -> Any:
                with self.drawing():
                    kept.append(self.turned(np.array(image(*arguments)), *arguments[3:5]))
                return kept[0]

            base.get_cam_image = keep
            base.get_target_width_height = lambda _input: None  # its picture is not wanted, so not enlarged
            try:
                self.explained(cam, one)
            finally:
                seen = base.activations_and_grads
                seen.activations, seen.gradients = [], []  # some of which it could not detach
                seen.release()
        return torch.as_tensor(kept[0][0])

    @abstractmethod
    def peer(self, module: nn.Module, layer: nn.Module) -> Any:
        """The package's object for a module and a layer of it."""

    def numbers(self, one: Probe) -> Callable[[Tensor], Tensor] | None:
        """What the module makes of the logits; None for the score of the one target, (m, 1)."""
        return None

    def explained(self, cam: Any, one: Probe) -> None:
        """Run the package's object for the one input."""
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        cam(one.x.clone(), [ClassifierOutputTarget(0)])

    def turned(self, image: Any, activations: Any, gradients: Any) -> Any:
        """The package's map, (1, …grid), of what it saw, (1, channels, …grid), where the sign is open."""
        return image

    def drawing(self) -> AbstractContextManager[object]:
        """What is around the package as it makes the map of activations and gradients."""
        return nullcontext()


@dataclass(frozen=True)
class LibraryPath(Explainer):
    """A method of captum that adds up what a layer does on the straight way from a baseline to the image.

    One input, one baseline and one target at a time; `chunk` places of the way at once, where captum by
    itself takes all. Its values are summed over the channels.
    """

    layer: str | None = None
    steps: Annotated[
        int,
        Interval(ge=2, le=1000),
        Tip("Places on the way from the baseline to the image", "nearer to the exact sum, and takes longer"),
    ] = 50
    rule: Annotated[
        Literal["gausslegendre", "riemann_trapezoid", "riemann_left", "riemann_middle", "riemann_right"],
        Tip("Where on the way the places lie, and how they are weighted"),
    ] = "gausslegendre"
    baseline: Baseline = "minimum"
    chunk: Annotated[int, Interval(ge=2, le=512), Tip("Images that run at once", "needs more memory")] = 10

    family: ClassVar[Family] = "gradient"
    library: ClassVar[str] = "captum"
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"
    adds_up: ClassVar[bool] = False
    """Whether the values add up to the change of the score where all of it passes the layer."""

    def unsuitable(self, model: Model) -> str | None:
        return no_layer(model)

    @final
    def compute(self, probe: Probe) -> Values:
        layer = model_layer(self, probe.model)
        starts = baselines(probe, self.baseline)
        if self.adds_up:
            looking = "looking at the baselines"
            gap = probe.before - probe.scores(len(starts), lambda n, a, b: starts[a:b, n], looking).mean(2)
        inputs, rows = range(len(probe.inputs)), range(len(probe.targets))
        probe.expect(self.forwards() * len(starts) * len(inputs) * len(rows), "going from baseline to image")
        parts = [[self._mean(probe.part(n, [row]), layer, starts[:, n]) for n in inputs] for row in rows]
        refuse_blank(torch.stack([own for some in parts for own in some]), layer)
        maps = torch.stack([torch.stack([own.sum(0) for own in some]) for some in parts])
        size = max(float(own.abs().sum(0).max()) for some in parts for own in some)
        if float(maps.abs().max()) <= _ROUNDING * size:
            raise ExplainerError(
                f"At the layer {layer!r} the channels cancel, as they do before a normalisation that takes "
                "away what they have in common: their sum is rounding error; choose another layer."
            )
        error = completeness_error(maps.flatten(2).sum(2), gap) if self.adds_up else None
        return Values(maps, error, starts)

    def _mean(self, one: Probe, layer: str, starts: Tensor) -> Tensor:
        """Over the baselines, (baselines, channels, …), the mean of the one target, (channels, …grid)."""
        with tapped(one, layer) as tap:
            peer = self.peer(Lent(one, cut=True), tap)
            every = [
                peer.attribute(
                    one.x.clone(), start[None], target=0, n_steps=self.steps, method=self.rule,
                    internal_batch_size=self.chunk,
                )
                for start in starts
            ]  # fmt: skip
        return torch.stack(every).mean(0)[0].detach()

    @abstractmethod
    def peer(self, module: nn.Module, layer: nn.Module) -> Any:
        """captum's object for a module and a layer of it."""

    @abstractmethod
    def forwards(self) -> int:
        """How many forwards one way takes."""
