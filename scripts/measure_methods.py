# SPDX-License-Identifier: Apache-2.0
"""Measures every method that is found on networks whose cause is known: docs/methods-measured.md.

`python scripts/measure_methods.py [--cases N] [--seconds S] [--out FILE]`. A method takes part by being
installed. Slow ones get fewer cases: each may take S seconds on a network, and never less than four cases.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from planted import SIZES, Cause, Kind, Phantom, as_input, cases, phantom, train

from viewer.errors import WhyscopeError
from viewer.explain import Explainer, baseline, discover, explain
from viewer.models import Model
from viewer.overlay import on_source
from viewer.task import Task
from viewer.trust import area, changed, first_cells, mass_in, peak_hit
from viewer.types import Attribution, ModelInput

Map = NDArray[np.float32]
NETS: tuple[tuple[Kind, Cause], ...] = (
    ("cnn", "lesion"), ("cnn", "shortcut"), ("vit", "lesion"), ("vit", "shortcut"),
    ("cnn3d", "lesion"), ("cnn3d", "shortcut"),
)  # fmt: skip
TITLES = {"cnn": "CNN", "vit": "ViT", "cnn3d": "3D CNN"}
SEED = 777_000_000
"""No network learned from the cases that follow from it."""
STEPS = 24
LEAST = 4


@dataclass
class Row:
    """What was counted for a method on one network; the lists have a number a case."""

    method: str
    family: str
    hits: list[bool] = field(default_factory=list)
    others: list[bool] = field(default_factory=list)
    mass: list[float] = field(default_factory=list)
    deletion: list[float] = field(default_factory=list)
    insertion: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    refused: str = ""


@dataclass
class Net:
    """A network, its cases with lesion and marker that it calls, and what taking either away does."""

    kind: Kind
    cause: Cause
    model: Model
    shown: list[Phantom]
    right: float
    drops: dict[str, list[float]]
    said: list[float]
    """The logits of the cases."""
    share: float
    """Mean share of the image that the truth is."""
    rows: list[Row] = field(default_factory=list)


def truth(case: Phantom, cause: Cause) -> NDArray[np.bool_]:
    """Where the cause of the label is."""
    return case.lesion if cause == "lesion" else case.marker


def other(case: Phantom, cause: Cause) -> NDArray[np.bool_]:
    """Where the thing is that has nothing to do with the label."""
    return case.marker if cause == "lesion" else case.lesion


def logits(model: Model, images: Sequence[NDArray[np.float32]]) -> list[float]:
    """What a network says of images."""
    return [p.scores[0].logit for p in model.predict([as_input(image) for image in images])]


def prepared(kind: Kind, cause: Cause, count: int, say: Callable[[str], None] = lambda _: None) -> Net:
    """A trained network and unseen cases that show lesion and marker both, of which it calls the positive.

    What it looks at is proved by painting either over with what the same phantom has without it.
    """
    model, size = train(kind, cause, say=say), SIZES[kind]
    made, labels = cases(size, cause, 200, SEED)
    said = np.array(logits(model, [p.image for p in made])) > 0
    shown: list[Phantom] = []
    drops: dict[str, list[float]] = {"lesion": [], "marker": []}
    said_of: list[float] = []
    n = 0
    while len(shown) < count and n < 20 * count:
        whole, bare, lone = (
            phantom(size, lesion, marker, np.random.default_rng(SEED + 1 + n))
            for lesion, marker in ((True, True), (False, True), (True, False))
        )
        n += 1
        both, without_lesion, without_marker = logits(model, [whole.image, bare.image, lone.image])
        if both > 0:
            shown.append(whole)
            said_of.append(both)
            drops["lesion"].append(both - without_lesion)
            drops["marker"].append(both - without_marker)
    share = float(np.mean([truth(case, cause).mean() for case in shown]))
    return Net(kind, cause, model, shown, float((said == labels).mean()), drops, said_of, share)


def field_of(attribution: Attribution) -> Map:
    """A map on the pixels of its image, as a reader sees it: (rows, columns) or (slices, rows, columns)."""
    if attribution.slice is not None:
        return on_source(attribution, attribution.slice)
    return np.stack([on_source(attribution, i) for i in range(attribution.series.shape[0])])


def count(row: Row, net: Net, case: Phantom, values: Map, reach: Sequence[float]) -> None:
    """Add one map to a method's numbers; `reach` is a native cell in pixels."""
    row.hits.append(peak_hit(values, truth(case, net.cause), reach))
    row.others.append(peak_hit(values, other(case, net.cause), reach))
    row.mass.append(mass_in(values, truth(case, net.cause)))
    image = torch.from_numpy(case.image.copy())[None, None]
    empty = baseline(image, "blur")[0].numpy()
    cells = first_cells(values, STEPS)
    for insertion, found in ((False, row.deletion), (True, row.insertion)):
        steps = changed(case.image[None], empty, cells, insertion)
        x = torch.from_numpy(np.ascontiguousarray(steps, dtype=np.float32))
        with net.model.guarded(Task()) as forward, torch.no_grad():
            found.append(area(net.model.run(forward, x)[:, 0].sigmoid().numpy()))


