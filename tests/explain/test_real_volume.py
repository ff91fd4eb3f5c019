# SPDX-License-Identifier: Apache-2.0
"""A real network of volumes on a real oblique series: its grey matter explained, laid back on the slices."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch

from plugins.hires_cam import HiResCAM
from plugins.saliency import Saliency
from viewer import affine, dicom
from viewer.explain import explain
from viewer.models import Model, load
from viewer.overlay import on_source
from viewer.types import Region, Series, Target

pytestmark = pytest.mark.shared
SIZE = (96, 67, 128)
"""To the left, to the feet, to the front, in mm: the slab is 27 mm thick, the network looks 46 mm about."""
GREY = 2


@pytest.fixture(scope="module")
def series(shared: Path) -> Series:
    return dicom.scan([shared / "dicom/mr-t1-oblique"]).series[0]


@pytest.fixture
def model(model_folder: Callable[[str], Path]) -> Model:
    return load(model_folder("brainchop-gwm"))


def conformed(model: Model, outside: str) -> Model:
    """MeshNet on a smaller block of its grid, which a network of convolutions alone may be given."""
    changes = {"size": SIZE, "outside": outside}
    card = model.card.model_copy(update={"input": model.card.input.model_copy(update=changes)})
    return Model(card, model._module, model.sha256, torch.device("cpu"))


def classes(model: Model, series: Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class, input value, and whether the voxel lies in the series, of every voxel of the input."""
    made = model.prepare(series)
    with torch.no_grad():
        found = model._module(made.tensor)[0].argmax(0).numpy()
    index = np.stack(np.meshgrid(*(np.arange(n) for n in made.shape), indexing="ij"), -1)
    place = affine.apply(made.matrix, index)
    inside = np.all([affine.inside(place[..., i], n) for i, n in enumerate(series.shape)], 0)
    return found, made.tensor[0, 0].numpy(), inside


def test_grey_matter_is_found_once_the_slab_goes_on_beyond_its_ends(model: Model, series: Series) -> None:
    """With air above and below the slab the network sees no brain in it; the slab's thickness is why."""
    counts = {}
    for outside in ("air", "mirror"):
        found, values, inside = classes(conformed(model, outside), series)
        counts[outside] = np.bincount(found[inside], minlength=3)
        if outside == "mirror":
            grey, white = (values[inside & (found == k)].mean() for k in (GREY, 1))
            assert 0.4 < grey < white - 0.1  # of T1, grey matter is darker
    whole = counts["mirror"].sum()
    assert counts["mirror"][GREY] > 0.1 * whole
    assert counts["mirror"][1] > 0.05 * whole
    assert counts["air"][GREY] < 0.2 * counts["mirror"][GREY]


def test_the_explained_grey_matter_lies_where_it_was_asked_for(model: Model, series: Series) -> None:
    """Behind the layer each voxel has one linear map: HiResCAM is the score's own parts, in the box alone."""
    ours = conformed(model, "mirror")
    region = Region.box(series, 20, (210, 100, 239, 149), "a box in the cerebellum")
    target = Target("grey matter", GREY, region=region)
    source = ours.prepare(series)
    cam, saliency = explain(ours, [source], [HiResCAM(layer="model.17"), Saliency()], [target]).attributions
    assert cam.values.shape == saliency.values.shape == SIZE
    mask = region.on(source.matrix, SIZE)
    assert mask.sum() > 500
    assert not cam.values[~mask].any()
    with torch.no_grad():
        logit = ours._module(source.tensor)[0, GREY].numpy()
    net: Any = ours._module
    bias = net.model[-1].bias[GREY].item()
    assert np.allclose(cam.values[mask] * mask.sum(), logit[mask] - bias, atol=1e-4)
    shown = on_source(cam, 20)
    lit = np.argwhere(np.nan_to_num(shown) != 0)
    assert (lit.min(0) >= (208, 98)).all()
    assert (lit.max(0) <= (241, 151)).all()
    assert (lit.min(0) <= (212, 102)).all()
    assert (lit.max(0) >= (237, 147)).all()
    assert not np.nan_to_num(on_source(cam, 17)).any()
    # A gradient reaches as far as the dilated convolutions do, 46 voxels, and not one further.
    felt = np.argwhere(saliency.values > 0)
    asked = np.argwhere(mask)
    assert (felt.min(0) >= asked.min(0) - 46).all()
    assert (felt.max(0) <= asked.max(0) + 46).all()


def test_a_marker_planted_in_the_slices_is_where_the_input_and_the_map_say(
    model: Model, series: Series
) -> None:
    """The place in the patient is SimpleITK's, from the files, and not ours."""
    ours = conformed(model, "air")
    voxels = np.stack([series.voxels[i] for i in range(len(series.voxels))])
    marked = voxels.copy()
    where = (slice(22, 25), slice(200, 206), slice(120, 126))
    marked[where] = 0
    paths = [str(path) for path in series.paths]
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(paths)
    image = reader.Execute()
    true = np.array(image.TransformContinuousIndexToPhysicalPoint((122.5, 202.5, 23.0)))
    plain, dark = (ours.prepare(replace(series, voxels=v)) for v in (voxels, marked))
    change = (plain.tensor - dark.tensor)[0, 0].abs().numpy()
    weight = change / change.sum()
    index = np.argwhere(change > 0)
    middle = (index * weight[change > 0][:, None]).sum(0)
    found = affine.apply(series.geometry.matrix @ plain.matrix, middle)
    assert np.linalg.norm(found - true) < 0.7  # half a voxel, and what stood there before weighs unevenly
    box = affine.apply(plain.matrix, index)
    assert (box >= (20, 198, 118)).all()
    assert (box <= (26, 207, 127)).all()
    # The same voxels of a map, drawn on the slices, are those of the marker.
    target = Target("grey matter", GREY)
    (base,) = explain(ours, [plain], [Saliency()], [target]).attributions
    shown = replace(base, values=change.astype(np.float32))
    lit = np.stack([np.nan_to_num(on_source(shown, i)) for i in range(18, 30)])
    half = np.argwhere(lit > lit.max() / 2)
    assert np.allclose(half.mean(0), (23 - 18, 202.5, 122.5), atol=1)
