# SPDX-License-Identifier: Apache-2.0
"""Pictures and files of an explanation, with its provenance, written whole or not at all."""

from viewer.export.document import prediction_facts
from viewer.export.files import check_folder, whole, whole_set
from viewer.export.formats import FORMATS, PLANNED, RESULT, check_formats, save_npz, save_png
from viewer.export.picture import compose
from viewer.export.provenance import model_facts, provenance, swept_facts, versions
from viewer.export.style import read_style
from viewer.export.write import export, strongest_slice

__all__ = [
    "FORMATS",
    "PLANNED",
    "RESULT",
    "check_folder",
    "check_formats",
    "compose",
    "export",
    "model_facts",
    "prediction_facts",
    "provenance",
    "read_style",
    "save_npz",
    "save_png",
    "strongest_slice",
    "swept_facts",
    "versions",
    "whole",
    "whole_set",
]
