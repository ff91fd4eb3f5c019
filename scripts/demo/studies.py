# SPDX-License-Identifier: Apache-2.0
"""The demo's studies as DICOM: a radiograph and a CT of each patient, and where the nodule lies.

All identifiers follow from the seed, so that making the files again gives the same files. The patients
and their names are made up.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    PYDICOM_ROOT_UID,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
)
from radiograph import line_integrals, radiograph
from scipy.ndimage import gaussian_filter
from thorax import Grid, Lesion, Patient, insert

from viewer.models.prepare import Axis

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
DATE, TIME = "20260105", "101500"
MAKER, MACHINE = "Whyscope", "Phantom thorax"
_HU_NOISE = 28.0
_SLICES = 60


@dataclass(frozen=True)
class Person:
    """A made-up patient: which anatomy, and whether there is a nodule."""

    number: int
    seed: int
    name: str
    sex: str
    born: str
    ill: bool
    photometric: str = "MONOCHROME2"

    @property
    def patient(self) -> Patient:
        return Patient(self.seed)

    @property
    def lesion(self) -> Lesion | None:
        return self.patient.lesion() if self.ill else None

    def uid(self, *what: object) -> str:
        """An identifier that is the same every time; those of one person stand together, in order."""
        digits = int(hashlib.sha256(repr((self.seed, *what)).encode()).hexdigest(), 16)
        return f"{PYDICOM_ROOT_UID}{self.number}.{str(digits)[:24]}"


PEOPLE = (
    Person(1, 8002, "Sample^Ada", "F", "19610412", True),
    Person(2, 8008, "Sample^Ben", "M", "19540930", False, "MONOCHROME1"),
)


# --- sampling -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scan:
    """Voxels in HU, (slices from the feet up, rows to the back, columns to the left), and the mask."""

    voxels: Floats
    mask: Mask
    grid: Grid


def ct(person: Person, spacing: float = 1.5, fine: float = 1.25) -> Scan:
    """A CT with slices of five millimetres, from one sampled `fine` millimetres apart."""
    patient, lesion = person.patient, person.lesion
    dense = Grid.around(spacing, fine)
    volume = patient.volume(dense)
    mask = np.zeros(dense.shape, np.float32)
    if lesion is not None:
        mask = insert(volume, dense, lesion, person.seed)
    ratio = dense.shape[0] / _SLICES
    # The slice's profile: a triangle, as wide at half its height as slices lie apart.
    profile, _ = Axis(0, _SLICES, (ratio - 1) / 2, ratio).weights(dense.shape[0])
    thick = np.tensordot(profile, volume, axes=(1, 0))
    random = np.random.default_rng([11, person.seed])
    # The reconstruction's filter leaves noise in grains, not in single voxels.
    noise = gaussian_filter(random.normal(0, 1, thick.shape), (0, 0.7, 0.7))
    thick = thick + noise * (_HU_NOISE / noise.std())
    step = dense.spacing[0] * ratio
    first = dense.origin[0] + dense.spacing[0] * (ratio - 1) / 2
    grid = Grid((first, *dense.origin[1:]), (step, spacing, spacing), thick.shape)
    return Scan(thick.astype(np.float32), np.tensordot(profile, mask, axes=(1, 0)) > 0.5, grid)


@dataclass(frozen=True)
class Shot:
    """A radiograph, dense is bright, (rows from the head down, columns to the left), and the mask."""

    pixels: Floats
    mask: Mask
    spacing: float


def shot(person: Person, spacing: float = 1.0) -> Shot:
    """The radiograph of a patient; the mask is the nodule's shadow."""
    grid = Grid.around(spacing)
    volume = person.patient.volume(grid)
    shadow = np.zeros((grid.shape[0], grid.shape[2]), bool)
    if person.lesion is not None:
        shadow = np.asarray((insert(volume, grid, person.lesion, person.seed) > 0.5).any(1))[::-1]
    random = np.random.default_rng([13, person.seed])
    return Shot(radiograph(line_integrals(volume, spacing), spacing, random), shadow, spacing)


# --- DICOM ----------------------------------------------------------------------------------------


def _file(person: Person, sop_class: str, modality: str, series: int, instance: int) -> Dataset:
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.ImplementationClassUID = f"{PYDICOM_ROOT_UID}1"
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = sop_class
    file.SOPInstanceUID = person.uid("image", series, instance)
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
    file.StudyInstanceUID, file.SeriesInstanceUID = person.uid("study"), person.uid("series", series)
    file.PatientName, file.PatientID = person.name, f"DEMO-{person.number}"
    file.PatientSex, file.PatientBirthDate = person.sex, person.born
    file.StudyID, file.AccessionNumber, file.ReferringPhysicianName = str(person.number), "", ""
    file.StudyDate = file.SeriesDate = file.AcquisitionDate = file.ContentDate = DATE
    file.StudyTime = file.SeriesTime = file.AcquisitionTime = file.ContentTime = TIME
    file.StudyDescription = "Phantom chest"
    file.Manufacturer, file.ManufacturerModelName = MAKER, MACHINE
    file.Modality, file.BodyPartExamined = modality, "CHEST"
    file.SeriesNumber, file.InstanceNumber = series, instance
    file.BurnedInAnnotation = "NO"
    file.SamplesPerPixel, file.BitsAllocated, file.BitsStored, file.HighBit = 1, 16, 12, 11
    file.PixelRepresentation = 0
    return file


