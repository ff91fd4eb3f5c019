"""DICOM and pictures: scan, group and order, geometry, decode, display values."""

from viewer.dicom.display import default_window, displayed, modality_values, presented, stored
from viewer.dicom.scan import Listed, Study, scan

__all__ = [
    "Listed",
    "Study",
    "default_window",
    "displayed",
    "modality_values",
    "presented",
    "scan",
    "stored",
]
