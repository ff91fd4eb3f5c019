# SPDX-License-Identifier: Apache-2.0
"""The same methods in captum and in the grad-cam package: how each is called, and where it is wrong.

Both libraries are imported when one of them runs, never before: that takes seconds.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from viewer.explain.probe import Probe

Library = Literal["captum", "grad-cam"]


class Scored(nn.Module):
    """A guarded network as the libraries want one: (n, channels, …spatial) → its target's score, (n,).

    `net` is the network itself, and `x` the one input, (1, channels, …spatial), of the map that is checked.
    """

    def __init__(self, net: nn.Module, probe: Probe) -> None:
        super().__init__()
        self.net = net
        self.x = probe.x
        self._probe = probe
        self._target = probe.targets[0][0]

    def forward(self, x: Tensor) -> Tensor:
        return self._probe.score(self._probe.forward(x), self._target)

    def leaf(self) -> Tensor:
        """The input anew, of which a gradient can be asked."""
        return self.x.detach().clone().requires_grad_()

    def layer(self, name: str) -> nn.Module:
        """A layer of the network."""
        return self.net.get_submodule(name)


Fault = Callable[[Scored, Tensor], str]
"""From the network and the library's map: a known fault that it met, as one sentence, or nothing."""


def _none(_net: Scored, _theirs: Tensor) -> str:
    return ""


@dataclass(frozen=True, eq=False)
class Peer:
    """A method of a library that should give our map.

    `run` gives signed values at native resolution, (…grid), and `fault` is asked where they are not ours. A
    peer without `run` has a `reason` why not.
    """

    library: Library
    call: str = ""
    run: Callable[[Scored], Tensor] | None = None
    fault: Fault = _none
    reason: str = ""
    either_sign: bool = False
    """Whether the sign of the whole map is not defined, so that the nearer one counts."""


# --- captum ---------------------------------------------------------------------------------------


def every_channel(values: Tensor) -> Tensor:
    """The values of the channels, (targets, n, channels, …spatial), as their sum."""
    return values.sum(2)


def any_channel(values: Tensor) -> Tensor:
    """The same where every channel shows the value of the pixel."""
    return values[:, :, 0]


def of_captum(
    probe: Probe,
    name: str,
    covers: Tensor | None = None,
    condense: Callable[[Tensor], Tensor] = every_channel,
    fault: Fault = _none,
    layer: str | None = None,
    **arguments: Any,
) -> Peer:
    """A class of `captum.attr` that attributes to the input, averaged over baselines if it takes any.

    `covers` are baselines (baselines, 1, channels, …spatial), `condense` makes pixels of the channels of
    (targets, n, channels, …spatial), and `layer` is given to classes that want one.
    """
    given = "" if covers is None else ", baselines"
    words = ", ".join(f"{k}={v!r}" for k, v in arguments.items() if not isinstance(v, Tensor))
    made = f"{name}(net{'' if layer is None else ', layer'})"

    def run(net: Scored) -> Tensor:
        from captum import attr

        method = getattr(attr, name)(*([net] if layer is None else [net, net.layer(layer)]))
        each = [{}] if covers is None else [{"baselines": cover} for cover in covers]
        found = [method.attribute(net.leaf(), **some, **arguments).detach() for some in each]
        return probe.limited(condense(torch.stack(found).mean(0)[None]))[0, 0]

    return Peer("captum", f"{made}.attribute(x{given}{words and ', ' + words})", run, fault)


def captum_grad_cam(probe: Probe, layer: str) -> Peer:
    """captum's LayerGradCam; its channels are summed here, for its own sum goes over axis 1 in any layout."""

    def run(net: Scored) -> Tensor:
        from captum import attr

        method = attr.LayerGradCam(net, net.layer(layer))
        values = method.attribute(net.leaf(), attr_dim_summation=False).detach()
        return probe.as_map(values, layer)[0].sum(0)

    def fault(_net: Scored, _theirs: Tensor) -> str:
        layout = probe.layer(layer).layout
        if layout == "channels first":
            return ""
        return (
            "captum's LayerGradCam averages the gradient over the axes from the third on, which in a layer "
            f"of {layout} are not the places but the channels{'' if layout == 'tokens' else ' and a side'}."
        )

    call = "LayerGradCam(net, layer).attribute(x, attr_dim_summation=False), summed over the channels"
    return Peer("captum", call, run, fault)


def unseen(net: Scored, steps: int, kinds: Collection[type[nn.Module]], what: str) -> str:
    """A sentence if fewer modules of `kinds` run than the network takes `steps`, else nothing.

    A module that runs twice counts once: a library that hooks modules keeps what the last run had.
    """
    ran: set[nn.Module] = set()
    handles = [
        m.register_forward_hook(lambda m, _a, _o: ran.add(m)) for m in net.net.modules() if type(m) in kinds
    ]
    try:
        with torch.no_grad():
            net(net.x)
    finally:
        for handle in handles:
            handle.remove()
    missed = steps - len(ran)
    return "" if missed <= 0 else what.format(missed=missed, steps=steps)


# --- grad-cam -------------------------------------------------------------------------------------


def of_grad_cam(
    probe: Probe,
    name: str,
    layer: str,
    fault: Fault = _none,
    times: float = 1.0,
    either_sign: bool = False,
) -> Peer:
    """A class of `pytorch_grad_cam`, whose map is taken before its ReLU and its scaling.

    `times` takes back what the package divides by.
    """

    def run(net: Scored) -> Tensor:
        import pytorch_grad_cam as package

        _silence()
        kept: list[Any] = []

        class Raw(getattr(package, name)):  # type: ignore[misc]
            def get_cam_image(self, *arguments: Any, **named: Any) -> Any:
                kept.append(super().get_cam_image(*arguments, **named))
                return kept[-1]

        cam = Raw(net, [net.layer(layer)], reshape_transform=lambda own: probe.as_map(own, layer))
        try:
            cam(net.leaf(), [lambda score: score])
        finally:
            cam.activations_and_grads.release()
        return torch.as_tensor(kept[0])[0] * times

    def told(net: Scored, theirs: Tensor) -> str:
        return " ".join(filter(None, [OVERWRITTEN if overwritten(net, layer) else "", fault(net, theirs)]))

    scaled = "" if times == 1 else ", times the score, by which it divides"
    return Peer(
        "grad-cam", f"{name}(net, [layer]).get_cam_image(…){scaled}", run, told, either_sign=either_sign
    )


OVERWRITTEN = (
    "grad-cam keeps what the layer gave without a copy, and this network overwrites it in place behind the "
    "layer (as with a ReLU in place), so that its map is made of other activations."
)


def overwritten(net: Scored, layer: str) -> bool:
    """Whether what a layer gave is changed in place behind it, where a library without a copy sees that.

    From another device than the processor the grad-cam package copies.
    """
    kept: list[tuple[Tensor, Tensor]] = []
    handle = net.layer(layer).register_forward_hook(
        lambda _m, _a, output: kept.append((output, output.clone()))
    )
    try:
        with torch.no_grad():
            net(net.x)
    finally:
        handle.remove()
    return net.x.device.type == "cpu" and any(not torch.equal(now, before) for now, before in kept)


def _silence() -> None:
    """Keep the package from drawing progress bars of its own on standard error."""
    from pytorch_grad_cam import ablation_cam, score_cam

    for module in (ablation_cam, score_cam):
        module.tqdm = SimpleNamespace(tqdm=lambda steps: steps)
