"""The phantom is made the same way every time, and the network trained on it sees its lesion."""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import yaml
from PIL import Image
from program import Whyscope

from viewer import affine, demo, dicom, session
from viewer.task import Cancelled, Task


def test_a_seed_gives_the_same_pixels() -> None:
    first, again, other = demo.phantom(3, True), demo.phantom(3, True), demo.phantom(4, True)
    assert np.array_equal(first.pixels, again.pixels)
    assert first.lesion == again.lesion
    assert np.abs(first.pixels - other.pixels).mean() > 0.02
    assert first.lesion != other.lesion
    assert first.pixels.shape == (demo.SIZE, demo.SIZE)
    assert (first.pixels.min(), first.pixels.max()) >= (0, 0)
    assert first.pixels.max() <= 1


def test_only_the_lesion_tells_two_phantoms_of_a_seed_apart() -> None:
    for seed in range(20):
        ill, well = demo.phantom(seed, True), demo.phantom(seed, False)
        assert well.lesion is None
        assert ill.lesion is not None
        row, column, radius = ill.lesion
        rows, columns = np.indices(ill.pixels.shape)
        far = np.hypot(rows - row, columns - column) > radius + 1
        difference = ill.pixels - well.pixels
        assert np.abs(difference[far]).max() == 0
        assert difference[~far].max() > 0.1


def test_a_study_is_a_radiograph_that_opens(tmp_path: Path) -> None:
    path = demo.write_study(tmp_path, seed=5)
    (series,) = dicom.scan([tmp_path]).series
    assert (series.modality, series.shape, series.body_part, series.view) == (
        "DX",
        (1, 192, 192),
        "CHEST",
        "PA",
    )
    assert series.geometry.letters() == ("R", "L", "H", "F")
    assert series.geometry.spacing == (None, 2.0, 2.0)
    assert not series.warnings
    shown = dicom.presented(series, 0)
    assert shown == pytest.approx(demo.phantom(5, True).pixels, abs=0.002)
    assert pydicom.dcmread(path).PatientName == "Doe^Demo"
    again = demo.write_study(tmp_path / "again", seed=5)
    assert again.read_bytes() == path.read_bytes()


def test_a_little_training_gives_a_model_that_opens(tmp_path: Path) -> None:
    folder = demo.train(tmp_path / "model", count=64, epochs=1)
    model = session.load_model(folder)
    assert model.labels == ("lesion",)
    assert "64 made-up" in model.card.trained_on
    study = dicom.scan([demo.write_study(tmp_path / "study")])
    assert session.predict(study.series[0], model)[0].top.label == "lesion"


def test_training_can_be_cancelled(tmp_path: Path) -> None:
    task = Task()
    task.cancel()
    with pytest.raises(Cancelled):
        demo.train(tmp_path / "model", count=64, epochs=1, task=task)
    assert not (tmp_path / "model").exists()


def test_training_leaves_the_random_numbers_alone(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    demo.train(tmp_path, count=32, epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_demo_leaves_study_model_and_pictures(demo_folder: Path) -> None:
    document = json.loads((demo_folder / "explained" / "result.json").read_text("utf-8"))
    methods = [entry["method"] for entry in document["attributions"]]
    assert methods == ["grad-cam", "hires-cam", "integrated-gradients", "occlusion"]
    assert not document["skipped"]
    assert document["override"] is None
    for entry in document["attributions"]:
        with Image.open(demo_folder / "explained" / entry["files"]["png"]) as picture:
            assert min(picture.size) > 500
    (label,) = document["predictions"][0]["labels"]
    assert label["probability"] > 0.5
    card = yaml.safe_load((demo_folder / "model" / "model.yaml").read_text("utf-8"))
    assert card["measured"]["accuracy"] >= 0.9


def test_the_demo_command_prints_where_the_pictures_are(
    tmp_path: Path, demo_folder: Path, whyscope: Whyscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = sorted((demo_folder / "explained").glob("*.png"))
    monkeypatch.setattr(demo, "run", lambda out, task: pictures)
    done = whyscope("demo", "--out", tmp_path)
    assert done.status == 0
    assert [Path(line) for line in done.out.splitlines()[1:]] == pictures
    assert "pictures are" in done.out


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam", "occlusion"])
def test_the_map_peaks_at_the_lesion(method: str, demo_folder: Path, tmp_path: Path) -> None:
    model = session.load_model(demo_folder / "model")
    found, called, spared = 0, 0, 0
    for seed in range(500, 520):
        place = demo.phantom(seed, True).lesion
        assert place is not None
        ill, well = (
            dicom.scan([demo.write_study(tmp_path / f"{seed}-{lesion}", seed, lesion)]).series[0]
            for lesion in (True, False)
        )
        spared += not session.predict(well, model)[0].top.positive
        explained = session.explain(ill, model, [method])
        called += bool(explained.predictions[0].top.positive)
        (attribution,) = explained.attributions
        cell = np.unravel_index(int(attribution.values.argmax()), attribution.values.shape)
        _, row, column = affine.apply(attribution.matrix, np.array(cell, float))
        one_cell = float(np.abs(np.diag(attribution.matrix)[1:3]).max())
        # Occlusion's cell is a window, an eighth of the side.
        one_cell = demo.SIZE / 8 if method == "occlusion" else one_cell
        found += np.hypot(row - place[0], column - place[1]) <= place[2] + one_cell
    assert found >= 16
    assert called >= 17
    assert spared >= 17
