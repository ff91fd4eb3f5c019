# SPDX-License-Identifier: Apache-2.0
"""From a series to a tensor: the pixels lie where the matrix says, and the values are those of the card."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from model_files import model_input, series, spaced
from numpy.typing import NDArray

from viewer import affine
from viewer.errors import ModelError
from viewer.models import prepare as prepare_module
from viewer.models.card import Input
from viewer.models.prepare import prepare
from viewer.types import ModelInput, Series, Window

Array = NDArray[Any]
quick = settings(max_examples=60, deadline=None, derandomize=True)

# The filter reproduces a straight line exactly where it enlarges or shrinks by a whole number;
# between these it is off by at most 0.086 source pixels (at 1.2 and 1.7; computed by hand).
EXACT, ROUGH = 1e-3, 0.1


def ramps(shape: Sequence[int]) -> Array:
    """Three volumes whose values are the slice, the row and the column index."""
    return np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"))


def whereabouts(made: ModelInput) -> Array:
    """The source index (depth, rows, columns, 3) of every pixel of an input, by its matrix."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in made.shape), indexing="ij"), -1)
    return affine.apply(made.matrix, index)


def steps(made: ModelInput) -> Array:
    """Source voxels per input pixel along each source axis."""
    return np.abs(made.matrix[:3, :3]).sum(1)


def inner(made: ModelInput, flat: bool) -> NDArray[np.bool_]:
    """Pixels whose whole filter lies within the source."""
    reach = np.maximum(steps(made), 1)
    shape = np.array(made.series.shape)
    where = whereabouts(made)
    within = (where >= reach - 1e-6) & (where <= shape - 1 - reach + 1e-6)
    return np.asarray(within[..., 1:].all(-1) if flat else within.all(-1))


def check_ramps(prepared: Callable[[Array], ModelInput], shape: Sequence[int], flat: bool) -> None:
    """Every entry of the matrix, by ramps along slices, rows and columns; and the fill beyond."""
    for axis, ramp in enumerate(ramps(shape)):
        if flat and axis == 0:
            continue
        made = prepared(ramp)
        where, values = whereabouts(made), made.tensor[0, 0].numpy().reshape(made.shape)
        by = steps(made)[axis]
        exact = by <= 1 or by == pytest.approx(round(by), abs=1e-6)
        within = inner(made, flat)
        off = np.abs(values - where[..., axis])[within]
        assert off.size == 0 or off.max() < (EXACT if exact else ROUGH)
        limits = np.array(shape) - 0.5
        beyond = ((where < -0.5 - 1e-6) | (where > limits + 1e-6)).any(-1)
        assert (values[beyond] == ramp.min()).all()


def check_block(
    prepared: Callable[[Array], ModelInput], shape: Sequence[int], place: Sequence[float], flat: bool
) -> None:
    """A lit block is seen where the inverse of the matrix says, within one input pixel."""
    by = steps(prepared(np.zeros(shape, np.float32)))
    half = np.ceil(np.maximum(by, 1)).astype(int)
    if flat:
        half[0] = 0
    middle = np.array([round(p * (n - 1)) for p, n in zip(place, shape, strict=True)])
    if flat:
        middle[0] = shape[0] // 2
    lit = np.zeros(shape, np.float32)
    lit[tuple(slice(max(m - h, 0), m + h + 1) for m, h in zip(middle, half, strict=True))] = 1
    made = prepared(lit)
    seen = affine.apply(affine.inverse(made.matrix), middle)
    margin = affine.apply(affine.inverse(made.matrix), middle + 2 * half + 2) - seen
    room = np.abs(margin) <= np.minimum(seen, np.array(made.shape) - 1 - seen) + 1e-9
    inside = (middle >= half) & (middle + half < shape)
    if flat:
        room, inside = room[1:], inside[1:]
    if not (room.all() and inside.all()):
        return  # the block is cut by the border of the source or of the input
    weight = made.tensor[0, 0].numpy().reshape(made.shape)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in made.shape), indexing="ij"), -1)
    centre = (weight[..., None] * index).sum((0, 1, 2)) / weight.sum()
    assert np.abs(centre - seen).max() < (0.51 if flat else 0.76)


# --- geometry: strategies -------------------------------------------------------------------------

LETTERS = [("L", "R"), ("P", "A"), ("H", "F")]
TOWARDS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "H": (2, 1), "F": (2, -1)}
ORIENTATIONS = [
    "".join(letters) for axes in itertools.permutations(LETTERS) for letters in itertools.product(*axes)
]


@st.composite
def rotations(draw: st.DrawFn) -> Array:
    """Unit steps of slices, rows and columns: any axes of the patient, turned by up to 20°."""
    order = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    turn = np.eye(3)
    for axis in range(3):
        angle = math.radians(draw(st.floats(-12, 12)))
        i, j = [k for k in range(3) if k != axis]
        part = np.eye(3)
        part[i, i] = part[j, j] = math.cos(angle)
        part[i, j], part[j, i] = -math.sin(angle), math.sin(angle)
        turn = part @ turn
    return np.asarray(turn @ (np.eye(3)[:, order] * np.array(signs)))


