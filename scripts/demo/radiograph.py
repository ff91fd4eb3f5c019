# SPDX-License-Identifier: Apache-2.0
"""A radiograph projected through a volume: attenuation, scatter, noise, blur, and a console's processing.

Parallel beam from the back to the front (PA). The steps are those of a digital detector; the numbers
are chosen to look right, not to be right for any machine.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float32]

WATER = 0.0195
"""Linear attenuation of water per millimetre at an effective 70 keV."""
PHOTONS = 9.0e4
"""Photons per square millimetre behind air."""


def line_integrals(volume: Floats, spacing: float) -> Floats:
    """Attenuation summed from back to front, (rows from the head down, columns), of (z, y, x) HU."""
    attenuation = np.clip(volume / 1000 + 1, 0, None)
    # Bone weakens these energies more than its density says.
    attenuation += 0.35 * np.clip(volume - 150, 0, None) / 1000
    return np.asarray(attenuation.sum(1)[::-1] * (WATER * spacing), np.float32)


def radiograph(lines: Floats, pixel: float, random: np.random.Generator) -> Floats:
    """Line integrals → what the console shows, 0 … 1, dense is bright; `pixel` in millimetres."""
    primary = np.exp(-lines)
    scatter = 0.32 * gaussian_filter(primary, 38 / pixel)
    photons = PHOTONS * pixel**2
    counts = random.poisson((primary + scatter) * photons) / photons
    counts = gaussian_filter(counts, 0.55 / pixel)  # the scintillator spreads the light
    dense = -np.log(np.maximum(counts, 0.5 / photons))
    # Consoles lift detail over the large differences between lung and belly.
    dense = dense + 0.9 * (dense - gaussian_filter(dense, 28 / pixel))
    low, high = np.percentile(dense, (1.5, 99.7))
    return np.asarray(np.clip((dense - low) / (high - low), 0, 1), np.float32)
