# SPDX-License-Identifier: Apache-2.0
"""What explanations cost beside a bare forward, and beside captum and grad-cam.

The contestants (`races.py`) take turns, so that a drifting machine drifts for all of them. A ratio is the
median over rounds of the ratio within a round, of the clock and of the processor's time.

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
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from races import RACES, Contestants, Race

from viewer.explain import explain, explainer

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
