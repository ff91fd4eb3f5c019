# SPDX-License-Identifier: Apache-2.0
"""How networks lay out what their layers give, written by hand from their definitions.

A row is a pattern of names, a layout and a grid; the first row that matches counts, and every layer needs
one. `first` and `last` say where the channels are, `tokens` that the cells lie along one axis behind so many
others (`tokens+1`), `across` that they lie along the last. A grid of one number is as many along every axis.
`none` is what has no place for each number: pooled, cut into windows, weights between places, another order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import layout_nets as nets
import layout_volumes as volumes
import timm
import torchvision
from torch import nn


@dataclass(frozen=True, slots=True)
class Case:
    """A network without training, the shape of its input (channels, …), and the layouts of its layers."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    rows: str
    select: str | None = None
    """The entry of the output with the logits, where it gives several."""


def _tv(name: str, size: int, rows: str, select: str | None = None, **arguments: object) -> Case:
    weights = {"weights": None} | ({"weights_backbone": None} if select else {})
    make = partial(torchvision.models.get_model, name, num_classes=2, **weights, **arguments)
    return Case(make, (3, size, size), rows, select)


def _timm(name: str, size: int, rows: str, **arguments: object) -> Case:
    return Case(partial(timm.create_model, name, num_classes=2, **arguments), (3, size, size), rows)


MINIATURE: dict[str, Case] = {
    "transformers-like ViT": Case(lambda: nets.ViT((48, 32)), (1, 48, 32), """
        embeddings.projection    first 6,4
        .*attention.drop         none
        .*                       tokens+1 6,4
    """),
    "transformers-like DINOv2 with registers": Case(lambda: nets.ViT((32, 48), prefix=5), (1, 32, 48), """
        embeddings.projection    first 4,6
        .*attention.drop         none
        .*                       tokens+5 4,6
    """),
    "transformers-like BEiT": Case(lambda: nets.ViT((48, 48), biased=True), (1, 48, 48), """
        embeddings.projection    first 6
        .*attention.drop|.*relative_position_bias    none
        .*                       tokens+1 6
    """),
    "transformers-like Swin": Case(nets.Swin, (1, 64, 96), """
        projection               first 16,24
        .*attention.*|.*bias.*   none
        norm|blocks.[01].*       tokens 16,24
        downsample.norm          last 8,12
        downsample.reduction     last 8,12
        downsample|blocks.[23].*|layernorm    tokens 8,12
        pooler                   none
    """),
    "transformers-like SegFormer": Case(nets.Mixed, (3, 64, 96), """
        .*attention.drop         none
        patches.0|fuse|classifier    first 16,24
        patches.1                first 8,12
        (norms|blocks|linear).0.*    tokens 16,24
        (norms|blocks|linear).1.*    tokens 8,12
    """),
    "transformers-like DETR": Case(nets.Queries, (3, 64, 96), """
        backbone.*               first 8,12
        encoder.*                tokens 8,12
        decoder.*|boxes|classes  none
    """),
    "MONAI-like UNet, 2D": Case(lambda: volumes.UNet(2), (1, 32, 48), """
        model.submodule.submodule.*    first 8,12
        model.submodule.(up|down|join).*|model.submodule    first 16,24
        .*                       first 32,48
    """),
    "MONAI-like UNet, 3D": Case(lambda: volumes.UNet(3), (1, 16, 24, 32), """
        model.submodule.submodule.*    first 4,6,8
        model.submodule.(up|down|join).*|model.submodule    first 8,12,16
        .*                       first 16,24,32
    """),
    "MONAI-like attention U-Net": Case(lambda: volumes.AttentionUNet(2), (1, 32, 48), """
        deep.*                   first 16,24
        .*                       first 32,48
    """),
    "MONAI-like SegResNet": Case(volumes.SegResNet, (1, 16, 24, 32), """
        down|deep.*|up_sample.0  first 8,12,16
        .*                       first 16,24,32
    """),
    "MONAI-like DenseNet, 3D": Case(volumes.DenseNet, (1, 32, 32, 48), """
        features.[012]           first 16,16,24
        features.*|layers.*      first 8,8,12
        class_layers.*           none
    """),
    "MONAI-like ViT, 3D": Case(lambda: nets.ViT((16, 24, 32), 8, 0), (1, 16, 24, 32), """
        embeddings.projection    first 2,3,4
        .*attention.drop         none
        .*                       tokens 2,3,4
    """),
    "MONAI-like UNETR": Case(volumes.UNETR, (1, 32, 16, 48), """
        patch_embedding          first 4,2,6
        .*attention.drop         none
        blocks.*|norm            tokens 4,2,6
        decoder2.*               first 8,4,12
        .*                       first 32,16,48
    """),
    "MONAI-like SwinUNETR": Case(volumes.SwinUNETR, (1, 16, 32, 32), """
        patch_embed|encoder2.*|decoder2|join2.*    first 8,16,16
        .*attention.*|.*bias.*   none
        blocks.[01].*            last 8,16,16
        downsample.*|blocks.[23].*    last 4,8,8
        encoder3.*               first 4,8,8
        .*                       first 16,32,32
    """),
    "images in a row, 2.5D": Case(volumes.BySlices, (1, 8, 32, 48), """
        image.*                  none
        volume                   first 8,8,12
    """),
}  # fmt: skip

