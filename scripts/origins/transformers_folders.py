# SPDX-License-Identifier: Apache-2.0
"""Saves a miniature network of every family of `transformers` that is read here, as that package saves it.

Seeded random weights, and beside each what its origin gives of one input: `tests/models/transformers` holds
the result. Run where transformers is installed, which the tests do without:

    python scripts/origins/transformers_folders.py tests/models/transformers
"""

import argparse
import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

_LABELS = ("normal", "pneumonia", "effusion")
_NAMES: dict[str, Any] = {
    "id2label": dict(enumerate(_LABELS)),
    "label2id": {name: i for i, name in enumerate(_LABELS)},
}
_WIDE: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8,
}  # fmt: skip
_TOKENS: dict[str, Any] = _WIDE | {"intermediate_size": 24}
_SWIN: dict[str, Any] = {
    "image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 4],
    "window_size": 4,
}  # fmt: skip
_STAGES: dict[str, Any] = {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 2, 1, 1]}
_TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}

NETS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViT", _TOKENS),
    "deit": ("DeiT", _TOKENS),
    "deit-teacher": ("DeiT", _TOKENS),
    "beit": ("Beit", _TOKENS | {"use_relative_position_bias": True}),
    "beit-shared": ("Beit", _TOKENS | {
        "use_shared_relative_position_bias": True, "use_absolute_position_embeddings": True,
        "use_mean_pooling": False,
    }),
    "data2vec": ("Data2VecVision", _TOKENS | {"use_relative_position_bias": True}),
    "dinov2": ("Dinov2", _WIDE | {"mlp_ratio": 2}),
    "dinov2-gated": ("Dinov2", _WIDE | {"mlp_ratio": 3, "use_swiglu_ffn": True}),
    "dinov2-registers": ("Dinov2WithRegisters", _WIDE | {"mlp_ratio": 2, "num_register_tokens": 3}),
    "siglip": ("Siglip", {"vision_config": _TOKENS, "text_config": _TEXT}),
    "swin": ("Swin", _SWIN),
    "swinv2": ("Swinv2", _SWIN),
    "convnext": ("ConvNext", _STAGES | {"image_size": 32}),
    "convnextv2": ("ConvNextV2", _STAGES | {"image_size": 32}),
    "resnet-basic": ("ResNet", _STAGES | {"embedding_size": 8, "layer_type": "basic"}),
    "resnet-bottleneck": ("ResNet", _STAGES | {"embedding_size": 8, "downsample_in_bottleneck": True}),
}  # fmt: skip
_SIDE = {"dinov2": 48, "dinov2-registers": 48}
"""Pixels of the images it is asked about, where they are not those of its `image_size`."""


def network(name: str) -> Any:
    """One of them, with weights and statistics that leave nothing at 0 or 1."""
    hub = importlib.import_module("transformers")
    stem, settings = NETS[name]
    head = "ForImageClassificationWithTeacher" if name.endswith("teacher") else "ForImageClassification"
    torch.manual_seed(1)
    net = getattr(hub, stem + head)(getattr(hub, f"{stem}Config")(**settings, **_NAMES)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        for key, buffer in net.named_buffers():
            if key.endswith("running_mean"):
                buffer.normal_(0, 0.1)
            elif key.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return net


def save(name: str, folder: Path) -> None:
    """Write its folder: what transformers writes, an image with its logits (`truth.safetensors`), and where
    modules have other names than the saved file, the state dict by those (`modules.safetensors`)."""
    shutil.rmtree(folder, ignore_errors=True)
    net = network(name)
    net.save_pretrained(folder)
    side = _SIDE.get(name, 32)
    seen = {
        "do_resize": True, "size": {"height": side, "width": side}, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.25, 0.25, 0.2],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(seen, indent=1) + "\n")
    torch.manual_seed(2)
    image = torch.randn(1, 3, side, side)
    with torch.no_grad():
        logits = net(image).logits
    save_file({"image": image, "logits": logits}, folder / "truth.safetensors")
    state = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    if state.keys() != load_file(folder / "model.safetensors").keys():
        save_file(state, folder / "modules.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    for name in NETS:
        save(name, parser.parse_args().folder / name)


if __name__ == "__main__":
    main()
