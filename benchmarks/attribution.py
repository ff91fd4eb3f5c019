"""How much an explanation costs beside a bare forward, and beside captum and grad-cam.

One run, one network object, one memory format; the contestants take turns, so that a drifting
machine drifts for all of them; the ratio is the median over rounds of the ratio within a round.

    python benchmarks/attribution.py [--repeats 9] [--device cpu] [--json]
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from viewer.explain import explain, explainer, read_targets
from viewer.models import Card, Model
from viewer.models.architectures import build
from viewer.types import Display, Geometry, Series

LABELS = 14
AIMS = {
    "prediction + 1 Grad-CAM ÷ bare forward": 1.10,
    "prediction + 14 Grad-CAMs ÷ bare forward": 1.15,
    "14 Grad-CAMs ÷ captum's loop": 0.1,
    "14 Grad-CAMs ÷ grad-cam's loop": 0.04,
}


def densenet(device: torch.device) -> tuple[Model, nn.Module]:
    """DenseNet-121 with random weights for 14 labels at 224², and its network for the peers."""
    torch.manual_seed(0)
    card = Card.model_validate(
        {
            "name": "DenseNet-121",
            "architecture": "torchvision:densenet121",
            "arguments": {"num_classes": LABELS},
            "weights": "random",
            "input": {"channels": 3, "size": [224, 224]},
            "output": {"labels": [f"label {i}" for i in range(LABELS)]},
        }
    )
    network = build(card.architecture, card.arguments)
    return Model(card, network, "0" * 64, device), network


def picture() -> Series:
    """A random grey picture of 224²."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, 224, 224)).astype(np.uint8)
    return Series("benchmark", "picture", pixels, Geometry(np.eye(4)), Display(((1.0, 0.0),)))


def contestants(model: Model, net: Any) -> dict[str, Callable[[], object]]:
    """What is timed; every contestant runs the same network on the same tensor."""
    from captum.attr import LayerGradCam
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    source = [model.prepare(picture(), 0)]
    x = model.batch(source)
    method = explainer("grad-cam")()
    one = read_targets("label 0", model, source[0].series)
    every = read_targets("all", model, source[0].series)
    captum = LayerGradCam(net, net.features)

    def bare() -> object:
        with torch.no_grad():
            return net(x)

    def captum_loop() -> object:
        return [captum.attribute(x, target=i) for i in range(LABELS)]

    def peer_loop() -> object:
        # Its hooks live as long as it does, so it is made and ended for each round.
        with GradCAM(model=net, target_layers=[net.features]) as peer:
            return [peer(input_tensor=x, targets=[ClassifierOutputTarget(i)]) for i in range(LABELS)]

    return {
        "bare forward": bare,
        "prediction + 1 Grad-CAM": lambda: explain(model, source, [method], one),
        "prediction + 14 Grad-CAMs": lambda: explain(model, source, [method], every),
        "captum, 14 labels": captum_loop,
        "grad-cam, 14 labels": peer_loop,
    }


def measure(
    timed: dict[str, Callable[[], object]], repeats: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of every contestant in every round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for round_ in range(repeats + 1):
        for name, run in timed.items():
            start = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if round_:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratios(seconds: dict[str, list[float]]) -> dict[str, list[float]]:
    """The ratios that have an aim, round by round."""
    bare, one, every, captum, peer = seconds.values()
    pairs = dict(zip(AIMS, ((one, bare), (every, bare), (every, captum), (every, peer)), strict=True))
    return {name: [a / b for a, b in zip(*pair, strict=True)] for name, pair in pairs.items()}


def spread(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--repeats", type=int, default=9)
    words.add_argument("--device", default="cpu")
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    device = torch.device(asked.device)
    model, network = densenet(device)
    seconds = measure(contestants(model, network), asked.repeats, device)
    result = {
        "network": f"{model.name}, 224², {LABELS} labels",
        "device": f"{model.device_name}, {torch.get_num_threads()} threads",
        "repeats": asked.repeats,
        "milliseconds": {n: spread([1000 * v for v in values]) for n, values in seconds.items()},
        "ratios": {n: spread(v) | {"aim": AIMS[n]} for n, v in ratios(seconds).items()},
    }
    if asked.json:
        print(json.dumps(result, indent=1, ensure_ascii=False))
        return
    print(f"{result['network']}, {result['device']}; median (lowest … highest) of {asked.repeats} rounds")
    for name, some in result["milliseconds"].items():
        print(f"  {name:<42} {some['median']:8.1f} ms  ({some['lowest']:.1f} … {some['highest']:.1f})")
    for name, some in result["ratios"].items():
        print(
            f"  {name:<42} {some['median']:8.3f}     ({some['lowest']:.3f} … {some['highest']:.3f})"
            f"  aim ≤ {some['aim']}"
        )


if __name__ == "__main__":
    main()
