# SPDX-License-Identifier: Apache-2.0
"""What is known of a study and its models without the window: files read with pydicom, models run alone."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import companion_files as files
import numpy as np
from program import write_model, write_stack
from pydicom import dcmread
from safetensors.torch import load_file, save_file

from viewer import dicom, overlay, session
from viewer.dicom import Study
from viewer.dicom.volume import Volume, volume
from viewer.models import Model
from viewer.overlay.outline import trimmed
from viewer.settings import Limits
from viewer.types import Array, Attribution, LoadedMap, Map, Prediction, Region, Series, Sweep

Value = TypeVar("Value")
explain, predict = session.explain, session.predict
"""As they are, whatever a test puts in their place for the window."""
At = tuple[float, ...] | Sweep | None
Folders = tuple[list[Path], list[Path]]
"""Those of studies, and those of models."""
PLAIN, STRICT, PATCH, VOLUME = range(4)
"""The models in the order in which they are written."""


class Asked(NamedTuple):
    """What a map is asked by: a method as it is set, at a layer, of a target in words."""

    method: str
    settings: tuple[tuple[str, Any], ...]
    layer: str | None
    target: str | None
    within: str | None = None


def write_study(folder: Path) -> Path:
    """Two stacks of CT, one with a window and a shutter for each slice; diffusion with maps and regions."""
    write_stack(folder / "a", 5)
    write_stack(folder / "b", 3, "1.2.826.78", SeriesDescription="Other", ShutterShape="RECTANGULAR")
    for i, path in enumerate(sorted((folder / "b").iterdir())):
        file = dcmread(path)
        file.WindowCenter, file.ShutterLeftVerticalEdge, file.ShutterRightVerticalEdge = 100 * i, 2 + i, 20
        file.ShutterUpperHorizontalEdge, file.ShutterLowerHorizontalEdge = 2, 12 + i
        file.PixelData = np.roll(file.pixel_array, 9, axis=1).astype(np.int16).tobytes()
        file.save_as(path)
    files.diffusion(folder / "dwi", lacking=4)
    sources = sorted((folder / "dwi").glob("1.2.50-2-*.dcm"))
    files.segmentation(folder / "dwi" / "seg.dcm", sources, count=2)
    files.parametric(folder / "dwi" / "pm.dcm", sources)
    return folder


def write_twin(study: Path, folder: Path) -> Path:
    """A study with the same UIDs, numbers and names of files as another one, and other pixels."""
    for path in study.rglob("*.dcm"):
        there = folder / path.relative_to(study)
        there.parent.mkdir(parents=True, exist_ok=True)
        file = dcmread(path)
        if path.name not in ("seg.dcm", "pm.dcm"):
            pixels = file.pixel_array[::-1, ::-1] + 7
            file.PixelData = np.ascontiguousarray(pixels, file.pixel_array.dtype).tobytes()
        file.save_as(there)
    return folder


def write_models(folder: Path) -> list[Path]:
    """A network of CT slices; the same weights with another card; one of patches; one of volumes."""
    output = {"labels": ["effusion", "mass", "nodule"], "activation": "sigmoid"}
    strict = {"thresholds": {"mass": 0.58, "nodule": 0.3, "effusion": 0.77}}
    values = {"values": {"window": [0, 500]}}
    patch = {"dimensions": 2, "size": [8, 8], "fit": "patch", "values": {"window": [0, 2000]}}
    both = {"modality": ["CT", "MR"]}
    made = [
        write_model(folder / "plain"),
        write_model(
            folder / "strict", name="Strict CNN", output=output | strict, accepts={"modality": ["MR"]},
            input={"dimensions": 2, "size": [16, 16]} | values,
        ),
        write_model(folder / "patch", name="Patch CNN", input=patch, accepts=both | {"view": ["PA"]}),
        write_model(folder / "volume", dimensions=3, name="Volume CNN", accepts=both),
    ]  # fmt: skip
    for one in made:  # what a network that was never trained says of slices differs too little to tell them
        weights = load_file(one / "model.safetensors")
        save_file({name: 3 * w for name, w in weights.items()}, one / "model.safetensors")
    return made


class Known:
    """Studies that were scanned and models that were opened a second time, and what follows from them."""

    def __init__(self, studies: Sequence[Path], models: Sequence[Path]) -> None:
        self.limits = Limits()
        self.studies: list[Study] = [dicom.scan([folder]) for folder in studies]
        self.models: dict[str, Model] = {one.name: one for one in map(session.load_model, models)}
        self._places = {s.paths: (study, i) for study in self.studies for i, s in enumerate(study.series)}
        self._found: dict[tuple[Any, ...], Any] = {}

    def once(self, key: tuple[Any, ...], make: Callable[[], Value]) -> Value:
        """What `make` gives, made once for each key."""
        if key not in self._found:
            self._found[key] = make()
        found: Value = self._found[key]
        return found

    def place(self, series: Series) -> tuple[Study, int]:
        """The study that a shown series is of, as it was scanned here, and its number there."""
        return self._places[series.paths]

    def series(self, series: Series) -> Series:
        """The same series, as it was scanned here."""
        study, number = self.place(series)
        return study.series[number]

    def content(self, series: Series) -> bytes:
        """What is in the files of a series: another study may have the same UIDs."""
        return self.once(
            ("content", series.paths),
            lambda: hashlib.sha256(b"".join(path.read_bytes() for path in series.paths)).digest(),
        )

    def stored(self, series: Series, slice: int) -> Array:
        """Stored values of a slice, as pydicom reads them."""
        path = series.paths[slice]
        return self.once(("stored", path), lambda: dcmread(path).pixel_array)

    def values(self, series: Series, slice: int) -> Array:
        """Modality values of a slice: stored ones by the file's own slope and intercept."""

        def read() -> Array:
            file = dcmread(series.paths[slice])
            return file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept)

        return self.once(("values", series.paths[slice]), read)

    def header(self, series: Series, slice: int) -> tuple[dicom.Row, ...]:
        """The header of a slice's file."""
        path = series.paths[slice]
        return self.once(("header", path), lambda: dicom.header(path, self.limits))

    def volume(self, series: Series) -> Volume:
        """The series as one array."""
        return self.once(("volume", series.paths), lambda: volume(self.series(series)))

    # --- what came along --------------------------------------------------------------------------

    def regions(self, series: Series) -> tuple[Region, ...]:
        """What segmentations mark in a series."""
        (study, _), own = self.place(series), self.series(series)

        def read() -> tuple[Region, ...]:
            drawn = [one for one in study.segmentations if own in dicom.belongs(one, study.series)]
            return tuple(trimmed(r) for one in drawn for r in dicom.regions(one, own, self.limits))

        return self.once(("regions", series.paths), read)

    def maps(self, series: Series) -> tuple[LoadedMap, ...]:
        """The maps that came with a series."""
        (study, _), own = self.place(series), self.series(series)

        def read() -> tuple[LoadedMap, ...]:
            made = [one for one in study.parametric if own in dicom.belongs(one, study.series)]
            return tuple(m for one in made for m in dicom.maps(one, own, self.limits))

        return self.once(("maps", series.paths), read)

    # --- what a model says ------------------------------------------------------------------------

    def said(self, model: str, series: Series, slice: int | None, at: At) -> Sequence[Prediction]:
        """What a model says of a place; of a sweep, of each of its patches."""
        return self.once(
            ("said", model, series.paths, slice, at),
            lambda: predict(self.series(series), self.models[model], slice, at, True),
        )

    def map(self, model: str, series: Series, slice: int | None, at: At, asked: Asked) -> Attribution:
        """The map that a model and a method give of a place."""
        return self._maps(model, series, slice, at, asked)[asked.target]

    def _maps(
        self, model: str, series: Series, slice: int | None, at: At, asked: Asked
    ) -> Mapping[str | None, Attribution]:
        against = asked.target is not None and " − " in asked.target
        target = str(asked.target).replace(" − ", "-") if against else "all"
        key = ("maps", model, series.paths, slice, at, asked._replace(target=target))

        def make() -> Mapping[str | None, Attribution]:
            within = next((r for r in self.regions(series) if r.source == asked.within), None)
            own, net = self.series(series), self.models[model]
            requests = session.requests(
                own, net, [asked.method], target, slice, at, asked.layer, dict(asked.settings), within=within
            )
            found = explain(own, net, requests, outside_intended_use=True)
            return {None if a.target is None else a.target.words: a for a in found.attributions}

        return self.once(key, make)

    def tops(self, model: str, method: str, layer: str | None) -> list[float]:
        """The largest value, and the largest size, of each map of a kind that has been asked for here."""
        kept = [found for key, found in self._found.items() if key[:2] == ("maps", model)]
        maps = [m for found in kept for m in found.values() if (m.explainer.name, m.layer) == (method, layer)]
        return [float(abs(end)) for m in maps for end in (m.values.max(), np.abs(m.values).max())]

    # --- what is drawn ----------------------------------------------------------------------------

    def on_slice(self, map: Map, slice: int, interpolation: Any) -> Array:
        """A slice of a map on the source grid."""
        key = ("drawn", id(map), slice, interpolation)
        return self.once(key, lambda: (map, overlay.on_source(map, slice, interpolation)))[1]