_ENCODER = "encoder.layers.encoder_layer_[0-9]+"
PACKAGES: dict[str, Case] = {
    "torchvision resnet18": _tv("resnet18", 96, """
        conv1|bn1|relu           first 48
        maxpool|layer1.*         first 24
        layer2.*                 first 12
        layer3.*                 first 6
        layer4.*                 first 3
        avgpool                  none
    """),
    "torchvision resnet50": _tv("resnet50", 96, """
        conv1|bn1|relu           first 48
        maxpool|layer1.*|layer2.0.(conv1|bn1)    first 24
        layer2.*|layer3.0.(conv1|bn1)    first 12
        layer3.*|layer4.0.(conv1|bn1)    first 6
        layer4.*                 first 3
        avgpool                  none
    """),
    "torchvision densenet121": _tv("densenet121", 96, """
        features.(conv0|norm0|relu0)    first 48
        features.(pool0|denseblock1.*|transition1.(norm|relu|conv))    first 24
        features.(transition1.*|denseblock2.*|transition2.(norm|relu|conv))    first 12
        features.(transition2.*|denseblock3.*|transition3.(norm|relu|conv))    first 6
        features.*               first 3
    """),
    "torchvision convnext_tiny": _tv("convnext_tiny", 96, """
        avgpool|classifier.*     none
        features.1.[0-9]+.block.[1-5]    last 24
        features.3.[0-9]+.block.[1-5]    last 12
        features.5.[0-9]+.block.[1-5]    last 6
        features.7.[0-9]+.block.[1-5]    last 3
        features.[01].*|features.2.0    first 24
        features.[23].*|features.4.0    first 12
        features.[45].*|features.6.0    first 6
        features.*               first 3
    """),
    "torchvision regnet_y_400mf": _tv("regnet_y_400mf", 96, """
        .*se.(avgpool|fc1|activation|fc2|scale_activation)|avgpool    none
        stem.*|.*block1-0.f.a.*  first 48
        .*block2-0.f.a.*         first 24
        .*block3-0.f.a.*         first 12
        .*block4-0.f.a.*         first 6
        trunk_output.block1.*    first 24
        trunk_output.block2.*    first 12
        trunk_output.block3.*    first 6
        trunk_output.*           first 3
    """),
    "torchvision shufflenet_v2_x0_5": _tv("shufflenet_v2_x0_5", 96, """
        conv1.*                  first 48
        maxpool|stage2.0.branch2.[012]    first 24
        stage2.*|stage3.0.branch2.[012]    first 12
        stage3.*|stage4.0.branch2.[012]    first 6
        .*                       first 3
    """),
    "torchvision swin_t": _tv("swin_t", 224, """
        features.0.0             first 56
        permute                  first 7
        avgpool|flatten          none
        features.[01].*          last 56
        features.[23].*          last 28
        features.[45].*          last 14
        .*                       last 7
    """),
    "torchvision swin_v2_t": _tv("swin_v2_t", 256, """
        features.0.0             first 64
        permute                  first 8
        avgpool|flatten          none
        features.2.reduction     last 32
        features.4.reduction     last 16
        features.6.reduction     last 8
        features.[01].*          last 64
        features.[23].*          last 32
        features.[45].*          last 16
        .*                       last 8
    """),
    "torchvision ViT": Case(partial(
        torchvision.models.VisionTransformer, 64, 8, 3, 2, 32, 48, num_classes=2,
    ), (3, 64, 64), f"""
        conv_proj                first 8
        encoder.dropout|encoder.ln|encoder|encoder.layers|{_ENCODER}.*    tokens+1 8
    """),
    "torchvision maxvit_t": _tv("maxvit_t", 224, """
        classifier.*|.*squeeze_excitation.(avgpool|fc1|activation|fc2|scale_activation)    none
        .*partition.*|.*attn_layer.*|.*mlp_layer.*    none
        stem.*|blocks.0.layers.0.layers.MBconv.layers.(pre_norm|conv_a).*    first 112
        blocks.0.*|blocks.1.layers.0.layers.MBconv.layers.(pre_norm|conv_a).*    first 56
        blocks.1.*|blocks.2.layers.0.layers.MBconv.layers.(pre_norm|conv_a).*    first 28
        blocks.2.*|blocks.3.layers.0.layers.MBconv.layers.(pre_norm|conv_a).*    first 14
        blocks.3.*               first 7
    """),
    "torchvision fcn_resnet50": _tv("fcn_resnet50", 96, """
        backbone.(conv1|bn1|relu)    first 48
        backbone.(maxpool|layer1.*|layer2.0.(conv1|bn1))    first 24
        .*                       first 12
    """, "out"),
    "torchvision r3d_18": Case(partial(torchvision.models.video.r3d_18, num_classes=2), (3, 8, 64, 96), """
        stem.*|layer1.*          first 8,32,48
        layer2.*                 first 4,16,24
        layer3.*                 first 2,8,12
        layer4.*                 first 1,4,6
        avgpool                  none
    """),
    "torchvision swin3d_t": Case(partial(
        torchvision.models.video.SwinTransformer3d, [2, 4, 4], 12, [2, 2], [2, 2], [4, 7, 7], num_classes=2,
    ), (3, 8, 64, 96), """
        patch_embed.proj         first 4,16,24
        avgpool                  none
        patch_embed.*|pos_drop|features.0.*    last 4,16,24
        features.*|norm          last 4,8,12
    """),
    "timm vit_tiny": _timm("vit_tiny_patch16_224", 96, """
        patch_embed.proj         first 6
        patch_embed              tokens 6
        head_drop|fc_norm        none
        .*                       tokens+1 6
    """, img_size=96, depth=3),
    "timm deit_tiny_distilled": _timm("deit_tiny_distilled_patch16_224", 96, """
        patch_embed.proj         first 6
        patch_embed              tokens 6
        head.*                   none
        .*                       tokens+2 6
    """, img_size=96, depth=3),
    "timm swin_tiny": _timm("swin_tiny_patch4_window7_224", 224, """
        patch_embed.proj         first 56
        layers.3.blocks.[01].attn    tokens 7
        .*attn|head.*            none
        layers.0.blocks.[0-9]+.mlp.*|layers.0.blocks.[0-9]+.(norm2|drop_path2)    tokens 56
        layers.1.blocks.[0-9]+.mlp.*|layers.1.blocks.[0-9]+.(norm2|drop_path2)    tokens 28
        layers.2.blocks.[0-9]+.mlp.*|layers.2.blocks.[0-9]+.(norm2|drop_path2)    tokens 14
        layers.3.blocks.[0-9]+.mlp.*|layers.3.blocks.[0-9]+.(norm2|drop_path2)    tokens 7
        patch_embed.*|layers.0.* last 56
        layers.1.*               last 28
        layers.2.*               last 14
        .*                       last 7
    """),
    "timm resmlp_12": _timm("resmlp_12_224", 224, """
        stem.proj                first 14
        .*linear_tokens          across 14
        head.*                   none
        .*                       tokens 14
    """),
    "timm poolformer_s12": _timm("poolformer_s12", 96, """
        head.*                   none
        stem.*|stages.0.*        first 24
        stages.1.*               first 12
        stages.2.*               first 6
        .*                       first 3
    """),
    "timm pvt_v2_b0": _timm("pvt_v2_b0", 224, """
        head.*|.*attn.*          none
        patch_embed.proj|stages.0.blocks.[01].mlp.(relu|dwconv)|stages.0    first 56
        patch_embed              last 56
        stages.0.*               tokens 56
        stages.1.downsample.proj|stages.1.blocks.[01].mlp.(relu|dwconv)|stages.1    first 28
        stages.1.downsample      last 28
        stages.1.*               tokens 28
        stages.2.downsample.proj|stages.2.blocks.[01].mlp.(relu|dwconv)|stages.2    first 14
        stages.2.downsample      last 14
        stages.2.*               tokens 14
        stages.3.downsample      last 7
        stages.3.downsample.proj|stages.3.blocks.[01].mlp.(relu|dwconv)|stages.3|stages    first 7
        stages.3.*               tokens 7
    """),
    "timm twins_svt_small": _timm("twins_svt_small", 224, """
        head.*|.*attn.*          none
        .*(patch_embeds|pos_block).0.proj.*    first 56
        .*(patch_embeds|pos_block).1.proj.*    first 28
        .*(patch_embeds|pos_block).2.proj.*    first 14
        .*(patch_embeds|pos_block).3.proj.*    first 7
        (pos_drops|blocks|pos_block|patch_embeds).0.*    tokens 56
        (pos_drops|blocks|pos_block|patch_embeds).1.*    tokens 28
        (pos_drops|blocks|pos_block|patch_embeds).2.*    tokens 14
        .*                       tokens 7
    """),
    "timm mobilevit_xxs": _timm("mobilevit_xxs", 256, """
        head.*|.*transformer.*|stages.[234].1.norm    none
        stem.*|stages.0.*|stages.1.0.conv1_1x1.*    first 128
        stages.1.*|stages.2.0.conv1_1x1.*    first 64
        stages.2.*|stages.3.0.conv1_1x1.*    first 32
        stages.3.*|stages.4.0.conv1_1x1.*    first 16
        .*                       first 8
    """),
    "timm edgenext_xx_small": _timm("edgenext_xx_small", 224, """
        head.*|.*xca.attn_drop|.*pos_embd.*    none
        stem.*                   first 56
        stages.0.blocks.[0-9].(norm|mlp.*)    last 56
        stages.1.blocks.[0-9].(norm|mlp.*)    last 28
        stages.2.blocks.[0-9].(norm|mlp.*)    last 14
        stages.3.blocks.[0-9].(norm|mlp.*)    last 7
        stages.1.*xca.*          tokens 28
        stages.2.*xca.*          tokens 14
        stages.3.*xca.*          tokens 7
        stages.0.*|stages.1.downsample.0    first 56
        stages.1.*|stages.2.downsample.0    first 28
        stages.2.*|stages.3.downsample.0    first 14
        .*                       first 7
    """),
    "timm xcit_tiny": _timm("xcit_tiny_12_p16_224", 224, """
        pos_embed.token_projection|head.*|.*attn_drop    none
        patch_embed.proj.0.*|patch_embed.proj.1    first 112
        patch_embed.proj.[23].*  first 56
        patch_embed.proj.[45].*  first 28
        patch_embed.proj.*       first 14
        pos_embed                none
        cls_attn_blocks.[01].(attn|mlp).*    none
        cls_attn_blocks.*|norm   tokens+1 14
        .*local_mp.(conv1|act|bn|conv2)    first 14
        .*                       tokens 14
    """),
    "timm cait_xxs24": _timm("cait_xxs24_224", 224, """
        patch_embed.proj         first 14
        .*attn.(proj_l|proj_w|attn_drop)|head.*    none
        blocks_token_only.[01].norm1|norm    tokens+1 14
        blocks_token_only.*      none
        .*                       tokens 14
    """, depth=4),
    "timm hiera_tiny": _timm("hiera_tiny_224", 224, """
        patch_embed.proj         first 56
        patch_embed              tokens 56
        blocks.9.proj|blocks.9.norm1|blocks.9.attn.qkv    none
        blocks.(9|1[01]).*|blocks    tokens 7
        .*                       none
    """),
    "timm coatnet_0": _timm("coatnet_0_rw_224", 224, """
        .*(se|se_early).(bn|act|fc1|fc2|gate|pool)|head.*    none
        stem.*|stages.0.blocks.0.pre_norm.*    first 112
        stages.0.blocks.0.(conv1_1x1|norm1.*).*    first 56
        stages.0.*|stages.1.blocks.0.pre_norm.*    first 56
        stages.1.*|stages.2.blocks.0.norm1.norm    first 28
        stages.2.*|stages.3.blocks.0.norm1.norm    first 14
        .*                       first 7
    """),
    "timm nest_tiny": _timm("nest_tiny", 224, """
        .*transformer_encoder.*|global_pool.*|head.*    none
        levels.1.pool.norm       last 56
        levels.2.pool.norm       last 28
        norm                     last 14
        patch_embed.*|levels.0.*|levels.1.pool.conv    first 56
        levels.1.*|levels.2.pool.conv    first 28
        .*                       first 14
    """),
    "timm mambaout_femto": _timm("mambaout_femto", 224, """
        head.*                   none
        stem.norm1               last 112
        stem.(conv1|act)         first 112
        stem.conv2|stages.0.blocks.[0-9].conv    first 56
        stem|stages.0.*          last 56
        stages.1.(downsample|blocks.[0-9]).conv    first 28
        stages.1.*               last 28
        stages.2.(downsample|blocks.[0-9]).conv    first 14
        stages.2.*               last 14
        stages.3.(downsample|blocks.[0-9]).conv    first 7
        .*                       last 7
    """),
}  # fmt: skip

CASES = MINIATURE | PACKAGES
