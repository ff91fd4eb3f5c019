# SPDX-License-Identifier: Apache-2.0
"""Planes through a volume: where they lie in the patient, and what lies on them."""

from viewer.planes.planes import (
    ANATOMICAL,
    LARGEST,
    ORIENTATIONS,
    Orientation,
    Plane,
    Point,
    Views,
    Way,
    acquired,
    lying,
    middle,
    nearest_slice,
    oblique,
    reach,
    through,
    tilt,
    turned,
    within,
)

__all__ = [
    "ANATOMICAL",
    "LARGEST",
    "ORIENTATIONS",
    "Orientation",
    "Plane",
    "Point",
    "Views",
    "Way",
    "acquired",
    "lying",
    "middle",
    "nearest_slice",
    "oblique",
    "reach",
    "through",
    "tilt",
    "turned",
    "within",
]
