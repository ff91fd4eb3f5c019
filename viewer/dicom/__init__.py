"""DICOM and pictures: scan, group and order, geometry, decode, display values."""

from viewer.dicom.display import default_window, displayed, modality_values, presented, stored
from viewer.dicom.scan import Listed, Study, scan
from viewer.dicom.segmentation import Segmentation, belongs, regions

__all__ = [
    "Listed",
    "Segmentation",
    "Study",
    "belongs",
    "default_window",
    "displayed",
    "modality_values",
    "presented",
    "regions",
    "scan",
    "stored",
]
