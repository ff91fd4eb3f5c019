# SPDX-License-Identifier: Apache-2.0
"""Which architecture a state dict belongs to, told by the names and shapes of its tensors alone.

Candidates of the family that the names point at are built on torch's `meta` device, which has shapes and
no numbers; nothing is fetched.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from viewer.models.architectures import first_convolution, outline
from viewer.models.weights import forms

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Guess:
    """An architecture whose tensors have the file's names and shapes; `fits` is False for the nearest one."""

    architecture: str
    arguments: dict[str, Any]
    fits: bool = True
    remarks: tuple[str, ...] = ()
    share: float = 1.0
    """How many of the names of both they have in common, from 0 to 1."""
    known: dict[str, Any] = field(default_factory=dict)
    """Fields of the card that follow: `size`, `select`, `dimensions`, `channels`, `count` of the labels."""
    aside: tuple[str, ...] = ()
    """The names of tensors in the file that are no part of the network."""


_VIT = {192: "tiny", 384: "small", 768: "base", 1024: "large", 1280: "huge"}

# A key that tells a family, and its members, the most used first.
_FAMILIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"layer1\.0\.conv1\.weight", tuple(f"torchvision:{n}" for n in (
        "resnet18", "resnet50", "resnet34", "resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2",
        "resnext101_32x8d", "resnext101_64x4d", "wide_resnet101_2",
    )) + tuple(f"timm:{n}" for n in (
        "resnet10t", "resnet14t", "resnet18d", "resnet26", "resnet26d", "resnet34d", "resnet50d",
        "seresnet50", "seresnext50_32x4d", "ecaresnet50d",
    ))),
    (r"features\.denseblock1\.denselayer1\.norm1\.weight",
     tuple(f"torchvision:densenet{n}" for n in (121, 169, 201, 161))),
    (r"classifier\.6\.weight", ("torchvision:vgg16", "torchvision:vgg16_bn", "torchvision:vgg19",
     "torchvision:vgg19_bn", "torchvision:vgg11", "torchvision:vgg11_bn", "torchvision:vgg13",
     "torchvision:vgg13_bn", "torchvision:alexnet")),
    (r"features\.3\.squeeze\.weight", ("torchvision:squeezenet1_0", "torchvision:squeezenet1_1")),
    (r"inception3a\.branch1\.conv\.weight", ("torchvision:googlenet",)),
    (r"Mixed_5b\.branch1x1\.conv\.weight", ("torchvision:inception_v3",)),
    (r"features\.1\.conv\.0\.0\.weight", ("torchvision:mobilenet_v2",)),
    (r"features\.1\.block\.0\.0\.weight",
     ("torchvision:mobilenet_v3_large", "torchvision:mobilenet_v3_small")),
    (r"features\.1\.0\.block\.0\.0\.weight", tuple(
        f"torchvision:efficientnet_{n}"
        for n in ("b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "v2_s", "v2_m", "v2_l")
    )),
    (r"stage2\.0\.branch1\.0\.weight",
     tuple(f"torchvision:shufflenet_v2_x{n}" for n in ("1_0", "0_5", "1_5", "2_0"))),
    (r"layers\.8\.0\.layers\.0\.weight",
     tuple(f"torchvision:mnasnet{n}" for n in ("1_0", "0_5", "0_75", "1_3"))),
    (r"features\.1\.0\.layer_scale",
     tuple(f"torchvision:convnext_{n}" for n in ("tiny", "small", "base", "large"))),
    (r"encoder\.layers\.encoder_layer_0\.ln_1\.weight",
     tuple(f"torchvision:vit_{n}" for n in ("b_16", "b_32", "l_16", "l_32", "h_14"))),
    (r"features\.1\.0\.attn\.(relative_position_bias_table|cpb_mlp\.0\.weight)",
     tuple(f"torchvision:swin_{n}" for n in ("t", "s", "b", "v2_t", "v2_s", "v2_b"))),
    (r"layer1\.0\.conv1\.0(\.0)?\.weight",
     ("torchvision:r3d_18", "torchvision:mc3_18", "torchvision:r2plus1d_18")),
    (r"backbone\.layer1\.0\.conv1\.weight", ("torchvision:deeplabv3_resnet50", "torchvision:fcn_resnet50",
     "torchvision:deeplabv3_resnet101", "torchvision:fcn_resnet101")),
    (r"layers\.0\.blocks\.0\.attn\.relative_position_bias_table",
     tuple(f"timm:swin_{n}_patch4_window7_224" for n in ("tiny", "small", "base", "large"))),
    (r"blocks\.0\.0\.conv_(dw|pw)\.weight", tuple(f"timm:{n}" for n in (
        "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4",
        "efficientnet_b5", "efficientnet_lite0", "mobilenetv3_large_100", "mobilenetv3_small_100",
        "mobilenetv2_100", "mnasnet_100",
    ))),
    (r"blocks\.0\.0\.conv(_exp)?\.weight", ("timm:efficientnetv2_rw_s", "timm:tf_efficientnetv2_s",
     "timm:tf_efficientnetv2_b0")),
    (r"stages\.0\.blocks\.0\.conv_dw\.weight", tuple(f"timm:{n}" for n in (
        "convnext_tiny", "convnext_small", "convnext_base", "convnextv2_tiny", "convnextv2_nano",
        "convnext_nano", "convnext_large",
    ))),
    (r"s1\.b1\.conv1\.conv\.weight", tuple(f"timm:regnet{n}" for n in (
        "y_004", "y_008", "y_016", "y_032", "x_004", "x_008", "x_016", "x_032",
    ))),
)  # fmt: skip