def measure(net: Net, seconds: float, say: Callable[[str], None] = lambda _: None) -> None:
    """Fill a network's rows: the references first, then every method that is found."""
    for name in ("random", "intensity"):
        row = Row(name, "reference")
        for i, case in enumerate(net.shown):
            values = case.image if name == "intensity" else np.random.default_rng(i).random(case.image.shape)
            count(row, net, case, np.asarray(values, np.float32), [1.0] * case.image.ndim)
        net.rows.append(row)
    for found in discover():
        try:
            method = found.load()()
        except WhyscopeError as error:
            net.rows.append(Row(found.name, "", refused=str(error)))
            continue
        net.rows.append(_measured(method, net, seconds))
        row = net.rows[-1]
        say(f"{net.model.name}: {row.method}: {row.refused or f'{np.mean(row.hits):.2f} of {len(row.hits)}'}")


def _measured(method: Explainer, net: Net, seconds: float) -> Row:
    row, begun = Row(method.name, method.family), time.perf_counter()
    for case in net.shown:
        if len(row.hits) >= LEAST and time.perf_counter() - begun > seconds:
            break
        source: ModelInput = as_input(case.image)
        start = time.perf_counter()
        explained = explain(net.model, [source], [method])
        took = time.perf_counter() - start
        if explained.refused:
            row.refused = explained.refused[0][1]
            break
        attribution = explained.attributions[0]
        row.seconds.append(took)
        cell = np.abs(attribution.matrix[:3, :3]).sum(1)[3 - case.image.ndim :]
        cell = cell * float(method.fitted(net.model).settings().get("stride") or 1)
        count(row, net, case, field_of(attribution), cell.tolist())
    return row


# --- the page -------------------------------------------------------------------------------------


def _spread(values: Sequence[float], digits: int = 2) -> str:
    known = np.array([v for v in values if np.isfinite(v)])
    return f"{known.mean():.{digits}f} ± {known.std():.{digits}f}" if known.size else "none"


def _share(hits: Sequence[bool]) -> str:
    return f"{np.mean(hits):.2f}"


HEAD = """# What the methods find where the cause is known

Made by `python scripts/measure_methods.py`. Small networks learned from phantoms of smooth structure and
noise (`scripts/planted.py`) in which a lesion (a soft blob) and a marker (a letter burned into a corner)
may be. Those of *lesion* learned to call lesions, and markers came by chance. Those of *shortcut* learned
from positives that all have a marker: the planted shortcut; lesions came by chance. Every method that is
installed explains unseen images that show **both** and that the network calls positive. Defaults
everywhere; one CPU thread on a busy machine, so that seconds only compare roughly.

- **hit**: the highest value lies on the cause, or at most one native cell beside it (for occlusion a step
  of its window; of a superpixel every pixel counts). **other**: the same for the thing that is no cause; a
  map that hits it misleads.
- **mass**: share of the positive values that lies on the cause. On average a random map has the share of
  the image that the cause covers, which stands above each table; of coarse cells most lies beside a small
  truth.
- **deletion** (low is good), **insertion** (high is good): area under the score as the image is blurred
  from the highest value of the map on, or unblurred; {steps} steps. They tell whether what is marked moves
  the score, and mean something only beside the rows *random* and *intensity*: a blurred image is none that
  the network learned from.
- **n**: cases, in the lists below the first table the fewest on any network. ± is the standard deviation
  over them.

A logit that is nearly the same of all images is saturated: more of the cause would not raise it, and its
gradient there is a remainder that tells little of what made it (Sundararajan et al., ICML 2017). Methods that
rest on one gradient then point anywhere; those that compare with an image without the cause do not.

Everything is made up and small: the numbers say how methods do on these networks, nothing about patients.

The networks are trained anew by each run. Runs at different times gave different networks from the same
seeds, and with them other rates: a difference between two methods on one network is no rank of methods.
"""


