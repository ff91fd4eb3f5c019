# SPDX-License-Identifier: Apache-2.0
"""Guided Grad-CAM."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from viewer.explain import (
    CLOSED,
    Cost,
    Explainer,
    Model,
    Peer,
    Probe,
    Scored,
    explainer,
    model_layer,
    no_layer,
    of_captum,
    unseen,
)


class _Guided(TorchFunctionMode):
    """Lets no negative gradient through a ReLU: a module, a function or a method, in place or not."""

    guided = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in ("relu", "relu_") and result.requires_grad:
            result.register_hook(lambda gradient: gradient.clamp(min=0))
            self.guided += 1
        return result


@dataclass(frozen=True)
class GuidedGradCAM(Explainer):
    """Guided backpropagation times the positive part of Grad-CAM, enlarged linearly."""

    layer: str | None = None

    name = "guided-grad-cam"
    title = "Guided Grad-CAM (research)"
    contribution = False
    family = "gradient"
    paper = "Selvaraju et al., Grad-CAM, ICCV 2017; Springenberg et al., arXiv:1412.6806, 2014"
    shows = "Edges of the image within the region of Grad-CAM; for research on methods only."
    cost = Cost("1 + 1, shared with the prediction", "2 for all labels")
    caution = (
        "Does not depend on the weights: guided backpropagation looks the same with the upper layers drawn "
        "at random (Adebayo et al., NeurIPS 2018). It redraws edges, whatever the network learnt."
    )
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"

    def unsuitable(self, model: Model) -> str | None:
        if model.closed:
            return CLOSED
        if "rectified" not in model.structure.traits:
            return "This network has no ReLU, which guided backpropagation would guide."
        return no_layer(model)

    def compute(self, probe: Probe) -> Tensor:
        layer = model_layer(self, probe.model)
        cam = explainer("grad-cam")(layer).compute(probe)  # type: ignore[call-arg]
        assert isinstance(cam, Tensor)  # a CAM gives nothing else
        cam = cam.clamp(min=0)  # of a label for which it is nowhere positive the map is zero
        modes = {2: "bilinear", 3: "trilinear"}
        sides = probe.x.shape[2:]
        large = F.interpolate(cam.to(probe.x.dtype), sides, mode=modes[len(sides)], align_corners=False)
        result = probe.x.new_zeros(len(probe.targets), len(probe.inputs), *sides)
        with _Guided():
            for part in probe.sweep(
                1, lambda n, *_: probe.x[n : n + 1], "guided backpropagation", gradients=True
            ):
                assert part.gradients is not None
                result[:, part.n] = part.gradients[:, 0].sum(1) * large[:, part.n]
        return result

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        def fault(net: Scored, _theirs: Tensor) -> str:
            with _Guided() as mode:
                net(net.leaf())
            return unseen(net, mode.guided, (nn.ReLU,), _FAULT)

        layer, mode = model_layer(self, probe.model), "bilinear" if probe.x.ndim == 4 else "trilinear"
        return (of_captum(probe, "GuidedGradCam", fault=fault, layer=layer, interpolate_mode=mode),)


_FAULT = (
    "captum's guided backpropagation guides modules only, and of the {steps} ReLUs that this network runs "
    "{missed} are functions, or a module used again."
)