def recognise(state: Mapping[str, Tensor]) -> Guess | None:
    """The architecture that a state dict fits, else the nearest one of its family, else None."""
    nearest: Guess | None = None
    for form, aside in forms(dict(state)):
        shapes = shapes_of(form)
        for guess in _guesses(shapes):
            if guess.fits:
                return replace(guess, aside=aside)
            nearest = guess if nearest is None or guess.share > nearest.share else nearest
    return nearest


def shapes_of(state: Mapping[str, Tensor]) -> Shapes:
    """Shapes by name, without the counters that older files lack."""
    return {k: tuple(v.shape) for k, v in state.items() if not k.endswith("num_batches_tracked")}


def _guesses(shapes: Shapes) -> Iterator[Guess]:
    for architecture, arguments, remarks in _built_in(shapes):
        guess = _compared(architecture, arguments, shapes, remarks)
        if guess is not None:
            yield guess
    for telling, members in (*_FAMILIES, (r"blocks\.0\.attn\.qkv\.weight", _vits(shapes))):
        if any(re.fullmatch(telling, key) for key in shapes):
            for member in members:
                guess = _library(member, shapes)
                if guess is not None:
                    yield guess


def _compared(
    architecture: str, arguments: dict[str, Any], shapes: Shapes, remarks: tuple[str, ...] = ()
) -> Guess | None:
    """A candidate with its arguments beside the file; None where it cannot be built so."""
    net = outline(architecture, arguments)
    if net is None:
        return None
    own = shapes_of(net.state_dict())
    share = len(own.keys() & shapes.keys()) / len(own.keys() | shapes.keys())
    return Guess(architecture, arguments, own == shapes, remarks, share, _known(net, shapes, arguments))


def _known(net: nn.Module, shapes: Shapes, arguments: dict[str, Any]) -> dict[str, Any]:
    name, first = first_convolution(net)
    side = arguments.get("img_size") or arguments.get("image_size") or arguments.get("size")
    head = shapes.get(f"{_head(net)}.weight")
    return {
        "dimensions": 3 if isinstance(first, nn.Conv3d) else 2,
        "channels": shapes.get(f"{name}.weight", (0, first.in_channels))[1],
        "size": [side, side] if isinstance(side, int) else None,
        "select": "out" if "aux_loss" in arguments else None,
        "count": head[0] if head else None,
    }


def _head(net: nn.Module) -> str:
    """The name of the layer that gives the logits: the last linear one, else the last convolution."""
    layers: list[tuple[str, nn.Module]] = [
        (n, m)
        for n, m in net.named_modules()
        if isinstance(m, nn.Linear | nn.Conv2d | nn.Conv3d) and not n.startswith(("aux", "AuxLogits"))
    ]
    linear = [n for n, m in layers if isinstance(m, nn.Linear)]
    return linear[-1] if linear else layers[-1][0]


# --- torchvision and timm -------------------------------------------------------------------------


def _library(architecture: str, shapes: Shapes) -> Guess | None:
    """A member of a library as it comes, then with the channels, labels and size that the file has."""
    source, _, name = architecture.partition(":")
    extra = _extra(name, shapes)
    plain = outline(architecture, extra | {"num_classes": 2})
    if plain is None:
        return None
    own = shapes_of(plain.state_dict())
    share = len(own.keys() & shapes.keys()) / len(own.keys() | shapes.keys())
    if own.keys() != shapes.keys():
        return Guess(architecture, {}, False, (), share)
    arguments = extra | {"num_classes": shapes[f"{_head(plain)}.weight"][0]}
    stem, first = first_convolution(plain)
    channels = shapes[f"{stem}.weight"][1]
    if channels != first.in_channels:
        arguments |= {"channels" if source == "torchvision" else "in_chans": channels}
    return _compared(architecture, arguments, shapes, _alike(source, name))


