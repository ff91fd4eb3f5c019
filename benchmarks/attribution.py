# SPDX-License-Identifier: Apache-2.0
"""What explanations cost beside a bare forward, and beside captum and grad-cam.

Contestants take turns, so that a drifting machine drifts for all of them, on one network object in one
memory format; only where a peer is raced as people call it, it has the same network as it was built:
contiguous, and with weights that ask for gradients. A ratio is the median over rounds of the ratio within
a round, of the clock and of the processor's time. The networks have random weights: what they cost does
not depend on these.

    python benchmarks/attribution.py [--repeats 7] [--device cpu] [--only NAME,NAME] [--json] [--plots FOLDER]
"""

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from viewer.explain import explain, explainer, read_targets
from viewer.models import Card, Model
from viewer.models.architectures import build
from viewer.types import Display, Geometry, ModelInput, Series

LABELS = 14
NETS: dict[str, dict[str, Any]] = {
    "DenseNet-121": {"architecture": "torchvision:densenet121", "size": [224, 224]},
    "ResNet-50": {"architecture": "torchvision:resnet50", "size": [224, 224]},
    "ViT-B/16": {"architecture": "timm:vit_base_patch16_224", "size": [224, 224]},
    "3D ResNet-18": {"architecture": "torchvision:r3d_18", "size": [16, 112, 112]},
    "ResNet-18": {"architecture": "torchvision:resnet18", "size": [224, 224]},
}
Contestants = dict[str, Callable[[], object]]
Pair = tuple[str, str, str, float | None]
"""What a ratio is called, its two contestants, and its aim."""


def network(name: str, device: torch.device) -> tuple[Model, nn.Module]:
    """A network with random weights for 14 labels, and the module for the peers."""
    facts = NETS[name]
    card = Card.model_validate(
        {
            "name": name,
            "architecture": facts["architecture"],
            "arguments": {"num_classes": LABELS},
            "weights": "random",
            "input": {"dimensions": len(facts["size"]), "channels": 3, "size": facts["size"]},
            "output": {"labels": [f"label {i}" for i in range(LABELS)]},
        }
    )
    module = built(card)
    return Model(card, module, "0" * 64, device), module


def built(card: Card) -> nn.Module:
    """The network of a card, always with the same random weights."""
    torch.manual_seed(0)
    module = build(card.architecture, card.arguments)
    for m in module.modules():  # heads that start as zeros have no gradient to compute
        if isinstance(m, nn.Linear) and m.out_features == LABELS:
            nn.init.normal_(m.weight, std=0.1)
    return module


def pictures(model: Model, count: int = 1) -> list[ModelInput]:
    """Random slices, or one random volume."""
    size = model.card.input.size
    generator = torch.Generator().manual_seed(1)
    shape = tuple(size) if len(size) == 3 else (count, *size)
    voxels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    series = Series("benchmark", "picture", voxels, Geometry(np.eye(4)), Display(((1.0, 0.0),) * shape[0]))
    numbers: list[int | None] = [None] if len(size) == 3 else list(range(count))
    return [
        ModelInput(series, n, torch.randn(1, *model.input_shape, generator=generator), np.eye(4))
        for n in numbers
    ]


class Race:
    """One network before whom contestants take turns."""

    def __init__(self, name: str, device: torch.device, count: int = 1) -> None:
        self.model, self.module = network(name, device)
        self.inputs = pictures(self.model, count)
        self.x = self.model.batch(self.inputs)
        self.one = read_targets("label 0", self.model, self.inputs[0].series)
        self.every = read_targets("all", self.model, self.inputs[0].series)

    def ours(self, name: str, wishes: Any = None, batch: int = 16, **settings: Any) -> Callable[[], object]:
        """Our prediction and explanation by a method, as the program makes them."""
        method = explainer(name).configured(settings)

        def run() -> object:
            found = explain(self.model, self.inputs, [method], wishes or self.one, batch=batch)
            assert not found.refused, found.refused
            return found

        return run

    def bare(self) -> object:
        with torch.no_grad():
            return self.module(self.x)

    def as_called(self) -> tuple[nn.Module, torch.Tensor]:
        """The network and its input as those have them who just load one."""
        return built(self.model.card).eval().to(self.model.device), self.x.contiguous()


# --- races ---------------------------------------------------------------------------------------------


