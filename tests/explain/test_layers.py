# SPDX-License-Identifier: Apache-2.0
"""Which layers are suggested, and what is said of those that would mislead."""

import numpy as np
import pytest
import torch
import torchvision
from explain_nets import TorchTransformer, inputs_of, make, model_of, near, one, swin, torchvision_vit, vit
from torch import Tensor, nn

from plugins.eigen_cam import EigenCAM
from plugins.grad_cam import GradCAM
from plugins.hires_cam import HiResCAM
from viewer.explain import Explainer, explain, suggest
from viewer.models import Model
from viewer.types import ModelInput, Target


def reason(model: Model, method: Explainer) -> str:
    explained = explain(model, inputs_of(model), [method])
    assert explained.attributions == ()
    ((_, told),) = explained.refused
    return told


def test_resnets_last_stage_comes_first() -> None:
    model = model_of(torchvision.models.resnet18(num_classes=3), (64, 64))
    assert suggest(model)[:4] == ("layer4", "layer3", "layer2", "layer1")


def test_densenets_features_come_first() -> None:
    model = model_of(torchvision.models.densenet121(num_classes=3), (64, 64))
    assert suggest(model)[0] == "features"


def test_a_small_cnns_blocks_come_first() -> None:
    assert suggest(make("plain CNN"))[0] == "blocks"
    assert suggest(make("3D CNN"))[0] == "blocks"


@pytest.mark.parametrize("net", [vit, lambda: vit(reg_tokens=4)])
def test_a_vits_last_norm_with_living_patches_comes_first(net: object) -> None:
    assert suggest(model_of(net()))[0] == "blocks.1.norm1"  # type: ignore[operator]


def test_a_vit_that_averages_its_patches_offers_its_end() -> None:
    model = model_of(vit(global_pool="avg"))
    assert suggest(model)[0] == "norm"
    assert one(model, GradCAM()).layer == "norm"


def test_other_transformers_offer_a_layer_that_is_not_blank() -> None:
    for net in (torchvision_vit(), TorchTransformer(), TorchTransformer(norm_first=False)):
        model = model_of(net)
        layers = suggest(model)
        assert layers
        for layer in layers:
            assert one(model, GradCAM(layer)).values.any()


def test_every_suggestion_gives_a_map(model: Model) -> None:
    for layer in suggest(model):
        found = one(model, GradCAM(layer))
        assert found.layer == layer
        assert (
            found.values.shape[-len(model.structure.layer(layer).grid) :] == model.structure.layer(layer).grid
        )


def test_the_cards_layers_come_first() -> None:
    torch.manual_seed(2)
    model = model_of(make("residual")._module, explain={"layers": ["layer1", "stem"]})
    assert suggest(model) == ("layer1", "stem")
    assert one(model, GradCAM()).layer == "layer1"


@pytest.mark.parametrize("layer", ["blocks", "norm", "blocks.1.norm2", "blocks.0"])
def test_a_layer_behind_which_only_the_class_token_counts_is_refused(layer: str) -> None:
    model = model_of(vit())
    if layer == "blocks.0":  # the patches of the first block are still read by the second
        assert one(model, GradCAM(layer)).values.any()
        return
    for method in (GradCAM(layer), HiResCAM(layer)):
        told = reason(model, method)
        assert told.startswith(f"No gradient reaches the map of the layer {layer!r}")
        assert "choose an earlier layer" in told


def test_the_last_block_by_its_name_is_refused_with_a_reason() -> None:
    told = reason(model_of(vit()), GradCAM("blocks.1"))
    assert "'blocks'" in told  # the block within has the same output
    assert told.endswith((".", "?"))


def test_an_inner_name_means_the_layer_with_the_same_output() -> None:
    model = model_of(make("residual")._module)
    inner, outer = next(iter(model.structure.aliases.items()))
    assert one(model, GradCAM(inner)).layer == outer


def test_a_name_that_is_nearly_right_is_corrected() -> None:
    told = reason(make("residual"), GradCAM("layer22"))
    assert told == "The layer 'layer22' is not in this network. Did you mean 'layer2'?"


def test_a_layer_without_a_map_says_so() -> None:
    told = reason(make("residual"), EigenCAM("fc"))
    assert told == (
        "The layer 'fc' gives the network's output itself, so it has no map over the image. "
        "Choose 'layer2', for one."
    )


NO_MAP: dict[str, tuple[str, str]] = {
    "pooled": ("avgpool", "gives 512 numbers for the whole image"),
    "a stage": ("layer1.0.relu", "runs 2 times in one forward"),
    "not there": ("layer9", "is not in this network"),
}


