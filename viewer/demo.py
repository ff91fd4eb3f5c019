"""A small phantom radiograph, and a network trained on such phantoms in seconds.

The images are made, not taken: an ellipse of a body with lungs, ribs, a spine and a heart, and in
half of them a round lesion in a lung. They show the program at work, and nothing about patients.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewer.task import Task

SIZE = 192
_MODEL_SIZE = 64
_SPACING = 2.0  # millimetres
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Phantom:
    """A picture (rows, columns) of 0 … 1, and its lesion as (row, column, radius) in pixels, or None."""

    pixels: Floats
    lesion: tuple[float, float, float] | None


def phantom(seed: int, lesion: bool) -> Phantom:
    """A phantom radiograph; a seed gives one anatomy, with the lesion or without."""
    return phantoms(seed)[int(lesion)]


def phantoms(seed: int) -> tuple[Phantom, Phantom]:
    """One anatomy twice, without the lesion and with it."""
    random = np.random.default_rng(seed)
    ticks = np.arange(SIZE) / SIZE
    rows, columns = ticks[:, None], ticks[None, :]
    wide, high = random.uniform(0.40, 0.46), random.uniform(0.50, 0.56)
    body = _soft(_ellipse(rows, columns, 0.55, 0.5, high, wide))
    picture = 0.62 * body
    for side in (-1, 1):
        place = (random.uniform(0.46, 0.50), 0.5 + side * random.uniform(0.19, 0.21))
        lung = _soft(_ellipse(rows, columns, *place, random.uniform(0.30, 0.34), random.uniform(0.13, 0.15)))
        picture -= 0.36 * lung
        spots = random.normal(place, (0.14, 0.05), (24, 2))  # vessels, seen end on
        down, across = (np.exp(-((ticks[:, None] - spots[:, i]) ** 2) / 0.0002) for i in (0, 1))
        picture += 0.05 * (down @ across.T) * lung
    inside = _soft(_ellipse(rows, columns, 0.5, 0.5, 0.46, wide * 0.93))
    for k in range(8):  # ribs, each in the band of rows that it crosses
        band = slice(int((0.10 + 0.085 * k) * SIZE), int((0.27 + 0.085 * k) * SIZE))
        arch = 0.14 + 0.085 * k + 0.35 * (columns - 0.5) ** 2
        picture[band] += 0.055 * np.exp(-(((rows[band] - arch) / 0.011) ** 2)) * inside[band]
    picture += 0.13 * np.exp(-(((columns - 0.5) / 0.035) ** 2)) * (picture > 0.2)
    picture += 0.15 * _soft(_ellipse(rows, columns, random.uniform(0.60, 0.64), 0.545, 0.15, 0.13))
    belly = (rows > 0.76 + 1.2 * (columns - 0.5) ** 2) * body
    picture = np.maximum(picture, 0.58 * belly)
    side = random.choice((-1, 1))
    r, c = random.uniform(0.28, 0.62), 0.5 + side * random.uniform(0.17, 0.25)
    radius, strength = random.uniform(0.028, 0.045), random.uniform(0.20, 0.28)
    picture += random.normal(0, 0.015, picture.shape)
    bright = picture + strength * _soft(1 - _distance(rows - r, columns - c) / radius, 0.25)
    there = (r * SIZE, c * SIZE, radius * SIZE)
    return Phantom(picture.clip(0, 1), None), Phantom(bright.clip(0, 1), there)


def _ellipse(rows: Floats, columns: Floats, row: float, column: float, high: float, wide: float) -> Floats:
    """Positive inside, 0 at the edge."""
    return 1 - _distance((rows - row) / high, (columns - column) / wide)


def _distance(rows: Floats, columns: Floats) -> Floats:
    result: Floats = np.sqrt(rows**2 + columns**2)  # several times faster than `hypot`
    return result


def _soft(signed: Floats, edge: float = 0.08) -> Floats:
    return np.clip(signed / edge, 0, 1)


def write_study(folder: Path, seed: int = 7, lesion: bool = True) -> Path:
    """Write a phantom as a DICOM radiograph (DX); gives the file."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    stored = np.rint(phantom(seed, lesion).pixels * 4095).astype("<u2")
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    uids = [generate_uid(entropy_srcs=["whyscope phantom", str(seed), kind]) for kind in ("i", "s", "t")]
    file.SOPInstanceUID, file.SeriesInstanceUID, file.StudyInstanceUID = uids
    file.file_meta.MediaStorageSOPInstanceUID = uids[0]
    file.Modality, file.BodyPartExamined, file.ViewPosition = "DX", "CHEST", "PA"
    file.SeriesDescription = "Phantom chest"
    file.PatientName, file.PatientID, file.StudyDate = "Doe^Demo", f"DEMO-{seed}", "20260101"
    file.SeriesNumber = file.InstanceNumber = 1
    file.Rows, file.Columns = stored.shape
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, "MONOCHROME2", 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.PixelSpacing = [_SPACING, _SPACING]
    file.PixelSpacingCalibrationType = "FIDUCIAL"
    file.PatientOrientation = ["L", "F"]
    file.WindowCenter, file.WindowWidth = 2048, 4096
    file.PixelData = stored.tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "phantom.dcm"
    file.save_as(path, enforce_file_format=True)
    return path


