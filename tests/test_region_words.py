# SPDX-License-Identifier: Apache-2.0
"""What a model looked at is said as it is: a slice, the whole, or one block with its size and its share."""

import dataclasses

import numpy as np
import pytest
from made_maps import Tensor, predict, series

from viewer import affine
from viewer.types import Geometry, ModelInput, Prediction
from viewer.wording import called_text, region_text

ONE_METRE = Geometry(np.diag([3.0, 0.5, 2.0, 1.0]), "patient", True, True)


def looking(shape: tuple[int, int, int], first: tuple[float, float, float], step: float = 1.0) -> Prediction:
    """A prediction of a box of a volume of 20 × 40 × 60 voxels; on one slice where its depth is 1."""
    said = predict(series((20, 40, 60), geometry=ONE_METRE), None)
    flat = shape[0] == 1
    matrix = affine.scale_offset((1 if flat else step, step, step), first)
    spatial = shape[1:] if flat else shape
    given = ModelInput(said.input.series, int(first[0]) if flat else None, Tensor(1, 1, *spatial), matrix)  # type: ignore[arg-type]
    return dataclasses.replace(said, input=given)


def test_a_whole_slice_a_whole_image_and_a_whole_volume_have_no_size() -> None:
    assert region_text(predict(series(), 1)) == "slice 2 of 3"
    assert region_text(predict(series((1, 60, 80)), 0)) == "the whole image"
    assert region_text(predict(series(), None)) == "the whole volume"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (looking((10, 20, 30), (3, 5, 7)), "one block of 30 × 10 × 60 mm, 12 % of the scan"),
        (looking((1, 20, 30), (4, 5, 7)), "one block of 10 × 60 mm, 25 % of slice 5 of 20"),
        # Of a block that hangs over the edge, what lies on the image counts.
        (looking((1, 20, 30), (4, -10, -15)), "one block of 5 × 30 mm, 6.2 % of slice 5 of 20"),
        # An input that is stretched to the voxels is as large as those.
        (looking((5, 10, 15), (0.5, 0.5, 0.5), 2.0), "one block of 30 × 10 × 60 mm, 12 % of the scan"),
        # One that holds all of it and padding beside is the whole.
        (looking((20, 60, 60), (0, -10, 0)), "the whole volume"),
        (looking((1, 60, 60), (4, -10, 0)), "slice 5 of 20"),
    ],
)
def test_a_part_has_its_size_and_its_share(said: Prediction, words: str) -> None:
    assert region_text(said) == words


def test_without_millimetres_a_block_is_told_in_pixels() -> None:
    said = looking((1, 20, 30), (4, 5, 7))
    unknown = dataclasses.replace(said.input.series, geometry=Geometry(np.eye(4)))
    given = dataclasses.replace(said.input, series=unknown)
    assert region_text(dataclasses.replace(said, input=given)).startswith("one block of 20 × 30 pixels, ")


def test_the_best_of_many_is_called_that() -> None:
    said = looking((10, 20, 30), (3, 5, 7))
    assert region_text(said, 2646) == "the best of 2646 blocks, each 30 × 10 × 60 mm, 12 % of the scan"


def test_a_score_says_where_its_label_is_called_from() -> None:
    said = [called_text(score) for score in predict(series()).scores]
    assert said == ["Called · score, called from 0.50", "Not called · score, called from 0.60", "Score"]