@pytest.mark.parametrize("name", NO_MAP)
def test_a_layer_named_by_hand_is_told_what_it_gives_and_what_to_choose(name: str) -> None:
    layer, what = NO_MAP[name]
    told = reason(model_of(torchvision.models.resnet18(num_classes=3), (64, 64)), GradCAM(layer))
    assert told.startswith(f"The layer {layer!r} {what}")
    assert "'layer" in told.removeprefix(f"The layer {layer!r}")


def test_windows_and_parts_of_attention_are_refused_by_name() -> None:
    model = model_of(swin())
    windows = next(name for name in model.structure.refused if name.endswith("attn"))
    told = reason(model, GradCAM(windows))
    assert "the image is cut into pieces, such as windows" in told
    assert f"Choose {suggest(model)[0]!r}" in told
    assert "is a part of an attention module" in reason(model, GradCAM(f"{windows}.qkv"))


def test_a_card_that_names_a_layer_without_a_map_is_told_so() -> None:
    model = model_of(make("residual")._module, explain={"layers": ["fc", "layer1"]})
    assert suggest(model) == ("layer1",)  # what is offered has a map
    assert "'fc'" in reason(model, GradCAM())  # what the card says is not replaced in silence


def test_a_layer_that_runs_twice_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3, padding=1)
            self.again = nn.Conv2d(4, 4, 3, padding=1)
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.again(self.again(self.first(x)).relu()).mean((2, 3)))

    model = model_of(Twice())
    assert "runs 2 times in one forward" in reason(model, GradCAM("again"))
    assert suggest(model) == ("first",)


def test_a_layer_off_the_way_to_the_output_is_refused() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.aside = nn.Conv2d(3, 4, 3, stride=2, padding=1)
            self.way = nn.Conv2d(3, 4, 3, padding=1)
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.aside(x)
            return self.head(self.way(x).mean((2, 3)))

    told = reason(model_of(Aside()), GradCAM("aside"))
    assert told == "The layer 'aside' does not influence the output; choose another."


def test_one_refused_layer_does_not_refuse_the_same_method_at_another() -> None:
    model = make("residual")
    explained = explain(model, inputs_of(model), [GradCAM("nowhere"), GradCAM("layer1"), GradCAM("fc")])
    assert [a.layer for a in explained.attributions] == ["layer1"]
    assert [name for name, _ in explained.refused] == ["grad-cam", "grad-cam"]


def test_several_layers_in_one_run_give_the_maps_of_one_by_one() -> None:
    for kind in ("residual", "dense", "timm ViT", "torch transformer"):
        model = make(kind)
        layers = suggest(model)
        together = explain(model, inputs_of(model), [GradCAM(layer) for layer in layers])
        for layer, found in zip(layers, together.attributions, strict=True):
            assert near(found.values, one(model, GradCAM(layer)).values)


def test_swins_channels_are_last() -> None:
    torch.manual_seed(6)
    net = swin()
    model = model_of(net)
    name = suggest(model)[0]
    layer = model.structure.layer(name)
    assert layer.layout == "channels last"
    assert (layer.grid, layer.channels) == ((4, 4), 24)
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _arguments: object, output: Tensor) -> Tensor:
        kept.append(output.detach().clone().requires_grad_())
        return kept[0]

    handle = net.get_submodule(name).register_forward_hook(keep)
    (gradient,) = torch.autograd.grad(net(inputs_of(model)[0].tensor)[:, 1].sum(), kept[0])
    handle.remove()
    wanted = (gradient.mean((1, 2), keepdim=True) * kept[0].detach()).sum(-1)[0]
    assert near(one(model, GradCAM(name), Target("mass", 1)).values[0], wanted.numpy())


def test_a_map_lies_over_the_image_as_the_layer_does() -> None:
    """A bright spot in one corner of the image is bright in that corner of the map."""
    model = make("plain CNN")
    (source,) = inputs_of(model)
    dark = torch.zeros(1, 3, 32, 32)
    dark[..., 2:6, 22:28] = 3.0
    spot = ModelInput(source.series, 0, dark, source.matrix)
    (found,) = explain(model, [spot], [HiResCAM()], [Target("mass", 1)]).attributions
    flat = np.abs(found.values[0] - np.median(found.values))
    row, column = np.unravel_index(int(flat.argmax()), flat.shape)
    place = found.matrix @ np.array((0, row, column, 1))
    assert 1 <= place[1] <= 7
    assert 20 <= place[2] <= 29
