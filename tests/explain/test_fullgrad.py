# SPDX-License-Identifier: Apache-2.0
"""FullGrad: the biases' gradients by hooks of their own, and a sum that is the score."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explain_nets import inputs_of, make, maps, model_of, near, one
from pytorch_grad_cam import FullGrad as Peer
from torch import Tensor, nn

from plugins.fullgrad import FullGrad, _spread
from viewer.explain import explain
from viewer.explain.biases import _bias
from viewer.models import Model
from viewer.types import Target

LABELS = [Target(label, i) for i, label in enumerate(("effusion", "mass", "nodule"))]
KINDS = ["plain CNN", "residual", "dense", "DenseNet", "3D CNN", "U-Net"]
LAST = {
    "plain CNN": "head",
    "residual": "fc",
    "dense": "classifier",
    "DenseNet": "classifier",
    "3D CNN": "head",
}


def by_hand(model: Model, label: int) -> list[np.ndarray]:
    """Input × gradient and each bias × its gradient, (…grid) each, by hooks and a plain backward."""
    (source,) = inputs_of(model)
    net, outputs = model._module, []
    handles = []
    for part in net.modules():
        if isinstance(part, (nn.BatchNorm2d, nn.BatchNorm3d)):
            with torch.no_grad():
                bias = part(torch.zeros(1, part.num_features, *[1] * (source.tensor.ndim - 2))).flatten()
        elif isinstance(part, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)) and part.bias is not None:
            bias = part.bias.detach()
        else:
            continue

        def keep(_m: nn.Module, _a: object, output: Tensor, bias: Tensor = bias) -> Tensor:
            outputs.append((bias, output))
            return output.clone()

        handles.append(part.register_forward_hook(keep))
    x = source.tensor.clone().requires_grad_()
    output = net(x.clone())
    for handle in handles:
        handle.remove()
    score = output[0, label].mean()
    gradients = torch.autograd.grad(score, [x, *(out for _, out in outputs)])
    biased = [torch.tensordot(b, g[0], 1) for (b, _), g in zip(outputs, gradients[1:], strict=True)]
    return [(x.detach()[0] * gradients[0][0]).sum(0).numpy(), *(b.numpy() for b in biased)]


def enlarged(cells: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Each cell in a tent over its pixels, of sum one, axis by axis."""
    wanted = cells
    for axis, pixels in enumerate(size):
        factor, count = pixels / cells.shape[axis], wanted.shape[axis]
        rows = np.zeros((count, pixels))
        for cell in range(count):
            for pixel in range(pixels):
                rows[cell, pixel] = max(0.0, 1 - abs((pixel + 0.5) / factor - 0.5 - cell))
        rows /= rows.sum(1, keepdims=True)
        wanted = np.moveaxis(np.moveaxis(wanted, axis, -1) @ rows, -1, axis)
    return wanted


