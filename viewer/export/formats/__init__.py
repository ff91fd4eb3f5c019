# SPDX-License-Identifier: Apache-2.0
"""The kinds of file that an export can write, one a file."""

from viewer.export.formats.format import Format
from viewer.export.formats.npz import save_npz
from viewer.export.formats.png import save_png
from viewer.export.formats.registry import BY_NAME, FORMATS, PLANNED, check_formats
from viewer.export.formats.result import RESULT, save_result

__all__ = [
    "BY_NAME",
    "FORMATS",
    "PLANNED",
    "RESULT",
    "Format",
    "check_formats",
    "save_npz",
    "save_png",
    "save_result",
]