def _extra(name: str, shapes: Shapes) -> dict[str, Any]:
    """Arguments that decide which tensors there are."""
    if name.startswith(("deeplabv3", "fcn")):
        return {"aux_loss": any(k.startswith("aux_classifier") for k in shapes)}
    if name in ("googlenet", "inception_v3"):
        aux = any(k.startswith(("aux1", "AuxLogits")) for k in shapes)
        return {"aux_logits": aux, "init_weights": False}
    if name.startswith("vit_") and "encoder.pos_embedding" in shapes:
        side = _side(shapes["encoder.pos_embedding"], 1, shapes.get("conv_proj.weight"))
        return {"image_size": side} if side else {}
    if "pos_embed" in shapes:
        prefix = sum(shapes.get(k, (1, 0))[1] for k in ("cls_token", "dist_token", "reg_token"))
        patch = shapes.get("patch_embed.proj.weight")
        side = next(filter(None, (_side(shapes["pos_embed"], n, patch) for n in (prefix, 0, 1))), None)
        return {"img_size": side} if side else {}
    return {}


def _side(embedding: tuple[int, ...], prefix: int, patch: tuple[int, ...] | None) -> int | None:
    """Pixels of a square image's side, from the tokens and the patches that make them."""
    grid = math.isqrt(max(embedding[1] - prefix, 0)) if len(embedding) == 3 else 0
    fits = patch is not None and len(patch) == 4 and grid > 1 and grid * grid + prefix == embedding[1]
    return grid * patch[-1] if fits and patch is not None else None


def _vits(shapes: Shapes) -> tuple[str, ...]:
    """timm's vision transformers of a file's width and patches."""
    patch = shapes.get("patch_embed.proj.weight", ())
    size = _VIT.get(patch[0]) if len(patch) == 4 else None
    if size is None:
        return ()
    p = patch[-1]
    names = [f"vit_{size}_patch{p}_224", f"vit_{size}_patch{p}_reg4_dinov2", f"vit_{size}_patch{p}_dinov2"]
    names += [f"deit_{size}_distilled_patch{p}_224", f"deit3_{size}_patch{p}_224"]
    return tuple(f"timm:{name}" for name in [*names, f"vit_{size}_patch{p}_clip_224"])


def _alike(source: str, name: str) -> tuple[str, ...]:
    """What a file cannot tell of a member."""
    if source == "timm" and not name.startswith("tf_"):
        import timm

        if timm.is_model(f"tf_{name}"):
            return (f"The file looks the same for timm:tf_{name}, which pads in another way.",)
    if name in ("googlenet", "inception_v3"):
        return ("arguments.transform_input is true where training began from torchvision's weights.",)
    return ()


# --- built in -------------------------------------------------------------------------------------


def _built_in(shapes: Shapes) -> Iterator[tuple[str, dict[str, Any], tuple[str, ...]]]:
    if "layer1.0.conv1.weight" in shapes and "linear.weight" in shapes:
        stage = {k.split(".")[1] for k in shapes if k.startswith("layer1.")}
        labels = shapes["linear.weight"][0]
        yield "builtin:resnet-cifar", {"depth": 6 * len(stage) + 2, "num_classes": labels}, ()
    convolutions = _numbered(shapes, r"model\.(\d+)\.weight")
    if convolutions and len(convolutions[0]) == 5:
        yield from _meshnet(convolutions)
    blocks = _numbered(shapes, r"blocks\.(\d+)\.0\.weight")
    if blocks and "head.weight" in shapes:
        widths = [shape[0] for shape in blocks]
        facts = {"channels": blocks[0][1], "num_classes": shapes["head.weight"][0], "widths": widths}
        yield "builtin:small-cnn", facts | {"dimensions": len(blocks[0]) - 2}, ()


def _meshnet(
    convolutions: Sequence[tuple[int, ...]],
) -> Iterator[tuple[str, dict[str, Any], tuple[str, ...]]]:
    """MeshNet's dilations leave no trace in its weights: those of Fedorov et al. where the number suits."""
    usual = {10: [1, 2, 4, 8, 16, 8, 4, 2, 1], 8: [1, 1, 1, 2, 4, 8, 1]}
    dilations = usual.get(len(convolutions))
    if dilations is None:
        return
    facts = {"channels": convolutions[0][0], "num_classes": convolutions[-1][0], "dilations": dilations}
    remark = (
        "Weights do not tell dilations and activation; these are the usual ones, so compare with the authors."
    )
    yield "builtin:meshnet", facts | {"activation": "relu"}, (remark,)


def _numbered(shapes: Shapes, pattern: str) -> list[tuple[int, ...]]:
    """The shapes of tensors with a number in their name, in the order of the numbers."""
    found = [(int(m[1]), shape) for k, shape in shapes.items() if (m := re.fullmatch(pattern, k))]
    return [shape for _, shape in sorted(found)]