def race_cam(name: str, device: torch.device) -> tuple[Contestants, list[Pair]]:
    """Grad-CAM of one label and of all, beside a bare forward and, of DenseNet, the peers' loops."""
    race = Race(name, device)
    found: Contestants = {
        "bare forward": race.bare,
        "1 label": race.ours("grad-cam"),
        "14 labels": race.ours("grad-cam", race.every),
    }
    aims = (1.15, 1.35) if name.startswith("ViT") else (1.1, 1.15)
    pairs: list[Pair] = [
        (f"{name}: prediction + {labels} of Grad-CAM ÷ bare forward", labels, "bare forward", aim)
        for labels, aim in zip(("1 label", "14 labels"), aims, strict=True)
    ]
    if name != "DenseNet-121":
        return found, pairs
    from captum.attr import LayerGradCam
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layer: Any = race.module.features
    captum = LayerGradCam(race.module, layer)

    def peer() -> object:
        # Its hooks live as long as it does, so it is made and ended for each round.
        with GradCAM(model=race.module, target_layers=[layer]) as other:
            return [other(input_tensor=race.x, targets=[ClassifierOutputTarget(i)]) for i in range(LABELS)]

    found["captum's loop"] = lambda: [captum.attribute(race.x, target=i) for i in range(LABELS)]
    found["grad-cam's loop"] = peer
    pairs += [
        ("14 Grad-CAMs ÷ captum's loop", "14 labels", "captum's loop", 0.1),
        ("14 Grad-CAMs ÷ grad-cam's loop", "14 labels", "grad-cam's loop", 0.04),
    ]
    return found, pairs


def race_gradients(device: torch.device) -> tuple[Contestants, list[Pair]]:
    """Integrated gradients of 50 steps, and until the completeness error is under 1 %."""
    from captum.attr import IntegratedGradients

    race = Race("ResNet-50", device)
    chunk = 50 if device.type == "cuda" else 8

    def captum(module: nn.Module, x: torch.Tensor, size: int) -> Callable[[], object]:
        peer, zero = IntegratedGradients(module), torch.zeros_like(x)
        return lambda: peer.attribute(x, zero, target=0, n_steps=50, internal_batch_size=size)

    fixed: dict[str, Any] = {"steps": "50", "baseline": "zero"}
    found: Contestants = {
        "50 steps": race.ours("integrated-gradients", **fixed),
        "50 steps, captum, 10 at once": captum(*race.as_called(), 10),
        "50 steps, captum, tuned alike": captum(race.module, race.x, chunk),
        "until under 1 %": race.ours("integrated-gradients", baseline="zero"),
    }
    called, tuned = "50 steps, captum, 10 at once", "50 steps, captum, tuned alike"
    return found, [
        ("IG of 50 steps ÷ captum as called", "50 steps", called, 0.9),
        ("IG of 50 steps ÷ captum tuned alike", "50 steps", tuned, 1.05),
        ("IG until < 1 % ÷ captum of 50 steps, as called", "until under 1 %", called, 0.6),
        ("IG until < 1 % ÷ captum of 50 steps, tuned", "until under 1 %", tuned, None),
    ]


def race_occlusion(device: torch.device) -> tuple[Contestants, list[Pair]]:
    """169 windows of 32² over 224²."""
    from captum.attr import Occlusion

    race = Race("ResNet-50", device)
    size = 64 if device.type == "cuda" else 8

    def captum(module: nn.Module, x: torch.Tensor, at_once: int) -> Callable[[], object]:
        peer, window = Occlusion(module), ((3, 32, 32), (3, 16, 16), 0.0)

        def run() -> object:
            with torch.no_grad():
                return peer.attribute(x, *window, target=0, perturbations_per_eval=at_once)

        return run

    def bare() -> object:
        """As many images, in the same batches, and nothing else: what no occlusion can fall below."""
        with torch.no_grad():
            return [
                race.module(race.x.expand(len(some), -1, -1, -1)) for some in torch.arange(169).split(size)
            ]

    settings: dict[str, Any] = {"window": "32", "stride": "16", "baseline": "zero"}
    found: Contestants = {
        "ours": race.ours("occlusion", **settings),
        "captum": captum(*race.as_called(), 1),
        "captum, tuned alike": captum(race.module, race.x, size),
        "14 labels": race.ours("occlusion", race.every, **settings),
        "bare forwards, some at once": bare,
    }
    return found, [
        ("occlusion ÷ captum's default", "ours", "captum", 0.5),
        ("bare forwards, some at once ÷ captum's default", "bare forwards, some at once", "captum", None),
        ("occlusion ÷ captum tuned alike", "ours", "captum, tuned alike", 1.05),
        ("occlusion of 14 labels ÷ of one", "14 labels", "ours", None),
    ]


