# SPDX-License-Identifier: Apache-2.0
"""Everything about a network that an explainer must leave as it was."""

from typing import Any

import torch
from torch import nn

from viewer.models import Model


def marked(model: Model) -> nn.Module:
    """The network, given state of its own to lose: a hook, a gradient, a frozen weight, a training flag."""
    net = model._module
    parts = list(net.modules())
    parts[-1].training = True
    net.register_forward_hook(lambda _module, _arguments, _output: None)
    parameters = list(net.parameters())
    parameters[0].grad = torch.ones_like(parameters[0])
    parameters[-1].requires_grad_(False)
    return net


def fingerprint(net: nn.Module) -> dict[str, Any]:
    """The module tree with all that hangs on it, by identity, and the weights by their bytes."""
    facts: dict[str, Any] = {
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "gradients on": torch.is_grad_enabled(),
    }
    for name, module in net.named_modules():
        facts[f"{name}: itself"] = (id(module), type(module))
        for key, value in vars(module).items():
            inner = tuple((k, id(v)) for k, v in value.items()) if isinstance(value, dict) else ()
            plain = value if isinstance(value, (bool, int, float, str)) else None
            facts[f"{name}.{key}"] = (id(value) if plain is None else plain, inner)
    for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
        grad = None if tensor.grad is None else (id(tensor.grad), tensor.grad.clone().numpy().tobytes())
        facts[f"{name}: tensor"] = (id(tensor), tensor.requires_grad, tensor.dtype, tensor.shape, grad)
        facts[f"{name}: values"] = tensor.detach().numpy().tobytes()
    return facts


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of the facts that differ."""
    return [k for k in {**before, **after} if before.get(k) != after.get(k)]
