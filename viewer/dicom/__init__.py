# SPDX-License-Identifier: Apache-2.0
"""DICOM and pictures: scan, group and order, geometry, decode, display values."""

from viewer.dicom.arrivals import UNKNOWN_PLACE, Arrival
from viewer.dicom.decoder_pool import start_decoders
from viewer.dicom.dimensions import in_time
from viewer.dicom.display import default_window, displayed, graded, modality_values, presented, stored
from viewer.dicom.overlays import Graphics, graphics
from viewer.dicom.parametric import ParametricMap, maps
from viewer.dicom.placing import belongs
from viewer.dicom.scan import Study, lost, scan, segmentation_in
from viewer.dicom.segmentation import Segmentation, regions
from viewer.dicom.tags import Row, header
from viewer.dicom.walk import Listed

__all__ = [
    "UNKNOWN_PLACE",
    "Arrival",
    "Graphics",
    "Listed",
    "ParametricMap",
    "Row",
    "Segmentation",
    "Study",
    "belongs",
    "default_window",
    "displayed",
    "graded",
    "graphics",
    "header",
    "in_time",
    "lost",
    "maps",
    "modality_values",
    "presented",
    "regions",
    "scan",
    "segmentation_in",
    "start_decoders",
    "stored",
]
