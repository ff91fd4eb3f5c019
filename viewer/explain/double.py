# SPDX-License-Identifier: Apache-2.0
"""A map and that of a library once more in double precision: whether rounding is what sets them apart."""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from viewer.errors import ExplainerError
from viewer.types import Array

AGREES = 1e-4
"""Up to this share of the largest value two maps in single precision are one."""
AGREES_IN_DOUBLE = 1e-6
"""The same in double precision; a library that keeps its steps in single precision stays below it."""
_OWN = 10
"""How many times as far as the library's a map may lie from itself in double precision, and still be rounded:
two ways to the same sum round differently, but not by orders of magnitude."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Our map and that of a library, on one grid of three axes."""

    ours: Array
    theirs: Array
    either_sign: bool = False

    @property
    def difference(self) -> float:
        """max |ours − theirs| ÷ max |ours|."""
        if self.theirs.any() and not self.ours.any():
            raise ExplainerError("Our map is zero everywhere and that of the library is not.")
        return apart(self.theirs, self.ours, self.either_sign)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What double precision says of a difference: how large it is there, whether it was rounding, why not."""

    double: float
    rounding: bool
    remark: str = ""


def apart(one: Array, exact: Array, either_sign: bool = False) -> float:
    """max |one − exact| ÷ max |exact|; infinite where only `exact` is zero everywhere."""
    values, reference = one.astype(np.float64), exact.astype(np.float64)
    signs = (1, -1) if either_sign else (1,)
    gap = min(float(np.abs(reference - sign * values).max()) for sign in signs)
    largest = float(np.abs(reference).max())
    if not gap:
        return 0.0
    return gap / largest if largest else math.inf


def verdict(single: Pair, double: Pair) -> Verdict:
    """Whether rounding alone sets the maps in single precision apart.

    It does where those in double precision are one, and ours is rounded no worse than that of the library: a
    fault that only the map in single precision has is no rounding.
    """
    difference = double.difference
    if difference > AGREES_IN_DOUBLE:
        return Verdict(difference, False, "So it is not rounding alone.")
    own = apart(single.ours, double.ours, single.either_sign)
    theirs = apart(single.theirs, double.theirs, single.either_sign)
    if own <= max(AGREES, _OWN * theirs):
        return Verdict(difference, True)
    said = f"our map lies {own:.1e} from itself in double precision, and that of the library {theirs:.1e}"
    return Verdict(difference, False, f"But {said}: that is not rounding.")


def as_array(values: Tensor, shape: tuple[int, ...]) -> Array:
    """A library's map, (…grid), on our grid of three axes; raises `ExplainerError` for another one."""
    found = values.detach().double().cpu().numpy()
    if found.shape not in (shape, shape[1:]) or found.size != math.prod(shape):
        given, wanted = (" × ".join(map(str, s)) for s in (found.shape, shape))
        raise ExplainerError(f"Its map has {given or 'no'} cells and ours {wanted}.")
    if not np.isfinite(found).all():
        raise ExplainerError("Its map holds NaN or infinity.")
    return found.reshape(shape)
