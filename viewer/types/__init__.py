# SPDX-License-Identifier: Apache-2.0
"""What flows: Series → ModelInput → Prediction → Attribution → Overlay → Snapshot.

Every value is frozen, its arrays are read-only, and each holds its parent: a map knows the
predictions it explains, those know their input, and that its series. A map can therefore not be
drawn on, or exported with, a series it was not computed from.

Axis order is (slice, row, column) everywhere; patient coordinates are DICOM's LPS in millimetres.
"""

from viewer.types.arrays import Array, Shape3
from viewer.types.calibration import CalibratedRegion
from viewer.types.evidence import Evidence
from viewer.types.geometry import Geometry, SpacingKind, direction_letters
from viewer.types.maps import Attribution, DerivedMap, LoadedMap, Map, Method, Overlay, Sign, Snapshot, Style
from viewer.types.peer import PeerCheck
from viewer.types.prediction import Field, ModelInput, Prediction, Region, Score, Sweep, Target, distinct
from viewer.types.request import Asked, Override, Place, Request
from viewer.types.resolution import Resolution
from viewer.types.series import Display, Identity, Series, SeriesPoint, Voxels, Window
from viewer.types.swept import BestBlock, Swept
from viewer.types.tip import Tip

__all__ = [
    "Array",
    "Asked",
    "Attribution",
    "BestBlock",
    "CalibratedRegion",
    "DerivedMap",
    "Display",
    "Evidence",
    "Field",
    "Geometry",
    "Identity",
    "LoadedMap",
    "Map",
    "Method",
    "ModelInput",
    "Overlay",
    "Override",
    "PeerCheck",
    "Place",
    "Prediction",
    "Region",
    "Request",
    "Resolution",
    "Score",
    "Series",
    "SeriesPoint",
    "Shape3",
    "Sign",
    "Snapshot",
    "SpacingKind",
    "Style",
    "Sweep",
    "Swept",
    "Target",
    "Tip",
    "Voxels",
    "Window",
    "direction_letters",
    "distinct",
]
