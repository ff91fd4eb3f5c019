# SPDX-License-Identifier: Apache-2.0
"""Checks of a map: whether it lies on the truth, and whether what it marks moves the score."""

from viewer.trust.faithfulness import area, changed, first_cells
from viewer.trust.localisation import mass_in, peak_hit

__all__ = ["area", "changed", "first_cells", "mass_in", "peak_hit"]