def radiograph_file(person: Person, image: Shot) -> Dataset:
    """The radiograph as a DX of 12 bits."""
    file = _file(person, DigitalXRayImageStorageForPresentation, "DX", 1, 1)
    dark = person.photometric == "MONOCHROME1"
    file.SeriesDescription = "Chest PA"
    file.ImageType = ["ORIGINAL", "PRIMARY", ""]
    file.PresentationIntentType = "FOR PRESENTATION"
    file.ViewPosition, file.ImageLaterality, file.PatientOrientation = "PA", "U", ["L", "F"]
    file.PhotometricInterpretation = person.photometric
    file.PresentationLUTShape = "INVERSE" if dark else "IDENTITY"
    file.PixelIntensityRelationship, file.PixelIntensityRelationshipSign = "LOG", 1 if dark else -1
    file.RescaleIntercept, file.RescaleSlope, file.RescaleType = 0, 1, "US"
    file.KVP, file.DetectorType = 120, "SCINTILLATOR"
    file.PixelSpacing = file.ImagerPixelSpacing = [image.spacing] * 2
    file.PixelSpacingCalibrationType = "FIDUCIAL"
    file.WindowCenter, file.WindowWidth = 2048, 4096
    file.LossyImageCompression = "00"
    stored = np.rint((1 - image.pixels if dark else image.pixels) * 4095).astype("<u2")
    file.Rows, file.Columns = stored.shape
    file.PixelData = stored.tobytes()
    return file


def ct_files(person: Person, scan: Scan) -> list[Dataset]:
    """The CT's slices, from the feet up, compressed without loss."""
    made = []
    z, y, x = scan.grid.origin
    between, rows, columns = scan.grid.spacing
    for k, plane in enumerate(scan.voxels):
        file = _file(person, CTImageStorage, "CT", 2, k + 1)
        file.SeriesDescription = "Thorax 5 mm"
        file.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        file.FrameOfReferenceUID, file.PositionReferenceIndicator = person.uid("frame"), ""
        file.PatientPosition = "HFS"
        file.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        file.ImagePositionPatient = [x, y, z + k * between]
        file.SliceThickness, file.SpacingBetweenSlices = between, between
        file.PixelSpacing = [rows, columns]
        file.KVP, file.ConvolutionKernel = 120, "STANDARD"
        file.PhotometricInterpretation = "MONOCHROME2"
        file.RescaleIntercept, file.RescaleSlope, file.RescaleType = -1024, 1, "HU"
        file.WindowCenter, file.WindowWidth = [-600, 40], [1500, 400]
        file.WindowCenterWidthExplanation = ["LUNG", "MEDIASTINUM"]
        file.LossyImageCompression = "00"
        file.Rows, file.Columns = plane.shape
        file.PixelData = np.clip(np.rint(plane) + 1024, 0, 4095).astype("<u2").tobytes()
        file.compress(JPEGLSLossless, generate_instance_uid=False)
        made.append(file)
    return made


def truth(person: Person, sources: list[Dataset], mask: Mask, series: int) -> Dataset:
    """Where the nodule lies, as a DICOM SEG of the given images; `mask` is (slices, rows, columns)."""
    segment = SegmentDescription(
        segment_number=1,
        segment_label="Nodule",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Nodule,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    made = Segmentation(
        source_images=sources,
        pixel_array=mask.astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=person.uid("series", series),
        series_number=series,
        sop_instance_uid=person.uid("image", series, 1),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MACHINE,
        software_versions="1",
        device_serial_number="1",
        series_description=f"Truth on the {sources[0].Modality}",
    )
    if "FrameOfReferenceUID" not in sources[0]:
        # A projection has no slices, and measures without their thickness are none to readers.
        del made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    return _settled(made, person, series)


def _settled(made: Dataset, person: Person, series: int) -> Dataset:
    """Without what differs from one making to the next: the clock, and identifiers drawn at random."""
    for date in ("ContentDate", "SeriesDate", "InstanceCreationDate"):
        setattr(made, date, DATE)
    for time in ("ContentTime", "SeriesTime", "InstanceCreationTime"):
        setattr(made, time, TIME)
    own = person.uid("dimensions", series)

    def settle(_: Any, element: Any) -> None:
        if element.keyword == "DimensionOrganizationUID":
            element.value = own
        elif element.keyword == "ContributionDateTime":
            element.value = DATE + TIME

    made.walk(settle)
    return made


def write_person(folder: Path, person: Person, pixel: float = 1.0, voxel: float = 1.5) -> Path:
    """Radiograph, CT and, for an ill patient, the truth on both; gives the folder.

    `pixel` and `voxel` are millimetres in the plane of the radiograph and of the CT.
    """
    image, scan = shot(person, pixel), ct(person, voxel)
    (folder / "ct").mkdir(parents=True, exist_ok=True)
    x_ray, slices = radiograph_file(person, image), ct_files(person, scan)
    x_ray.save_as(folder / "radiograph.dcm", enforce_file_format=True)
    for k, file in enumerate(slices, start=1):
        file.save_as(folder / "ct" / f"{k:03}.dcm", enforce_file_format=True)
    if person.ill:
        truth(person, [x_ray], image.mask[None], 3).save_as(folder / "truth-radiograph.dcm")
        truth(person, slices, scan.mask, 4).save_as(folder / "truth-ct.dcm")
    return folder