def race_score_cam(device: torch.device) -> tuple[Contestants, list[Pair]]:
    """512 channels of the last stage of ResNet-18."""
    from pytorch_grad_cam import ScoreCAM
    from pytorch_grad_cam import score_cam as package
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    package.tqdm = _Quiet
    race = Race("ResNet-18", device)

    def peer(module: Any, x: torch.Tensor) -> Callable[[], object]:
        def run() -> object:
            with ScoreCAM(model=module, target_layers=[module.layer4]) as other:
                return other(input_tensor=x, targets=[ClassifierOutputTarget(0)])

        return run

    found: Contestants = {
        "ours": race.ours("score-cam", layer="layer4"),
        "grad-cam": peer(*race.as_called()),
        "grad-cam, in our memory format": peer(race.module, race.x),
    }
    return found, [
        ("Score-CAM ÷ grad-cam", "ours", "grad-cam", 0.85),
        ("Score-CAM ÷ grad-cam in our memory format", "ours", "grad-cam, in our memory format", None),
    ]


class _Quiet:
    """In the place of tqdm: no progress bar among the figures."""

    @staticmethod
    def tqdm(steps: Any) -> Any:
        return steps


def race_slices(device: torch.device) -> tuple[Contestants, list[Pair]]:
    """100 slices with prediction and Grad-CAM, beside the forwards alone in the same batches."""
    race = Race("ResNet-18", device, 100)

    def batched() -> object:
        with torch.no_grad():
            return [race.module(some) for some in race.x.split(16)]

    found: Contestants = {"batched forwards": batched, "100 slices": race.ours("grad-cam")}
    return found, [("100 slices ÷ batched forwards", "100 slices", "batched forwards", 1.1)]


RACES: dict[str, Callable[[torch.device], tuple[Contestants, list[Pair]]]] = {
    **{f"cam {n}": partial(race_cam, n) for n in list(NETS)[:4]},
    "gradients": race_gradients,
    "occlusion": race_occlusion,
    "score-cam": race_score_cam,
    "slices": race_slices,
}


# --- timing --------------------------------------------------------------------------------------------


def timed(run: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - clock, time.process_time() - processor


def measure(found: Contestants, repeats: int, device: torch.device) -> dict[str, list[tuple[float, float]]]:
    """What every contestant took in every round, after one round that does not count."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in found}
    for round_ in range(repeats + 1):
        for name, run in found.items():
            seconds = timed(run, device)
            if round_:
                taken[name].append(seconds)
    return taken


def spread(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def result(name: str, repeats: int, device: torch.device) -> dict[str, Any]:
    """One race: milliseconds of all contestants and the ratios, by the clock and the processor."""
    found, pairs = RACES[name](device)
    taken = measure(found, repeats, device)
    gc.collect()
    ratios = {}
    for words, a, b, aim in pairs:
        by = [[x[k] / y[k] for x, y in zip(taken[a], taken[b], strict=True)] for k in (0, 1)]
        ratios[words] = {**spread(by[0]), "processor": statistics.median(by[1]), "aim": aim}
    return {
        "milliseconds": {n: spread([1000 * clock for clock, _ in some]) for n, some in taken.items()},
        "ratios": ratios,
    }


# --- memory --------------------------------------------------------------------------------------------


def peak(steps: int, device: torch.device) -> int:
    """The most bytes that integrated gradients of so many steps had, in this process."""
    race = Race("ResNet-18", device)
    settings: dict[str, Any] = {"steps": str(steps), "baseline": "zero", "chunk": "8"}
    race.ours("integrated-gradients", **settings)()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if (
        status.is_file()
    ):  # where the figure that all systems have may be that of the process that started this
        (line,) = [one for one in status.read_text().splitlines() if one.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory(device: torch.device) -> dict[str, float]:
    """Peak MiB of 50 and of 500 steps, each in a process of its own, and their ratio."""
    found = {}
    for steps in (50, 500):
        words = [sys.executable, __file__, "--peak", str(steps), "--device", str(device)]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        found[f"IG of {steps} steps"] = int(done.stdout) / 2**20
    return found | {"ratio": found["IG of 500 steps"] / found["IG of 50 steps"]}


# --- how it grows ---------------------------------------------------------------------------------------


def growth(device: torch.device) -> dict[str, dict[int, float]]:
    """Milliseconds against labels, steps and slices; ResNet-18, medians of three."""
    race = Race("ResNet-18", device)
    many = Race("ResNet-18", device, 64)
    slices, cam = many.inputs, explainer("grad-cam")()

    def of_slices(count: int) -> Callable[[], object]:
        return lambda: explain(many.model, slices[:count], [cam], many.one)

    def of_steps(count: int) -> Callable[[], object]:
        settings: dict[str, Any] = {"steps": str(count), "baseline": "zero"}
        return race.ours("integrated-gradients", **settings)

    def of_labels(count: int) -> Callable[[], object]:
        return race.ours("grad-cam", race.every[:count])

    kinds: dict[str, tuple[Callable[[int], Callable[[], object]], tuple[int, ...]]] = {
        "labels (Grad-CAM)": (of_labels, (1, 2, 4, 8, 14)),
        "steps (integrated gradients)": (of_steps, (8, 16, 32, 64, 128)),
        "slices (Grad-CAM)": (of_slices, (1, 4, 16, 32, 64)),
    }
    found: dict[str, dict[int, float]] = {}
    for kind, (make, counts) in kinds.items():
        found[kind] = {}
        for count in counts:
            run = make(count)
            run()
            found[kind][count] = 1000 * statistics.median(timed(run, device)[0] for _ in range(3))
    return found


def plot(found: dict[str, dict[int, float]], device: str, folder: Path) -> None:
    """One picture with a line for each kind of growth."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(found), figsize=(12, 3.4), layout="constrained")
    for axis, (kind, points) in zip(axes, found.items(), strict=True):
        axis.plot(list(points), list(points.values()), "o-", color="#0b6fa8")
        axis.set(xlabel=kind, ylabel="ms", ylim=(0, None), xlim=(0, None))
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"ResNet-18, 224², {device}", fontsize=10)
    folder.mkdir(parents=True, exist_ok=True)
    name = device.split(",")[0].lower().replace(" ", "-")
    figure.savefig(folder / f"growth-{name}.png", dpi=110)