@pytest.mark.parametrize("kind", KINDS)
def test_the_map_is_the_sum_of_all_shares_at_their_places(kind: str) -> None:
    model = make(kind)
    size = tuple(model.card.input.size)
    found = maps(explain(model, inputs_of(model), [FullGrad()], LABELS))
    for label, ours in enumerate(found):
        wanted = sum(enlarged(share.astype(float), size) for share in by_hand(model, label))
        assert near(ours.reshape(size), wanted, 1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_shares_add_up_to_the_score_less_the_last_bias(kind: str) -> None:
    model = make(kind)
    explained = explain(model, inputs_of(model, 2), [FullGrad()], LABELS)
    last = getattr(model._module, LAST[kind]).bias.tolist() if kind in LAST else [0.0] * 3
    assert len(explained.attributions) == 6
    for found in explained.attributions:
        due = found.predictions[0].score(found.target.label).logit - last[found.target.index]
        assert float(found.values.sum(dtype=np.float64)) == pytest.approx(due, rel=1e-3, abs=1e-4)
        assert found.completeness_error < 0.1


def test_a_difference_is_complete_too() -> None:
    model = make("U-Net")
    found = one(model, FullGrad(), Target("mass", 1, "nodule", 2))
    logits = [s.logit for s in found.predictions[0].scores]
    assert float(found.values.sum(dtype=np.float64)) == pytest.approx(logits[1] - logits[2], rel=1e-3)


def test_the_biases_are_the_packages() -> None:
    """A batch norm's bias holds its mean as well; of shares the package draws scaled sizes."""
    net = make("residual")._module
    peer = Peer(net, [])
    peer.activations_and_grads.release()
    ours = [_bias(m).detach().numpy() for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(ours) == 5
    for a, b in zip(ours, peer.bias_data, strict=True):
        assert np.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    ("grid", "size"), [((4, 6), (16, 30)), ((3, 5), (10, 7)), ((9, 8), (4, 8)), ((2, 3, 4), (5, 6, 9))]
)
def test_spreading_keeps_the_sum_of_every_cell(grid: tuple[int, ...], size: tuple[int, ...]) -> None:
    cells = torch.randn(2, 1, *grid, dtype=torch.float64)
    assert torch.allclose(_spread(cells, size).sum(tuple(range(2, 2 + len(size)))), cells.flatten(2).sum(2))
    assert torch.allclose(_spread(cells, grid), cells)


def test_spreading_is_bilinear_within() -> None:
    cells = torch.randn(1, 1, 5, 6)
    wanted = F.interpolate(cells, (20, 24), mode="bilinear", align_corners=False) / 16
    assert torch.allclose(_spread(cells, (20, 24))[..., 6:-6, 6:-6], wanted[..., 6:-6, 6:-6], atol=1e-6)


class Smooth(nn.Module):
    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.head = nn.Linear(6, 3)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.conv(x)).mean((2, 3)))


def normed(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[1:])


@pytest.mark.parametrize("act", [F.gelu, torch.sigmoid, F.silu, normed])
def test_a_network_where_the_shares_do_not_add_up_is_refused(act: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    model = model_of(Smooth(act))
    ((_, told),) = explain(model, inputs_of(model), [FullGrad()], LABELS).refused
    assert told.startswith(
        "FullGrad splits the score among pixels and biases, which adds up only in networks"
    )


@pytest.mark.parametrize("act", [F.relu, F.leaky_relu])
def test_a_network_that_is_linear_in_pieces_is_explained(act: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    model = model_of(Smooth(act))
    assert len(maps(explain(model, inputs_of(model), [FullGrad()], LABELS))) == 3


@pytest.mark.parametrize("kind", ["timm ViT", "Swin", "torch transformer"])
def test_a_transformer_is_told_why_not(kind: str) -> None:
    assert "layer norm" in str(FullGrad().unsuitable(make(kind)))


def test_biases_that_no_score_depends_on_have_no_share() -> None:
    class Ignoring(nn.Module):
        def __init__(self, ignoring: bool) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.head, self.other = nn.Linear(4, 3), nn.Conv2d(3, 2, 3) if ignoring else None

        def forward(self, x: Tensor) -> Tensor:
            if self.other is not None:
                self.other(x)
            return self.head(self.net(x))

    made = []
    for ignoring in (False, True):
        torch.manual_seed(0)
        model = model_of(Ignoring(ignoring))
        (found,) = explain(model, inputs_of(model), [FullGrad()], LABELS[:1]).attributions
        made.append(found)
    np.testing.assert_allclose(made[1].values, made[0].values, rtol=1e-6)
    assert made[1].completeness_error == pytest.approx(made[0].completeness_error)


def test_a_network_that_lets_no_gradient_through_is_told() -> None:
    class Closed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.head = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.net(x)).detach()

    model = model_of(Closed())
    explained = explain(model, inputs_of(model), [FullGrad()])
    assert explained.predictions
    assert explained.refused[0][1].startswith("No gradient reaches the image")
