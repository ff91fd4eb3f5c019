# SPDX-License-Identifier: Apache-2.0
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
from viewer.ui.presenter.evidence import next_peak, volume_profile

FIRST, COUNT = 9000, 60
SETTINGS = {"cnn3d": {"occlusion.window": "10", "occlusion.batch": "2"}}
"""An eighth of each side in steps of half of it is some 5000 forwards for a volume; this is some 1100, and
two at a time stay in the processor's cache."""
_SHARE = 12
"""How many patients a process takes at a time."""
_LOW = 0.8
_WHY = {
    "integrated-gradients": "Neighbouring pixels have large shares of opposite signs, so that the highest "
    "single one need not lie where they add up to most.",
    "saliency": "The size of a gradient says where a change would move the score most, which is also where "
    "a nodule could be but is not; and its peak is a single pixel.",
    "score-cam": "An image of which only one channel's place is left is unlike any that the network learned "
    "from: spots left alone on black can score far above the whole image, although their channel lowers "
    "the score, and the method's softmax over logits leaves little of the others.",
    "eigen-cam": "The strongest pattern of a layer need not be the label's.",
}
"""Why a method can point elsewhere than the network looks; told where its share is below `_LOW`."""


@dataclass
class Counts:
    """What was counted for one model."""

    model: str
    called: int = 0
    without: list[float] = field(default_factory=list)
    ill: list[float] = field(default_factory=list)
    hits: dict[str, list[bool]] = field(default_factory=dict)
    presses: dict[str, list[int]] = field(default_factory=dict)
    unsuitable: dict[str, str] = field(default_factory=dict)

    def add(self, other: "Counts") -> None:
        """The counts of further patients."""
        self.called += other.called
        self.without += other.without
        self.ill += other.ill
        self.unsuitable |= other.unsuitable
        for method, hits in other.hits.items():
            self.hits.setdefault(method, []).extend(hits)
        for method, presses in other.presses.items():
            self.presses.setdefault(method, []).extend(presses)


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


def measured(name: str, folder: Path, numbers: range) -> Counts:
    """Counts for one of the models in `folder` on some of the patients."""
    torch.set_num_threads(1)
    model = session.load_model(folder / name)
    volume = RECIPES[name].accepts == CHEST_3D
    found = Counts(name)
    methods = list(_suitable(model, found))
    for number in numbers:
        with tempfile.TemporaryDirectory() as place:
            well, _ = _series(Path(place) / "well", _person(number, False), volume)
            found.without.append(session.predict(well, model)[0].top.logit)
            ill, mask = _series(Path(place) / "ill", _person(number, True), volume)
            top = session.predict(ill, model)[0].top
            found.ill.append(top.logit)
            found.called += bool(top.positive)
            wanted = methods if top.positive else []
            explained = session.ask(ill, model, wanted, settings=SETTINGS.get(name)) if wanted else None
        for attribution in explained.attributions if explained else ():
            method = attribution.explainer.name
            found.hits.setdefault(method, []).append(hit(attribution, mask))
            if volume:
                found.presses.setdefault(method, []).append(_presses(attribution, mask))
    return found


def _suitable(model: Model, found: Counts) -> Iterator[str]:
    for one in discover():
        reason = one.load()().unsuitable(model)
        if reason is None:
            yield one.name
        else:
            found.unsuitable[one.name] = reason


def _share(values: NDArray[np.bool_] | list[bool]) -> str:
    return f"{np.mean(values):.2f} ({int(np.sum(values))} of {len(values)})"


def _table(every: list[Counts]) -> Iterator[str]:
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
    yield "beside it. For occlusion that is a step of its window (for the 3D CNN a window of 10 voxels; by"
    yield "itself it takes an eighth of each side). Nothing but the nodule tells an ill phantom from a well"
    yield "one, so a map that misses it fails to show what the network uses. The convolutional networks were"
    yield "also taught where the nodule lies, and the ViT began with the blocks of one of them."
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
    for method in sorted(names):
        if method in _WHY and any(np.mean(one.hits[method]) < _LOW for one in every if method in one.hits):
            yield f"- {method}: {_WHY[method]}"
    yield ""
    yield "## How many presses of “next evidence” reach the nodule?"
    yield ""
    yield "As in the window: each press goes to the middle of a hill in the positive mass of the map per"
    yield "slice, the highest hill first; reached is a slice in which the nodule lies."
    yield ""
    yield "| method (3D CNN) | in 1 press | in at most 2 |"
    yield "|---|---|---|"
    for one in every:
        for method, presses in sorted(one.presses.items()):
            number = np.array(presses)
            yield f"| {method} | {_share(number <= 1)} | {_share(number <= 2)} |"


def measure(models: Path, out: Path, workers: int = 2, say: Callable[[str], None] = print) -> None:
    """Measure all models, a share of the patients at a time, and write the page."""
    shares = [range(first, min(first + _SHARE, COUNT)) for first in range(0, COUNT, _SHARE)]
    every = {name: Counts(name) for name in RECIPES}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        # The slowest first, so that both processes end at about the same time.
        jobs = [pool.submit(measured, name, models, share) for name in reversed(RECIPES) for share in shares]
        for job in jobs:
            found = job.result()
            every[found.model].add(found)
            say(f"{found.model}: {len(every[found.model].ill)} of {COUNT} patients")
    out.write_text("\n".join(_table(list(every.values()))) + "\n", encoding="utf-8")
