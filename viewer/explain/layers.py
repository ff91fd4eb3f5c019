# SPDX-License-Identifier: Apache-2.0
"""Which layer to explain at: suggestions, and what is wrong with a chosen one."""

import difflib
from collections import Counter

import torch

from viewer.errors import ExplainerError, ModelError
from viewer.explain.per_pixel import telling
from viewer.models import Model
from viewer.models.architectures import FAULTS
from viewer.task import Task

CLOSED = (
    "This model is a program, whose layers and operations are closed; use a method that asks at the image, "
    "such as integrated gradients or occlusion."
)


def suggest(model: Model) -> tuple[str, ...]:
    """Layers worth explaining at, the best first: those of the card, else the last of each stage.

    Only layers whose output is a map over the image. Of a network with an output per pixel they are the
    last that still tell regions and classes apart, the last of them first. For a network whose classifier
    reads the class token only, layers from whose patches no gradient flows (everything behind the last
    block's keys and values) are left out: their map is blank.
    """
    structure = model.structure
    known = {layer.name for layer in structure.layers}
    named = tuple(name for name in model.card.explain.layers if structure.aliases.get(name, name) in known)
    return named or _by_structure(model)


def stages(model: Model) -> tuple[str, ...]:
    """One layer of each stage from the input to the output: the last at each resolution, or of each block.

    Of a transformer it is each block's first norm, as far as its patches still reach the output.
    """
    if model.structure.tokens is None or len(model.structure.output or ()) > 1:
        return tuple(layer.name for layer in model.structure.stages)
    norms = _by_structure(model)[::-1]
    blocks = next(
        (i for i, name in enumerate(norms) if "." in name), 0
    )  # one before the blocks mixes nothing
    first: dict[str, str] = {}
    for name in norms[blocks:]:
        first.setdefault(name.rpartition(".")[0], name)
    return tuple(first.values())


def resolve(model: Model, name: str | None) -> str:
    """A layer's full name from the wish, None meaning the suggested one; raises `ExplainerError`."""
    if model.closed:
        raise ExplainerError(CLOSED)
    structure = model.structure
    layers = {layer.name for layer in structure.layers}
    if name is None:
        # What the card names first is meant, also where it is wrong: then that is said.
        suggested = model.card.explain.layers or suggest(model)
        if not suggested:
            raise ExplainerError("This network has no layer with a map over the image.")
        name = suggested[0]
    asked, name = name, structure.aliases.get(name, name)
    if name in layers:
        return name
    suggested = suggest(model)
    choose = f" Choose {suggested[0]!r}, for one." if suggested else ""
    if name in structure.modules:
        within = any(name.startswith(f"{attention}.") for attention in structure.attention)
        other = "is a part of an attention module" if within else "does not run"
        what = structure.refused.get(name, other)
        raise ExplainerError(f"The layer {asked!r} {what}, so it has no map over the image.{choose}")
    close = difflib.get_close_matches(name, layers, 1)
    hint = f" Did you mean {close[0]!r}?" if close else choose
    raise ExplainerError(f"The layer {asked!r} is not in this network.{hint}")


def _by_structure(model: Model) -> tuple[str, ...]:
    return model.memo.get("layers by structure", lambda: _found(model))


def _found(model: Model) -> tuple[str, ...]:
    structure = model.structure
    if len(structure.output or ()) > 1:
        return telling(model)
    if structure.tokens is None:
        return tuple(layer.name for layer in reversed(structure.stages))
    tokens = [
        layer
        for layer in structure.layers
        if layer.layout == "tokens" and layer.prefix == structure.tokens.prefix
    ]
    width = Counter(layer.channels for layer in tokens).most_common(1)[0][0] if tokens else 0
    stream = [layer.name for layer in tokens if layer.channels == width]
    inner = {outer: alias for alias, outer in structure.aliases.items()}
    norms = [n for n in stream if _is_norm(n) or _is_norm(inner.get(n, ""))] or stream
    if not norms:  # tokens before the samples, of which no layer has a map
        return tuple(layer.name for layer in reversed(structure.layers))
    alive = _alive(model, norms)
    # With a head of zeros nothing is alive; then every layer is as good.
    return tuple(name for name in reversed(norms) if not alive or name in alive)


def _is_norm(name: str) -> bool:
    return name.rpartition(".")[2].startswith(("norm", "ln"))


def _alive(model: Model, layers: list[str]) -> set[str]:
    """The layers from whose patch tokens a gradient reaches the output, tried on noise.

    None where that fails: the method that asks there says what of.
    """
    if not layers:
        return set()
    taps: dict[str, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, *model.input_shape, generator=generator).to(model.device)
    with model.guarded(Task()) as forward, torch.enable_grad():
        for name in layers:
            forward.module.get_submodule(name).register_forward_hook(
                lambda _m, _a, out, name=name: taps.__setitem__(name, out)
            )
        try:
            score = forward(x.requires_grad_().clone()).square().sum()
            found = torch.autograd.grad(score, [taps[n] for n in layers], allow_unused=True)
        except (ModelError, *FAULTS):
            return set()
    facts = {layer.name: layer for layer in model.structure.layers}
    return {n for n, g in zip(layers, found, strict=True) if g is not None and bool(facts[n].as_map(g).any())}