def train(folder: Path, count: int = 600, epochs: int = 12, task: Task | None = None) -> Path:
    """Train a small network to tell phantoms with a lesion from those without; gives its folder.

    Seeded. The card states the accuracy on phantoms that the network has not seen.
    """
    import torch
    import yaml
    from safetensors.torch import save_file
    from torch.nn.functional import binary_cross_entropy_with_logits

    from viewer.models.builtin import SmallCNN

    task = task or Task()
    arguments: dict[str, Any] = {"channels": 1, "num_classes": 1, "widths": [12, 24, 48]}
    images, labels = _batch(range(1000, 1000 + count // 2), task)
    unseen, truth = _batch(range(9000, 9048), task)
    with torch.random.fork_rng(), _one_thread():
        torch.manual_seed(0)
        net = SmallCNN(**arguments)
        optimiser = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-3)
        steps = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, epochs * (count // 32))
        for epoch in range(epochs):
            task.progress(epoch, epochs, "training the demo network")
            for some in torch.randperm(count)[: count // 32 * 32].reshape(-1, 32):
                loss = binary_cross_entropy_with_logits(net(_covered(images[some]))[:, 0], labels[some])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                steps.step()
    net.eval()
    with torch.no_grad():
        accuracy = float(((net(unseen)[:, 0] > 0) == (truth > 0)).float().mean())
    folder.mkdir(parents=True, exist_ok=True)
    save_file(net.state_dict(), folder / "model.safetensors")
    card = _card(arguments, count, accuracy)
    (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    return folder


@contextmanager
def _one_thread() -> Iterator[None]:
    """More threads bring a network this small little, and on a busy machine cost several times as much."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _batch(seeds: Sequence[int], task: Task) -> tuple[Any, Any]:
    """Every anatomy twice, without and with a lesion, so that nothing but the lesion tells them apart."""
    import torch

    pictures = []
    for i, seed in enumerate(seeds):
        if i % 16 == 0:
            task.progress(i, len(seeds), "making phantoms")
        pictures += [_shrunk(made.pixels) for made in phantoms(seed)]
    images = torch.tensor(np.stack(pictures), dtype=torch.float32)[:, None]
    return images, torch.tensor([0.0, 1.0] * len(seeds))


def _covered(images: Any) -> Any:
    """With a black square on each, so that what occlusion covers is nothing new to the network."""
    import torch

    side = _MODEL_SIZE // 8
    images = images.clone()
    for image, (row, column) in zip(
        images, torch.randint(_MODEL_SIZE - side + 1, (len(images), 2)), strict=True
    ):
        image[:, row : row + side, column : column + side] = 0
    return images


def _shrunk(pixels: Floats) -> Floats:
    """As the preparation of the model's input shrinks it, so that training and use agree."""
    weights = _shrinking()
    result: Floats = weights @ pixels.astype(np.float32) @ weights.T
    return result


@cache
def _shrinking() -> Any:
    from viewer.models.prepare import Axis

    step = SIZE / _MODEL_SIZE
    return Axis(0, _MODEL_SIZE, (step - 1) / 2, step).weights(SIZE)[0]


def _card(arguments: dict[str, Any], count: int, accuracy: float) -> dict[str, Any]:
    return {
        "name": "Phantom lesion CNN",
        "architecture": "builtin:small-cnn",
        "arguments": arguments,
        "weights": "model.safetensors",
        "input": {"channels": 1, "size": [_MODEL_SIZE, _MODEL_SIZE], "fit": "squash", "values": "voi"},
        "output": {"labels": ["lesion"], "activation": "sigmoid", "thresholds": {"lesion": 0.5}},
        "accepts": {"modality": ["DX"], "body_part": ["CHEST"]},
        "trained_on": f"{count} made-up phantom radiographs, half of them with a lesion.",
        "measured": {"accuracy": round(accuracy, 3), "on": "96 unseen phantoms"},
        "intended_use": "To show the program at work. It has never seen a patient.",
    }


def run(out: Path, task: Task | None = None) -> list[Path]:
    """Make the study and the model, explain it, and give the pictures."""
    from viewer import dicom, session

    task = task or Task()
    study = dicom.scan([write_study(out / "study")], task=task)
    model = session.load_model(train(out / "model", task=task))
    explained = session.explain(
        study.series[0], model, ["grad-cam", "hires-cam", "integrated-gradients", "occlusion"], task=task
    )
    document = session.export(explained, out / "explained", task=task)
    return [out / "explained" / entry["files"]["png"] for entry in document["attributions"]]
