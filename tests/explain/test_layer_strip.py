# SPDX-License-Identifier: Apache-2.0
"""One method at several layers: a strip from the input to the output, out of one forward."""

from typing import Any

import pytest
from explain_nets import inputs_of, make, maps, model_of, near, one, torchvision_vit, vit

from plugins.eigen_cam import EigenCAM
from plugins.grad_cam import GradCAM
from plugins.hires_cam import HiResCAM
from plugins.saliency import Saliency
from viewer import session
from viewer.errors import ExplainerError
from viewer.explain import Explainer, ForwardCache, at_layers, explain, stages
from viewer.types import Target

MASS = Target("mass", 1)
STAGES = {
    "plain CNN": [(32, 32), (16, 16)],
    "residual": [(16, 16), (8, 8)],
    "DenseNet": [(16, 16), (8, 8), (4, 4)],
    "U-Net": [(16, 16), (32, 32)],
    "Swin": [(8, 8), (4, 4)],
    "3D CNN": [(8, 16, 16), (4, 8, 8)],
    "timm ViT": [(4, 4), (4, 4)],
    "ViT with registers": [(4, 4), (4, 4)],
}


@pytest.mark.parametrize("kind", STAGES)
def test_a_strip_has_a_layer_of_every_stage_in_the_order_of_the_network(kind: str) -> None:
    model = make(kind)
    layers = [model.structure.layer(name) for name in stages(model)]
    assert [layer.grid for layer in layers] == STAGES[kind]
    order = [layer.name for layer in model.structure.layers]
    assert sorted(order.index(layer.name) for layer in layers) == [order.index(x.name) for x in layers]


def test_of_a_transformer_a_strip_has_the_first_norm_of_each_block() -> None:
    assert stages(make("timm ViT")) == ("blocks.0.norm1", "blocks.1.norm1")
    averaging = model_of(vit(global_pool="avg"))
    assert stages(averaging) == ("blocks.0.norm1", "blocks.1.norm1", "norm")
    assert [name[-4:] for name in stages(model_of(torchvision_vit()))] == ["ln_1", "ln_1"]
    of_card = model_of(make("residual")._module, explain={"layers": ["layer1"]})
    assert stages(of_card) == ("layer1", "layer2")  # the card says where to look first, not what there is


@pytest.mark.parametrize("kind", STAGES)
def test_a_strip_costs_one_forward_and_gives_the_maps_of_layer_by_layer(kind: str) -> None:
    model = make(kind)
    layers = stages(model)
    strip = [m for method in (GradCAM(), HiResCAM(), EigenCAM()) for m in at_layers(method, layers)]
    alone = [one(model, method, MASS) for method in strip]
    calls: list[int] = []
    handle = model._module.register_forward_pre_hook(lambda _m, _a: calls.append(1))
    explained = explain(model, inputs_of(model), strip, [MASS])
    handle.remove()
    assert not explained.refused
    assert [a.layer for a in explained.attributions] == [*layers] * 3
    # Where no gradient tells what a map of all labels speaks of, erasing it does, by one more for each.
    erased = [a for a in explained.attributions if a.evidence and a.evidence.measure == "erasing"]
    assert all(a.explainer.name == "eigen-cam" for a in erased)
    assert len(calls) == 1 + len(erased)
    for found, wanted in zip(explained.attributions, alone, strict=True):
        assert found.values.shape == wanted.values.shape
        assert near(found.values, wanted.values)
        assert (found.matrix == wanted.matrix).all()


def test_a_strip_of_another_label_runs_nothing_once_it_is_kept() -> None:
    model, kept = make("residual"), ForwardCache()
    strip = at_layers(GradCAM(), stages(model))
    maps(explain(model, inputs_of(model), strip, [MASS], kept=kept))
    calls: list[int] = []
    model._module.register_forward_pre_hook(lambda _m, _a: calls.append(1))
    other = maps(explain(model, inputs_of(model), strip, [Target("nodule", 2)], kept=kept))
    assert calls == []
    assert all(m.any() for m in other)


def test_a_layer_behind_which_nothing_counts_is_refused_and_the_others_are_drawn() -> None:
    model = make("timm ViT")
    strip = at_layers(GradCAM(), ("blocks.0.norm1", "norm", "blocks.1.norm1"))
    explained = explain(model, inputs_of(model), strip, [MASS])
    assert [a.layer for a in explained.attributions] == ["blocks.0.norm1", "blocks.1.norm1"]
    assert "'norm'" in explained.refused[0][1]


def test_a_method_without_a_layer_stays_one() -> None:
    assert at_layers(Saliency(), ("a", "b")) == (Saliency(),)


def test_layers_in_words() -> None:
    model = make("residual")

    def read(layer: str | None, *methods: Any) -> list[Explainer]:
        return session.configured(methods or ("grad-cam", "saliency"), layer, None, model)

    assert read(None) == [GradCAM(), Saliency()]
    assert read("layer1") == [GradCAM("layer1"), Saliency()]
    assert read("layer1, layer2,layer1") == [GradCAM("layer1"), GradCAM("layer2"), Saliency()]
    assert read("stages") == [GradCAM("layer1"), GradCAM("layer2"), Saliency()]
    assert read("stages", "grad-cam", HiResCAM("stem"))[2:] == [HiResCAM("stem")]
    for several in ("layer1", "layer1,layer2", "stages"):
        with pytest.raises(ExplainerError, match="Saliency has no setting 'layer'; it has: none"):
            read(several, "saliency")


def test_a_method_given_with_several_settings_is_run_with_each() -> None:
    one, other = GradCAM(layer="a"), GradCAM(layer="b")
    assert session.configured([one, other, "saliency", one, "saliency"]) == [one, other, Saliency()]