def millimetres() -> st.SearchStrategy[float]:
    return st.sampled_from([0.5, 0.7, 1.0, 1.5, 2.4])


def lying(source: Series, card: dict[str, Any], slice: int | None, at: Sequence[float] | None) -> ModelInput:
    """The input that is made, which lies where it is said to lie before it is."""
    made = prepare(source, model_input(**card), slice, at)
    told = prepare_module.field(source, model_input(**card), slice, at)
    assert np.array_equal(told.matrix, made.matrix)
    assert told.shape == made.shape
    return made


@st.composite
def plane_cases(draw: st.DrawFn) -> tuple[Callable[[Array], ModelInput], tuple[int, ...]]:
    """A way of preparing one slice, and the shape of its series."""
    shape = (3, draw(st.integers(6, 40)), draw(st.integers(6, 40)))
    fit = draw(st.sampled_from(["squash", "pad", "crop", "patch"]))
    card: dict[str, Any] = {"fit": fit, "size": [draw(st.integers(4, 40)), draw(st.integers(4, 40))]}
    if fit != "squash" and draw(st.booleans()):
        card["spacing"] = [draw(millimetres()), draw(millimetres())]
    turn = draw(rotations())
    if draw(st.booleans()):
        letters = [LETTERS[int(np.argmax(np.abs(turn[:, i])))] for i in (2, 1)]
        if draw(st.booleans()):
            letters.reverse()
        card["orientation"] = "".join(draw(st.sampled_from(pair)) for pair in letters)
    at = None
    if fit == "patch" and draw(st.booleans()):
        at = [draw(st.integers(0, shape[1] - 1)), draw(st.integers(0, shape[2] - 1))]
    matrix = spaced([draw(millimetres()) for _ in range(3)], turn, (10, -20, 30))

    def prepared(voxels: Array) -> ModelInput:
        source = series(voxels, matrix, spacing_kind="patient", orientation_known=True)
        return lying(source, card, 1, at)

    return prepared, shape


@st.composite
def volume_cases(draw: st.DrawFn) -> tuple[Callable[[Array], ModelInput], tuple[int, ...]]:
    """A way of preparing a volume, and the shape of its series."""
    shape = tuple(draw(st.integers(4, 14)) for _ in range(3))
    fit = draw(st.sampled_from(["squash", "pad", "crop", "patch"]))
    card: dict[str, Any] = {"dimensions": 3, "fit": fit, "size": [draw(st.integers(3, 12)) for _ in range(3)]}
    if fit != "squash" and draw(st.booleans()):
        card["spacing"] = [draw(millimetres()) for _ in range(3)]
    if draw(st.booleans()):
        card["orientation"] = draw(st.sampled_from(ORIENTATIONS))
    at = [draw(st.integers(0, n - 1)) for n in shape] if fit == "patch" and draw(st.booleans()) else None
    matrix = spaced([draw(millimetres()) for _ in range(3)], draw(rotations()), (10, -20, 30))

    def prepared(voxels: Array) -> ModelInput:
        source = series(voxels, matrix, spacing_kind="patient", orientation_known=True)
        return lying(source, card, None, at)

    return prepared, shape


# --- geometry: alignment --------------------------------------------------------------------------


@quick
@given(case=plane_cases())
def test_ramps_check_every_entry_of_a_slices_matrix(case: tuple[Any, tuple[int, ...]]) -> None:
    prepared, shape = case
    check_ramps(prepared, shape, flat=True)


@quick
@given(case=volume_cases())
def test_ramps_check_every_entry_of_a_volumes_matrix(case: tuple[Any, tuple[int, ...]]) -> None:
    prepared, shape = case
    check_ramps(prepared, shape, flat=False)


@quick
@given(case=plane_cases(), place=st.tuples(*[st.floats(0.2, 0.8)] * 3))
def test_a_lit_block_of_a_slice(case: tuple[Any, tuple[int, ...]], place: tuple[float, ...]) -> None:
    prepared, shape = case
    check_block(prepared, shape, place, flat=True)


@quick
@given(case=volume_cases(), place=st.tuples(*[st.floats(0.2, 0.8)] * 3))
def test_a_lit_block_of_a_volume(case: tuple[Any, tuple[int, ...]], place: tuple[float, ...]) -> None:
    prepared, shape = case
    check_block(prepared, shape, place, flat=False)


