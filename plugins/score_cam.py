"""Score-CAM, by the grad-cam package."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from viewer.explain import Cost, Explainer, Interval, Model, Probe, model_layer, no_layer


@dataclass(frozen=True)
class ScoreCAM(Explainer):
    """Σ over channels of (softmax of the score when only that channel's place is left × activation)."""

    layer: str | None = None
    batch: Annotated[int, Interval(ge=1, le=256)] = 16

    name = "score-cam"
    title = "Score-CAM"
    family = "CAM"
    paper = "Wang et al., Score-CAM, CVPR Workshops 2020"
    shows = "Places that alone keep the score up, found by masking and not by gradients; slow."
    cost = Cost("1 per channel of the layer and label")
    unit = "activation × weight"

    def unsuitable(self, model: Model) -> str | None:
        if model.card.input.dimensions == 3:
            return "Score-CAM of the grad-cam package enlarges its masks in two dimensions only."
        return no_layer(model)

    def compute(self, probe: Probe) -> Tensor:
        # Imported here: it brings OpenCV and takes seconds.
        from pytorch_grad_cam import score_cam as package

        package.tqdm = _Quiet  # its own progress bar would go to standard error

        layer = model_layer(self, probe.model)
        activations = probe.activations(layer)
        peer = package.ScoreCAM(model=_Net(probe), target_layers=[])
        peer.batch_size = self.batch
        calls = -(-activations.shape[1] // self.batch) * len(probe.targets) * len(probe.inputs)
        probe.expect(calls, "masking channel by channel")
        rows = []
        for row in probe.targets:
            maps = []
            for n, target in enumerate(row):
                goal = [lambda output, target=target, n=n: probe.score(output[None], target, n)[0]]
                one = activations[n : n + 1]
                with torch.no_grad():
                    weights = peer.get_cam_weights(probe.x[n : n + 1], None, goal, one.cpu().numpy(), None)
                weights = torch.as_tensor(weights, dtype=one.dtype, device=one.device).reshape(-1)
                maps.append(torch.tensordot(weights, one[0], dims=1))
            rows.append(torch.stack(maps))
        return torch.stack(rows)


class _Quiet:
    """In the place of the module tqdm."""

    @staticmethod
    def tqdm(steps: Iterable[int]) -> Iterable[int]:
        return steps


class _Net(nn.Module):
    """The guarded network as the module that the package wants to call."""

    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self._call = probe.forward
        self._device = nn.Parameter(torch.empty(0, device=probe.x.device), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self._call(x)