def _summary(nets: Sequence[Net]) -> Iterator[str]:
    """Which methods can be relied on here, which miss, and which are drawn to what is no cause; each with the
    least number of cases that it had on a network."""
    rows: dict[str, list[Row]] = {}
    for row in (row for net in nets for row in net.rows if row.hits and row.family != "reference"):
        rows.setdefault(row.method, []).append(row)
    said = {
        "The peak is on the cause in at least 80 % of cases on every network that they suit": [
            name for name, some in rows.items() if min(np.mean(r.hits) for r in some) >= 0.8
        ],
        "It misses in more than half of the cases on some network": [
            name for name, some in rows.items() if min(np.mean(r.hits) for r in some) < 0.5
        ],
        "It is on what is no cause in more than 20 % of cases on some network": [
            name for name, some in rows.items() if max(np.mean(r.others) for r in some) > 0.2
        ],
    }
    least = {name: min(len(row.hits) for row in some) for name, some in rows.items()}
    for words, names in said.items():
        listed = ", ".join(f"{name} (n {least[name]})" for name in names)
        yield f"- {words}: {listed or 'none'}."


def page(nets: Sequence[Net]) -> Iterator[str]:
    """The document, line by line."""
    yield HEAD.format(steps=STEPS)
    yield "## Do the maps find the cause?"
    yield ""
    yield "The hit rate, and behind it that of the thing that is no cause."
    yield ""
    yield "| method | family | " + " | ".join(f"{TITLES[n.kind]}, {n.cause}" for n in nets) + " |"
    yield "|---|---|" + "---|" * len(nets)
    names = list(dict.fromkeys((row.method, row.family) for net in nets for row in net.rows))
    for name, family in names:
        rows = [next(row for row in net.rows if row.method == name) for net in nets]
        cells = [f"{_share(r.hits)} / {_share(r.others)}" if r.hits else "–" for r in rows]
        yield f"| {name} | {family} | {' | '.join(cells)} |"
    yield ""
    yield "– : the method does not suit the network."
    yield ""
    yield from _summary(nets)
    for net in nets:
        yield ""
        yield f"## {TITLES[net.kind]}, {net.cause}"
        yield ""
        lesion, marker = (_spread(net.drops[name], 1) for name in ("lesion", "marker"))
        yield (
            f"Right on {100 * net.right:.0f} % of 200 unseen images. Without the lesion the logit falls by "
            f"{lesion}, without the marker by {marker} ({len(net.shown)} images with both). "
            f"The logits of these are {_spread(net.said)}. "
            f"The {'lesion' if net.cause == 'lesion' else 'marker'} is {100 * net.share:.1f} % of the image."
        )
        yield ""
        yield "| method | n | hit | other | mass | deletion | insertion | s a map |"
        yield "|---|---|---|---|---|---|---|---|"
        for row in net.rows:
            if row.hits:
                took = f"{np.median(row.seconds):.3f}" if row.seconds else "–"
                numbers = " | ".join(_spread(v) for v in (row.mass, row.deletion, row.insertion))
                hits = f"{len(row.hits)} | {_share(row.hits)} | {_share(row.others)}"
                yield f"| {row.method} | {hits} | {numbers} | {took} |"
        refused = [row for row in net.rows if row.refused]
        if refused:
            yield ""
            reasons = dict.fromkeys(row.refused for row in refused)
            for reason in reasons:
                yield f"- {', '.join(r.method for r in refused if r.refused == reason)}: {reason}"


def main(words: Sequence[str]) -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=8)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--out", type=Path, default=root / "docs" / "methods-measured.md")
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    nets = []
    for kind, cause in NETS:
        net = prepared(kind, cause, asked.cases, _say)
        measure(net, asked.seconds, _say)
        nets.append(net)
    asked.out.write_text("\n".join(page(nets)) + "\n", encoding="utf-8")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