# --- words ----------------------------------------------------------------------------------------------


def told(document: dict[str, Any]) -> Iterator[str]:
    """The document as lines."""
    for name, race in document.get("races", {}).items():
        yield name
        for contestant, some in race["milliseconds"].items():
            span = f"({some['lowest']:.1f} … {some['highest']:.1f})"
            yield f"    {contestant:<32} {some['median']:9.1f} ms  {span}"
        for words, some in race["ratios"].items():
            aim = "" if some["aim"] is None else f"  aim ≤ {some['aim']}"
            missed = "  missed" if some["aim"] is not None and some["median"] > some["aim"] else ""
            span = f"({some['lowest']:.3f} … {some['highest']:.3f})"
            yield f"  {words:<52} {some['median']:6.3f} {span}  {some['processor']:.3f}{aim}{missed}"
    for words, value in document.get("memory", {}).items():
        yield f"  peak memory, {words:<20} {value:8.2f}{'' if words == 'ratio' else ' MiB'}"
    for kind, points in document.get("growth", {}).items():
        yield f"  {kind}: " + ", ".join(f"{count}: {ms:.0f} ms" for count, ms in points.items())


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--repeats", type=int, default=7)
    words.add_argument("--device", default="cpu")
    words.add_argument("--only", help=f"of {', '.join([*RACES, 'memory', 'growth'])}")
    words.add_argument("--json", action="store_true")
    words.add_argument("--plots", type=Path)
    words.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    asked = words.parse_args()
    device = torch.device(asked.device)
    torch.backends.cudnn.allow_tf32 = (
        False  # as the program has it, so that all compute in the same precision
    )
    if asked.peak:
        print(peak(asked.peak, device))
        return
    chosen = [*RACES, "memory", "growth"] if asked.only is None else asked.only.split(",")
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else f"CPU, {torch.get_num_threads()} threads"
    document: dict[str, Any] = {"device": name, "repeats": asked.repeats, "races": {}}

    def tell(part: dict[str, Any]) -> None:
        if not asked.json:
            print(*told(part), sep="\n", flush=True)

    if not asked.json:
        print(f"{name}; median (lowest … highest) of {asked.repeats} rounds, then the processor's time")
    for race in RACES:
        if race in chosen:
            document["races"][race] = result(race, asked.repeats, device)
            tell({"races": {race: document["races"][race]}})
    if "memory" in chosen:
        document["memory"] = memory(device)
        tell({"memory": document["memory"]})
    if "growth" in chosen:
        document["growth"] = growth(device)
        tell({"growth": document["growth"]})
        if asked.plots is not None:
            plot(document["growth"], name, asked.plots)
    if asked.json:
        print(json.dumps(document, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
