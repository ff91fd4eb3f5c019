# SPDX-License-Identifier: Apache-2.0
"""The arrays that values hold: read-only, whoever made them."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape3 = tuple[int, int, int]


def read_only(array: Array) -> Array:
    """The same memory through a view that cannot be written."""
    view = array.view()
    view.setflags(write=False)
    return view


def freeze(instance: object) -> None:
    """Make every array field of a frozen dataclass read-only; called from `__post_init__`."""
    for item in fields(instance):  # type: ignore[arg-type]
        value = getattr(instance, item.name)
        if isinstance(value, np.ndarray):
            object.__setattr__(instance, item.name, read_only(value))
