"""How often a map points at the nodule, for every explainer that suits a model: docs/demo-measured.md.

The phantoms are patients that no network learned from, written as DICOM and read again, so that what is
measured is the whole way from a file to a map. Of the ill only those that the model calls are counted.
"""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from studies import Mask, Person, ct, ct_files, radiograph_file, shot
from train import CHEST_3D, RECIPES, auc

from viewer import affine, dicom, session
from viewer.explain import discover
from viewer.models import Model
from viewer.types import Attribution, Series
from viewer.ui.evidence import next_peak, volume_profile

FIRST, COUNT = 9000, 60
SETTINGS = {"cnn3d": {"occlusion.window": "12"}}
"""An eighth of each side in steps of half of it is some 5000 forwards for a volume; this is some 400."""


@dataclass
class Found:
    """What was counted for one model."""

    model: str
    called: int = 0
    without: list[float] = field(default_factory=list)
    ill: list[float] = field(default_factory=list)
    hits: dict[str, list[bool]] = field(default_factory=dict)
    presses: dict[str, list[int]] = field(default_factory=dict)
    unsuitable: dict[str, str] = field(default_factory=dict)


def _person(number: int, ill: bool) -> Person:
    return Person(number, FIRST + number, "Sample^Held Out", "O", "19600101", ill)


def _series(folder: Path, person: Person, volume: bool) -> tuple[Series, Mask]:
    """A phantom's radiograph or CT from its files, and the truth as (slice, row, column)."""
    folder.mkdir()
    if volume:
        scan = ct(person, 2.0, 2.5)
        files, mask = ct_files(person, scan), scan.mask
    else:
        image = shot(person, 2.0)
        files, mask = [radiograph_file(person, image)], image.mask[None]
    for k, file in enumerate(files):
        file.save_as(folder / f"{k:03}.dcm", enforce_file_format=True)
    return dicom.scan([folder]).series[0], mask


def hit(attribution: Attribution, mask: Mask) -> bool:
    """Whether the peak lies in the nodule or at most one native cell beside it.

    The cell of an occlusion is the step of its window, half as wide as the window itself.
    """
    values = attribution.values
    peak = np.unravel_index(int(np.argmax(values)), values.shape)
    place = affine.apply(attribution.matrix, np.array(peak, float))
    cell = np.abs(attribution.matrix[:3, :3]).sum(1)
    cell = cell * float(attribution.explainer.settings().get("stride") or 1)
    return bool(values.max() > 0 and (np.abs(np.argwhere(mask) - place) <= cell).all(1).any())


def _presses(attribution: Attribution, mask: Mask) -> int:
    """How many presses of "next evidence" bring a slice with the nodule to sight; many for never."""
    there = np.flatnonzero(mask.any((1, 2)))
    profile, visited = volume_profile(attribution), list[int]()
    for press in range(1, 10):
        found = next_peak(profile, visited)
        if found is not None and there[0] <= found <= there[-1]:
            return press
    return 99


def measured(
    name: str, folder: Path, count: int = COUNT, say: Callable[[Found], None] | None = None
) -> Found:
    """Counts for one of the models in `folder`; `say` is told after every patient."""
    torch.set_num_threads(1)
    model = session.load_model(folder / name)
    volume = RECIPES[name].accepts == CHEST_3D
    found = Found(name)
    methods = list(_suitable(model, found))
    for number in range(count):
        with tempfile.TemporaryDirectory() as place:
            well, _ = _series(Path(place) / "well", _person(number, False), volume)
            found.without.append(session.predict(well, model)[0].top.logit)
            ill, mask = _series(Path(place) / "ill", _person(number, True), volume)
            top = session.predict(ill, model)[0].top
            found.ill.append(top.logit)
            found.called += bool(top.positive)
            wanted = methods if top.positive else []
            explained = session.explain(ill, model, wanted, settings=SETTINGS.get(name)) if wanted else None
        for attribution in explained.attributions if explained else ():
            method = attribution.explainer.name
            found.hits.setdefault(method, []).append(hit(attribution, mask))
            if volume:
                found.presses.setdefault(method, []).append(_presses(attribution, mask))
        if say is not None:
            say(found)
    return found


def _suitable(model: Model, found: Found) -> Iterator[str]:
    for one in discover():
        reason = one.load()().unsuitable(model)
        if reason is None:
            yield one.name
        else:
            found.unsuitable[one.name] = reason


def _share(values: NDArray[np.bool_] | list[bool]) -> str:
    return f"{np.mean(values):.2f} ({int(np.sum(values))} of {len(values)})"


def _table(every: list[Found]) -> Iterator[str]:
    yield "# How the demo's models and their maps do"
    yield ""
    count = len(every[0].ill)
    yield f"Made by `python scripts/demo/make.py measure` on {count} phantom patients that no network"
    yield "learned from, each once without and once with a nodule, written as DICOM and read again. All are"
    yield "made up: the numbers say how the methods do on these phantoms, and nothing about patients."
    yield ""
    yield "| model | AUC | called of the ill | spared of the well |"
    yield "|---|---|---|---|"
    for one in every:
        spared = sum(logit < 0 for logit in one.without)
        ratio = auc(np.array(one.without), np.array(one.ill))
        called = f"{one.called} of {len(one.ill)}"
        yield f"| {one.model} | {ratio:.3f} | {called} | {spared} of {len(one.without)} |"
    yield ""
    yield "## Does the peak of the map lie in the nodule?"
    yield ""
    yield "Of the ill that the model called: the highest value lies in the nodule or at most one native cell"
    yield "beside it. For occlusion that is a step of its window (for the 3D CNN a window of 12 voxels; by"
    yield "itself it takes an eighth of each side). The networks were also taught where the nodule lies, so a"
    yield "map that misses it fails to show what the network uses."
    yield ""
    names = list(dict.fromkeys(method for one in every for method in (*one.hits, *one.unsuitable)))
    yield f"| method | {' | '.join(one.model for one in every)} |"
    yield f"|---|{'---|' * len(every)}"
    for method in sorted(names):
        cells = [_share(one.hits[method]) if method in one.hits else "–" for one in every]
        yield f"| {method} | {' | '.join(cells)} |"
    yield ""
    yield "– : the method does not suit the model."
    yield ""
    yield "## How many presses of “next evidence” reach the nodule?"
    yield ""
    yield "As in the window: slices of a CT are visited by the positive mass of the map in them, local maxima"
    yield "only, the largest first; reached is a slice in which the nodule lies."
    yield ""
    yield "| method (3D CNN) | in 1 press | in at most 2 |"
    yield "|---|---|---|"
    for one in every:
        for method, presses in sorted(one.presses.items()):
            number = np.array(presses)
            yield f"| {method} | {_share(number <= 1)} | {_share(number <= 2)} |"


def measure(models: Path, out: Path, workers: int = 2) -> None:
    """Measure all models, each in a process of its own, and write the page."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        # The slowest first; the page has them in their own order.
        jobs = {name: pool.submit(measured, name, models) for name in reversed(RECIPES)}
        every = [jobs[name].result() for name in RECIPES]
    out.write_text("\n".join(_table(every)) + "\n", encoding="utf-8")