@pytest.mark.parametrize("fit", ["squash", "pad", "crop", "patch"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_ramps_do_reach_the_inside(fit: str, dimensions: int) -> None:
    """The checks above are empty where nothing lies inside; here a lot does."""
    source = series(ramps((20, 24, 28))[1], spaced((1, 1, 1)), spacing_kind="patient")
    made = prepare(source, model_input(dimensions=dimensions, size=[10] * dimensions, fit=fit))
    assert inner(made, dimensions == 2).mean() > 0.15


@quick
@given(turn=rotations(), orientation=st.sampled_from(ORIENTATIONS))
def test_a_volume_points_where_the_card_says(turn: Array, orientation: str) -> None:
    source = series(
        np.zeros((4, 5, 6), np.float32),
        spaced((2, 1, 0.5), turn),
        spacing_kind="patient",
        orientation_known=True,
    )
    made = prepare(source, model_input(dimensions=3, size=[7, 8, 9], orientation=orientation))
    patient = (source.geometry.matrix @ made.matrix)[:3, :3]
    for letter, step in zip(orientation, patient.T[::-1], strict=True):  # columns, rows, slices
        axis, sign = TOWARDS[letter]
        assert np.argmax(np.abs(step)) == axis
        assert np.sign(step[axis]) == sign


@quick
@given(turn=rotations(), data=st.data())
def test_a_slice_points_where_the_card_says(turn: Array, data: st.DataObject) -> None:
    source = series(
        np.zeros((1, 5, 6), np.float32),
        spaced((2, 1, 0.5), turn),
        spacing_kind="patient",
        orientation_known=True,
    )
    plane = {int(np.argmax(np.abs(turn[:, i]))) for i in (1, 2)}
    orientation = data.draw(st.sampled_from(sorted({o[:2] for o in ORIENTATIONS})))
    card = model_input(size=[7, 8], orientation=orientation)
    if {TOWARDS[letter][0] for letter in orientation} != plane:
        with pytest.raises(ModelError, match="lies in another plane"):
            prepare(source, card)
        return
    made = prepare(source, card)
    patient = (source.geometry.matrix @ made.matrix)[:3, :3]
    for letter, step in zip(orientation, (patient[:, 2], patient[:, 1]), strict=True):
        axis, sign = TOWARDS[letter]
        assert np.argmax(np.abs(step)) == axis
        assert np.sign(step[axis]) == sign


def test_an_axis_that_leans_to_two_letters_leaves_one_to_each() -> None:
    # Both the rows and the columns lean most to the left, but only one of them can be the left.
    turn = np.array([[0.36, 0.68, 0.64], [0.48, -0.73, 0.49], [0.80, 0.13, -0.59]])
    turn, _ = np.linalg.qr(turn)
    source = series(
        np.zeros((4, 5, 6)), spaced((1, 1, 1), turn), spacing_kind="patient", orientation_known=True
    )
    for orientation in ORIENTATIONS:
        made = prepare(source, model_input(dimensions=3, size=[4, 4, 4], orientation=orientation))
        assert abs(np.linalg.det(made.matrix)) > 0


@pytest.mark.parametrize(
    ("own", "wanted", "matrix"),
    [
        (("L", "F"), "LF", [[1, 0], [0, 1]]),
        (("L", "F"), "RF", [[1, 0], [0, -1]]),
        (("L", "F"), "LH", [[-1, 0], [0, 1]]),
        (("P", "F"), "AH", [[-1, 0], [0, -1]]),
        (("F", "L"), "LF", [[0, 1], [1, 0]]),
        (("AL", "FP"), "PF", [[1, 0], [0, -1]]),
    ],
)
def test_a_projection_is_turned_by_its_letters(
    own: tuple[str, str], wanted: str, matrix: list[list[int]]
) -> None:
    source = series(np.zeros((1, 6, 6)), patient_orientation=own, modality="DX")
    made = prepare(source, model_input(size=[6, 6], orientation=wanted))
    assert made.matrix[1:3, 1:3].tolist() == matrix


# --- geometry: the fits ---------------------------------------------------------------------------


@quick
@given(
    shape=st.tuples(st.integers(2, 60), st.integers(2, 60)),
    # To a width of 1 torch 2.15 repeats the first row instead of interpolating.
    size=st.tuples(st.integers(1, 60), st.integers(2, 60)),
    seed=st.integers(0, 99),
)
def test_squash_is_the_interpolation_of_torch(
    shape: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    pixels = np.random.default_rng(seed).random((1, *shape), dtype=np.float32)
    made = prepare(series(pixels), model_input(size=size))
    wanted = F.interpolate(
        torch.from_numpy(pixels)[None], size, mode="bilinear", antialias=True, align_corners=False
    )
    assert (made.tensor - wanted).abs().max() < 1e-4


@quick
@given(shape=st.tuples(*[st.integers(2, 9)] * 3), more=st.tuples(*[st.integers(0, 9)] * 3))
def test_an_enlarged_volume_is_the_interpolation_of_torch(
    shape: tuple[int, int, int], more: tuple[int, int, int]
) -> None:
    size = [n + m for n, m in zip(shape, more, strict=True)]
    voxels = np.random.default_rng(0).random(shape, dtype=np.float32)
    made = prepare(series(voxels), model_input(dimensions=3, size=size))
    wanted = F.interpolate(torch.from_numpy(voxels)[None, None], size, mode="trilinear", align_corners=False)
    assert (made.tensor - wanted).abs().max() < 1e-4


def test_squash_of_the_same_size_changes_nothing() -> None:
    pixels = np.random.default_rng(0).random((2, 7, 9), dtype=np.float32)
    made = prepare(series(pixels), model_input(size=[7, 9]), 1)
    assert np.array_equal(made.tensor[0, 0], pixels[1])
    assert np.array_equal(made.matrix, affine.scale_offset((1, 1, 1), (1, 0, 0)))


millimetre_cases = given(
    shape=st.tuples(st.integers(4, 40), st.integers(4, 40)),
    size=st.tuples(st.integers(4, 40), st.integers(4, 40)),
    mm=st.tuples(millimetres(), millimetres()),
)


def field(made: ModelInput, mm: Sequence[float]) -> tuple[Array, Array]:
    """Millimetres per input pixel, and the source indices of the input's outer edges."""
    per = np.diag(made.matrix)[1:3] * np.array(mm)
    edges = affine.apply(made.matrix, np.array([(0, -0.5, -0.5), np.array(made.shape) - 0.5]))[:, 1:]
    return per, edges


@quick
@millimetre_cases
def test_pad_shows_all_and_keeps_proportions(
    shape: tuple[int, int], size: tuple[int, int], mm: tuple[float, float]
) -> None:
    source = series(np.ones((1, *shape), np.float32), spaced((1, *mm)), spacing_kind="patient")
    made = prepare(source, model_input(size=size, fit="pad", values={"window": [0.5, 1]}))
    per, edges = field(made, mm)
    assert per[0] == pytest.approx(per[1])
    assert (edges[0] <= -0.5 + 1e-9).all()
    assert (edges[1] >= np.array(shape) - 0.5 - 1e-9).all()
    # One side is filled to the brim, and what remains is shared out evenly.
    assert np.isclose(edges[0], -0.5).any()
    assert edges.sum(0) == pytest.approx(np.array(shape) - 1)
    where = whereabouts(made)[0, :, :, 1:]
    limits = np.array(shape) - 0.5
    inside = ((where > -0.5 + 1e-6) & (where < limits - 1e-6)).all(-1)
    beyond = ((where < -0.5 - 1e-6) | (where > limits + 1e-6)).any(-1)
    assert np.allclose(made.tensor[0, 0].numpy()[inside], 1, atol=1e-6)
    assert not made.tensor[0, 0].numpy()[beyond].any()


@quick
@millimetre_cases
def test_crop_fills_all_and_takes_the_middle(
    shape: tuple[int, int], size: tuple[int, int], mm: tuple[float, float]
) -> None:
    source = series(np.ones((1, *shape), np.float32), spaced((1, *mm)), spacing_kind="patient")
    made = prepare(source, model_input(size=size, fit="crop", values={"window": [0.5, 1]}))
    per, edges = field(made, mm)
    assert per[0] == pytest.approx(per[1])
    assert (edges[0] >= -0.5 - 1e-9).all()
    assert (edges[1] <= np.array(shape) - 0.5 + 1e-9).all()
    assert np.isclose(edges[0], -0.5).any()
    assert edges.sum(0) == pytest.approx(np.array(shape) - 1)
    assert (made.tensor - 1).abs().max() < 1e-6


@quick
@given(
    shape=st.tuples(st.integers(4, 40), st.integers(4, 40)),
    size=st.tuples(st.integers(4, 40), st.integers(4, 40)),
    aspect=st.sampled_from([0.5, 1.0, 1.5]),
)
def test_pixels_that_are_not_square_keep_their_proportions_without_millimetres(
    shape: tuple[int, int], size: tuple[int, int], aspect: float
) -> None:
    source = series(np.ones((1, *shape)), spaced((1, aspect, 1)))
    assert source.geometry.spacing is None
    per, _ = field(prepare(source, model_input(size=size, fit="pad")), (aspect, 1))
    assert per[0] == pytest.approx(per[1])


@pytest.mark.parametrize("fit", ["pad", "crop", "patch"])
def test_spacing_is_met(fit: str) -> None:
    source = series(np.ones((5, 20, 30)), spaced((3, 0.5, 0.8)), spacing_kind="patient")
    made = prepare(source, model_input(size=[8, 9], fit=fit, spacing=[1.2, 0.4]))
    assert np.diag(made.matrix)[1:3] == pytest.approx([1.2 / 0.5, 0.4 / 0.8])
    made = prepare(source, model_input(dimensions=3, size=[8, 8, 8], fit=fit, spacing=[1, 1, 1]))
    assert np.diag(made.matrix)[:3] == pytest.approx([1 / 3, 1 / 0.5, 1 / 0.8])
    assert affine.apply(made.matrix, (3.5, 3.5, 3.5)) == pytest.approx([2, 9.5, 14.5])


@quick
@given(
    turn=rotations(), orientation=st.sampled_from(ORIENTATIONS), fit=st.sampled_from(["pad", "crop", "patch"])
)
def test_millimetres_are_kept_when_axes_are_exchanged(turn: Array, orientation: str, fit: str) -> None:
    source = series(
        np.zeros((4, 5, 6), np.float32),
        spaced((2, 1, 0.5), turn),
        spacing_kind="patient",
        orientation_known=True,
    )

    def millimetres_of_a_step(**card: Any) -> list[float]:
        made = prepare(
            source, model_input(dimensions=3, size=[7, 8, 9], orientation=orientation, fit=fit, **card)
        )
        return np.linalg.norm((source.geometry.matrix @ made.matrix)[:3, :3], axis=0).tolist()

    assert millimetres_of_a_step(spacing=[3, 0.7, 1.1]) == pytest.approx([3, 0.7, 1.1])
    if fit != "patch":
        along = millimetres_of_a_step()
        assert along == pytest.approx([along[0]] * 3)


@quick
@given(data=st.data(), size=st.tuples(st.integers(1, 12), st.integers(1, 12)))
def test_a_patch_is_whole_source_pixels(data: st.DataObject, size: tuple[int, int]) -> None:
    shape = (2, data.draw(st.integers(4, 16)), data.draw(st.integers(4, 16)))
    at = data.draw(st.one_of(st.none(), st.tuples(*(st.floats(0, n - 1) for n in shape[1:]))))
    orientation = data.draw(st.sampled_from([None, "LP", "RA", "PL", "AR", "PR"]))
    voxels = 1 + np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    source = series(voxels, spaced((1, 1, 1), np.eye(3)[:, [2, 1, 0]]), orientation_known=True)
    made = prepare(source, model_input(size=size, fit="patch", orientation=orientation), 1, at)
    where = whereabouts(made)[0, :, :, 1:]
    rows, columns = np.moveaxis(np.rint(where).astype(int), -1, 0)
    assert np.array_equal(where, np.stack([rows, columns], -1))
    inside = (rows >= 0) & (rows < shape[1]) & (columns >= 0) & (columns < shape[2])
    wanted = np.full(size, voxels[1].min())
    wanted[inside] = voxels[1][rows[inside], columns[inside]]
    assert np.array_equal(made.tensor[0, 0], wanted)
    middle = np.array(at if at is not None else [(n - 1) / 2 for n in shape[1:]])
    assert (np.abs(where.mean((0, 1)) - middle) <= 1).all()
    if at is not None and all(i == int(i) for i in at):
        assert (np.rint(middle) == where).all(-1).any()


def test_a_patch_of_a_volume() -> None:
    voxels = np.arange(5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7)
    card = model_input(dimensions=3, size=[3, 2, 4], fit="patch", clip=[-1, 1000])
    made = prepare(series(voxels), card, at=(2, 3, 3))
    assert np.array_equal(made.tensor[0, 0], voxels[1:4, 2:4, 1:5])
    assert made.slice is None
    corner = prepare(series(voxels), card, at=(0, 0, 6)).tensor[0, 0].numpy()
    assert np.array_equal(corner[1:, 1:, :3], voxels[0:2, 0:1, 4:7])
    assert (corner[0] == -1).all()
    assert (corner[:, 0] == -1).all()
    assert (corner[:, :, 3] == -1).all()


class Counted:
    """Voxels that count which slices are read."""

    def __init__(self, voxels: Array) -> None:
        self.voxels, self.shape, self.dtype = voxels, voxels.shape, voxels.dtype
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.voxels)

    def __getitem__(self, index: int) -> Array:
        self.read.append(index)
        return np.asarray(self.voxels[index])


def test_a_patch_reads_only_its_slices() -> None:
    voxels = Counted(np.zeros((50, 8, 8), np.float32))
    prepare(series(voxels), model_input(dimensions=3, size=[4, 4, 4], fit="patch"), at=(20, 4, 4))  # type: ignore[arg-type]
    assert set(voxels.read) == set(range(17, 23))
    voxels.read.clear()
    prepare(series(voxels), model_input(size=[4, 4]), 7)  # type: ignore[arg-type]
    assert voxels.read == [7]


def test_where_an_input_lies_is_told_without_reading_it() -> None:
    voxels = Counted(np.zeros((50, 8, 8), np.float32))
    card = model_input(dimensions=3, size=[4, 4, 4], fit="patch")
    found = prepare_module.field(series(voxels), card, at=(20, 4, 4))  # type: ignore[arg-type]
    assert (found.shape, voxels.read) == ((4, 4, 4), [])
    with pytest.raises(ModelError, match="lies outside the image"):
        prepare_module.field(series(voxels), card, at=(50, 4, 4))  # type: ignore[arg-type]


def test_the_place_may_name_the_slice() -> None:
    source = series(ramps((5, 8, 8))[0])
    made = prepare(source, model_input(size=[3, 3], fit="patch"), at=(4, 2, 3))
    assert made.slice == 4
    assert bool((made.tensor == 4).all())
    assert affine.apply(made.matrix, (0, 1, 1)).tolist() == [4, 2, 3]


def test_the_middle_slice_is_the_default() -> None:
    made = prepare(series(ramps((5, 8, 8))[0]), model_input())
    assert made.slice == 2
    assert bool((made.tensor == 2).all())
    assert made.series.shape == (5, 8, 8)


# --- values ---------------------------------------------------------------------------------------


def values(source: Series, slice: int = 0, **card: Any) -> list[float]:
    """The numbers of the tensor made of a slice, at its own size."""
    made = prepare(source, model_input(**({"size": source.shape[1:]} | card)), slice)
    return [round(v, 4) for v in made.tensor.flatten().tolist()]


def row(*stored: float, dtype: Any = np.int16, **facts: Any) -> Series:
    """One slice of one row."""
    return series(np.array([[stored]], dtype), **facts)


def test_hounsfield_units() -> None:
    source = row(0, 1000, 2000, rescale=(1, -1024))
    assert values(source) == [-1024, -24, 976]
    assert values(source, clip=[-1000, 500]) == [-1000, -24, 500]


def test_the_rescale_of_each_slice() -> None:
    source = series(np.ones((2, 1, 1), np.int16))
    object.__setattr__(source.display, "rescale", ((2.0, 1.0), (3.0, 5.0)))
    assert [values(source, i) for i in (0, 1)] == [[3], [8]]
    volume = prepare(source, model_input(dimensions=3, size=[2, 1, 1]))
    assert volume.tensor.flatten().tolist() == [3, 8]


def test_a_window_is_linear_and_clipped() -> None:
    source = row(-500, -160, 40, 140, 240, 900, rescale=(1, 0))
    assert values(source, values={"window": [40, 400]}) == [0, 0, 0.5, 0.75, 1, 1]


def test_a_range_is_of_the_stored_bits() -> None:
    source = row(0, 51, 255, rescale=(2, -7), dtype=np.uint8)
    assert values(source, values={"range": [0, 1]}) == [0, 0.2, 1]
    assert values(source, values={"range": [-1, 1]}) == [-1, -0.6, 1]
    assert values(source, values={"range": [0, 255]}) == [0, 51, 255]
    signed = row(-2048, 0, 2047, stored_range=(-2048.0, 2047.0))
    assert values(signed, values={"range": [0, 4095]}) == [0, 2048, 4095]


def test_percentiles_are_of_the_input() -> None:
    source = row(*range(101), rescale=(3, 5))
    found = values(source, values={"percentiles": [10, 90]})
    assert found[0] == found[10] == 0
    assert found[50] == 0.5
    assert found[90] == found[100] == 1
    flat = row(7, 7, 7)
    assert values(flat, values={"percentiles": [2, 98]}) == [0, 0, 0]
    volume = series(np.arange(101 * 2, dtype=np.float32).reshape(101, 1, 2) // 2)
    made = prepare(volume, model_input(dimensions=3, size=[101, 1, 2], values={"percentiles": [0, 100]}))
    assert made.tensor[0, 0, :, 0, 0].tolist() == pytest.approx((np.arange(101) / 100).tolist())


def test_percentiles_of_a_volume_are_those_of_the_whole() -> None:
    volume = series(ramps((101, 4, 4))[0])
    card = model_input(dimensions=3, size=[3, 1, 1], fit="patch", values={"percentiles": [0, 100]})
    found = prepare(volume, card, at=(50, 1, 1)).tensor.flatten().tolist()
    assert found == pytest.approx([0.49, 0.5, 0.51])


def test_voi_is_what_a_reader_sees() -> None:
    source = row(0, 50, 100, 200, windows=(Window(100, 100, "", "LINEAR_EXACT"), Window(0, 1)))
    assert values(source, values="voi") == [0, 0, 0.5, 1]


def test_mean_and_standard_deviation_come_last() -> None:
    source = row(0, 100, 400)
    assert values(source, clip=[0, 200], mean=[50], std=[25]) == [-2, 2, 6]
    three = prepare(
        row(0, 255, dtype=np.uint8),
        model_input(size=[1, 2], channels=3, values={"range": [0, 1]}, mean=[0.1, 0.2, 0.3], std=[1, 2, 4]),
    )
    assert three.tensor[0, :, 0, 1].tolist() == pytest.approx([0.9, 0.4, 0.175])
    assert three.tensor[0, :, 0, 0].tolist() == pytest.approx([-0.1, -0.1, -0.075])


@pytest.mark.parametrize(
    ("way", "plain", "turned"),
    [
        ("voi", [0, 0.25, 1], [1, 0.75, 0]),
        ({"window": [50, 100]}, [0, 0.25, 1], [1, 0.75, 0]),
        ({"range": [0, 10]}, [0, 2.5, 10], [10, 7.5, 0]),
        ({"range": [-1, 1]}, [-1, -0.5, 1], [1, 0.5, -1]),
        ({"percentiles": [0, 100]}, [0, 0.25, 1], [1, 0.75, 0]),
        ("hu", [0, 25, 100], [0, 25, 100]),
    ],
)
def test_monochrome1_is_turned_but_not_hounsfield_units(
    way: Any, plain: list[float], turned: list[float]
) -> None:
    facts: dict[str, Any] = {
        "windows": (Window(50, 100, "", "LINEAR_EXACT"),),
        "stored_range": (0.0, 100.0),
    }
    assert values(row(0, 25, 100, **facts), values=way) == plain
    inverted = row(0, 25, 100, **facts, inverted=True, photometric="MONOCHROME1")
    assert values(inverted, values=way) == turned


def test_what_fills_the_outside() -> None:
    def border(source: Series, **card: Any) -> list[float]:
        made = prepare(source, model_input(**({"size": [2, 4], "fit": "patch"} | card)), 0, (0, 0))
        return made.tensor[0, :, 0, 0].tolist()

    source = series(np.array([[[5, 6, 7], [5, 6, 7]]], np.uint8), rescale=(10, 0))
    assert border(source) == [50]
    assert border(source, clip=[-1000, 1000]) == [-1000]
    assert border(source, values={"window": [60, 10]}) == [0]
    assert border(source, values={"range": [-1, 1]}) == [-1]
    assert border(source, values={"range": [1, -1]}) == [-1]
    assert border(source, values={"window": [60, 10]}, mean=[0.5], std=[0.25]) == [-2]
    assert border(source, channels=3, values={"window": [60, 10]}, mean=[1, 2, 3]) == [-1, -2, -3]


COLOUR = np.array([[[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]]], np.uint8)


def test_colour_to_grey_is_luminance() -> None:
    found = values(series(COLOUR, modality="picture"), values={"range": [0, 1]})
    assert found == [0.299, 0.587, 0.114, 1]
    assert values(series(COLOUR, modality="picture"), values="voi") == [0.299, 0.587, 0.114, 1]


def test_colour_stays_colour() -> None:
    made = prepare(series(COLOUR), model_input(size=[2, 2], channels=3, values="voi"))
    assert np.array_equal(made.tensor[0].numpy(), np.moveaxis(COLOUR[0], -1, 0) / np.float32(255))


def test_a_volume_of_colour() -> None:
    voxels = np.repeat(COLOUR, 2, axis=0)
    card = {"dimensions": 3, "size": [2, 2, 2], "values": {"range": [0, 255]}}
    made = prepare(series(voxels), model_input(**card, channels=3))
    assert np.array_equal(made.tensor[0].numpy(), np.moveaxis(voxels, -1, 0))
    grey = prepare(series(voxels), model_input(**card, channels=1))
    assert grey.tensor[0, 0, 1].flatten().tolist() == pytest.approx([76.245, 149.685, 29.07, 255])


def test_grey_becomes_three_equal_channels() -> None:
    made = prepare(row(3, 4), model_input(size=[1, 2], channels=3))
    assert made.tensor[0].tolist() == [[[3, 4]]] * 3


@pytest.mark.parametrize(
    ("slice", "near"),
    [(0, [0, 0, 0, 1, 2]), (1, [0, 0, 1, 2, 3]), (3, [1, 2, 3, 4, 5]), (6, [4, 5, 6, 6, 6])],
)
def test_neighbours_are_channels_in_order_and_stop_at_the_ends(slice: int, near: list[int]) -> None:
    source = series(ramps((7, 3, 3))[0])
    made = prepare(source, model_input(size=[3, 3], channels=5, neighbours=2), slice)
    assert made.tensor[0, :, 1, 1].tolist() == near
    assert made.matrix[0, 3] == slice


def test_slices_that_are_not_one_even_stack_are_no_volume() -> None:
    voxels = ramps((4, 3, 3))[0]
    even = series(voxels, np.eye(4), orientation_known=True, spacing_kind="patient")
    gap = replace(even.geometry, origins=np.array([[0, 0, z] for z in (0, 1, 2, 5)]))
    uneven = replace(even, geometry=gap)
    volume = model_input(dimensions=3, size=[4, 3, 3])
    assert prepare(even, volume).shape == (4, 3, 3)
    with pytest.raises(ModelError, match="not one evenly spaced stack"):
        prepare(uneven, volume)
    with pytest.raises(ModelError, match="neighbouring slices"):
        prepare(uneven, model_input(size=[3, 3], channels=3, neighbours=1), 1)
    assert prepare(uneven, model_input(size=[3, 3]), 1).slice == 1


def test_neighbours_of_colour_are_grey() -> None:
    voxels = np.concatenate([0 * COLOUR, COLOUR, COLOUR])
    card = model_input(size=[2, 2], channels=3, neighbours=1, values={"range": [0, 1]})
    made = prepare(series(voxels), card, 1)
    assert made.tensor[0, :, 0, 0].tolist() == pytest.approx([0, 0.299, 0.299])


def test_an_input_is_float32_and_whole() -> None:
    made = prepare(row(1, 2, dtype=np.uint8), model_input(size=[1, 2]))
    assert made.tensor.dtype == torch.float32
    assert made.tensor.is_contiguous()
    assert not made.matrix.flags.writeable


# --- what does not go together --------------------------------------------------------------------


def flat_card(**changes: Any) -> Input:
    return model_input(**changes)


def deep_card(**changes: Any) -> Input:
    return model_input(**({"dimensions": 3, "size": [4, 4, 4]} | changes))


AXIAL = {"matrix": np.eye(4)[[2, 1, 0, 3]], "orientation_known": True, "spacing_kind": "patient"}


@pytest.mark.parametrize(
    ("card", "shape", "facts", "slice", "at", "words"),
    [
        (flat_card(fit="pad", spacing=[1, 1]), (3, 8, 8), {}, None, None, "wants a known spacing"),
        (deep_card(fit="pad", spacing=[1, 1, 1]), (3, 8, 8), {}, None, None, "wants a known spacing"),
        (flat_card(orientation="LP"), (3, 8, 8), {}, None, None, "wants a known orientation"),
        (deep_card(orientation="LPH"), (3, 8, 8), {}, None, None, "wants a known orientation"),
        (flat_card(orientation="LH"), (3, 8, 8), AXIAL, None, None, "oriented LH, and this series lies in"),
        (flat_card(orientation="PH"), (3, 8, 8), AXIAL, None, None, "lies in another plane"),
        (
            flat_card(orientation="LP"),
            (1, 8, 8),
            {"patient_orientation": ("L", "F")},
            0,
            None,
            "another plane",
        ),
        (flat_card(orientation="LF"), (1, 8, 8), {"patient_orientation": ("", "")}, 0, None, "another plane"),
        (flat_card(), (3, 8, 8), {}, 3, None, "There is no slice 3; the series has slices 0 to 2"),
        (flat_card(), (3, 8, 8), {}, -1, None, "There is no slice -1"),
        (flat_card(fit="patch"), (3, 8, 8), {}, None, (5, 1, 1), "There is no slice 5"),
        (flat_card(fit="patch"), (3, 8, 8), {}, None, (8, 1), "The place 8 lies outside the image"),
        (flat_card(fit="patch"), (3, 8, 8), {}, None, (1, -1), "The place -1 lies outside the image"),
        (deep_card(fit="patch"), (3, 8, 8), {}, None, (3, 1, 1), "The place 3 lies outside the image"),
        (deep_card(fit="patch"), (3, 8, 8), {}, None, (1, 1), "A place in a volume is SLICE,ROW,COLUMN"),
        (flat_card(fit="patch"), (3, 8, 8), {}, None, (1,), "A place in a slice is ROW,COLUMN or"),
        (flat_card(fit="patch"), (3, 8, 8), {}, None, (1, 1, 1, 1), "A place in a slice is ROW,COLUMN or"),
        (flat_card(fit="patch"), (3, 8, 8), {}, None, (math.nan, 1, 1), "is made of numbers"),
        (flat_card(fit="patch"), (3, 8, 8), {}, None, (1, math.inf), "is made of numbers"),
        (flat_card(), (3, 8, 8), {}, None, (1, 1), "is for networks that read a patch"),
        (flat_card(fit="crop"), (3, 8, 8), {}, None, (1, 1), "is for networks that read a patch"),
        (deep_card(), (1, 8, 8), {}, None, None, "reads volumes, and the series has a single slice"),
        (flat_card(channels=2), (3, 8, 8), {}, None, None, "wants 2 channels; an image can fill 1 or 3"),
    ],
)
def test_what_does_not_go_together_is_told_in_a_sentence(
    card: Input,
    shape: tuple[int, ...],
    facts: dict[str, Any],
    slice: int | None,
    at: tuple[float, ...] | None,
    words: str,
) -> None:
    with pytest.raises(ModelError) as caught:
        prepare(series(np.zeros(shape, np.uint8), **facts), card, slice, at)
    assert words in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_a_spacing_between_slices_is_wanted_only_of_volumes() -> None:
    source = series(np.zeros((1, 8, 8)), spaced((1, 1, 1)), spacing_kind="patient")
    assert source.geometry.spacing is not None
    assert source.geometry.spacing[0] is None
    prepare(source, model_input(fit="pad", spacing=[1, 1]))


# --- beyond the image -----------------------------------------------------------------------------


def test_beyond_the_image_it_goes_on_as_in_a_mirror() -> None:
    values = np.random.default_rng(3).integers(0, 255, (3, 7, 9)).astype(np.uint8)
    source = series(values, spaced((2, 1, 1)), spacing_kind="patient")
    facts = {"dimensions": 3, "fit": "crop", "spacing": [2, 1, 1], "values": {"range": [0, 255]}}
    mirror, air = (
        prepare(source, model_input(size=[13, 11, 9], outside=outside, **facts))
        for outside in ("mirror", "air")
    )
    wanted = np.pad(values, ((5, 5), (2, 2), (0, 0)), mode="symmetric")
    assert np.allclose(mirror.tensor[0, 0].numpy(), wanted, atol=1e-3)
    assert np.array_equal(mirror.matrix, air.matrix)
    assert np.allclose(air.tensor[0, 0, 5:-5, 2:-2].numpy(), values, atol=1e-3)
    assert not air.tensor[0, 0, :5].any()
