# SPDX-License-Identifier: Apache-2.0
"""How long series take to open, beside a plain loop of pydicom and SimpleITK's series reader.

A real MR repeated to 384 slices, and a generated CT of 500 slices as it is and 120 in JPEG-LS. Every
run is a process of its own; the readers take turns in seven rounds. Told are medians, and of ratios the
median of those within a round, since a machine may be half as fast from one minute to the next. Memory is
that of the reading process: decoder processes hold one image at a time, and are not counted. They are
started a while before the clock is, as the program does when its window appears.

    python benchmarks/dicom_speed.py [--json]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

REAL = ROOT.parent / "shared" / "data" / "dicom" / "mr-t1-oblique"
READERS = ("whyscope", "pydicom", "SimpleITK")
REPEATS = 7
AIMS = {"first": 0.1, "scan": 0.6, "all": 0.7, "memory": 1.3}
"""The first three are parts of SimpleITK's whole read, the last of the bytes of the pixels."""
WORDS = {
    "first": "first image",
    "scan": "proven order",
    "all": "all slices, scan included",
    "memory": "peak memory",
}
_JPEG_LS = "1.2.840.10008.1.2.4.80"
_MR, _CT, _PACKED = 384, 500, 120
_SIDE = 512
_WINDOW = 1.5
"""Seconds that the window has been there when a reader opens a folder; the least one can."""


# --- files --------------------------------------------------------------------------------------------


def make_mr(folder: Path) -> None:
    """The real MR again and again along its normal; nothing in its headers is left out."""
    import pydicom

    from viewer.dicom.geometry import normal

    real = [pydicom.dcmread(p) for p in sorted(REAL.rglob("*.dcm"))]
    first = real[0]
    across = normal(tuple(float(v) for v in first.ImageOrientationPatient))
    for number in range(_MR):
        one = real[number % len(real)]
        place = across * number * float(first.SliceThickness)
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{number + 1}"
        one.SeriesInstanceUID = "1.2.3.4"
        one.ImagePositionPatient = [f"{v:.6f}" for v in place]
        one.InstanceNumber = number + 1
        one.save_as(folder / f"{number * 7919 % 10007:05}.dcm")


def make_ct(folder: Path, count: int, packed: bool = False) -> None:
    """Smooth noise with a body in it, in 12 bits; the names of the files do not follow the places."""
    import jpeg_ls
    import numpy as np
    from pydicom.encaps import encapsulate

    random = np.random.default_rng(7)
    row, column = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    body = np.where(row**2 + column**2 < 0.6, 1040, 24)
    for number in range(count):
        pixels = (body + random.integers(0, 24, body.shape)).astype(np.uint16)
        dataset = header(number)
        if packed:
            dataset.file_meta.TransferSyntaxUID = _JPEG_LS
            dataset.PixelData = encapsulate([bytes(jpeg_ls.encode_array(pixels))])
            dataset["PixelData"].VR = "OB"
        else:
            dataset.PixelData = pixels.tobytes()
            dataset["PixelData"].VR = "OW"
        dataset.save_as(folder / f"{number * 7919 % 10007:05}.dcm", enforce_file_format=True)


def header(number: int) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    facts: dict[str, Any] = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "SOPInstanceUID": f"1.2.3.5.{number + 1}",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.5",
        "Modality": "CT",
        "PatientID": "P1",
        "PatientName": "Doe^Jane",
        "InstanceNumber": number + 1,
        "Rows": _SIDE,
        "Columns": _SIDE,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PixelSpacing": [0.7, 0.7],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, number],
        "SliceThickness": 1,
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "WindowCenter": 40,
        "WindowWidth": 400,
    }
    for keyword, value in facts.items():
        setattr(dataset, keyword, value)
    return dataset


# --- readers, each in a process of its own ------------------------------------------------------------


def peak() -> int:
    """The most bytes that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def with_whyscope(folder: Path) -> Callable[[], dict[str, float]]:
    """Scan, first image and all slices as the window has them."""
    from viewer import dicom
    from viewer.settings import Limits

    dicom.start_decoders(Limits())
    time.sleep(_WINDOW)

    def run() -> dict[str, float]:
        shown: list[float] = []

        def show(series: Any) -> None:
            assert series.voxels[len(series.voxels) // 2].size
            shown.append(time.perf_counter() - began)

        def found(arrivals: Any) -> None:
            if not shown:
                show(arrivals[0].series)

        began = time.perf_counter()
        (series,) = dicom.scan([folder], found=found).series
        scanned = time.perf_counter() - began
        assert series.geometry.volume
        show(series)  # the first image of a study of few files
        kept = list(series.voxels)
        whole = time.perf_counter() - began
        return {"scan": scanned, "first": shown[0], "all": whole, "bytes": sum(a.nbytes for a in kept)}

    return run


def with_pydicom(folder: Path) -> Callable[[], dict[str, float]]:
    """Every file and its pixels, in no order."""
    import pydicom
    import pydicom.pixels

    def run() -> dict[str, float]:
        began = time.perf_counter()
        kept = [pydicom.dcmread(path).pixel_array for path in sorted(folder.iterdir())]
        return {"all": time.perf_counter() - began, "bytes": sum(a.nbytes for a in kept)}

    return run


def with_simpleitk(folder: Path) -> Callable[[], dict[str, float]]:
    """The series reader, its file names in the order that GDCM finds."""
    import SimpleITK as sitk  # noqa: N813 - its own name

    def run() -> dict[str, float]:
        began = time.perf_counter()
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
        ordered = time.perf_counter() - began
        image = reader.Execute()
        whole = time.perf_counter() - began
        return {"scan": ordered, "all": whole, "bytes": sitk.GetArrayViewFromImage(image).nbytes}

    return run


def read_once(reader: str, folder: Path) -> dict[str, float]:
    """One reader's times, a processor's without its children, and its peak above the bare import."""
    prepared = {"whyscope": with_whyscope, "pydicom": with_pydicom, "SimpleITK": with_simpleitk}
    run = prepared[reader](folder)
    idle, used = peak(), time.process_time()
    found = run()
    return {**found, "processor": time.process_time() - used, "peak": peak() - idle}


# --- table --------------------------------------------------------------------------------------------


def child(*words: str) -> str:
    """What this program says with these words, run in a process of its own."""
    command = [sys.executable, __file__, *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


Round = dict[str, dict[str, float]]
"""What each reader took."""


def measured(folder: Path) -> list[Round]:
    """Rounds in which the readers take turns."""
    return [
        {reader: json.loads(child("--read", reader, str(folder))) for reader in READERS}
        for _ in range(REPEATS)
    ]


def medians(some: list[dict[str, float]]) -> dict[str, float]:
    """The median of every figure."""
    return {name: statistics.median(one[name] for one in some) for name in some[0]}


def ratios(found: Round) -> dict[str, float]:
    """Our times as parts of the others', and our peak as a part of the pixels, in one round."""
    ours, plain, other = (found[reader] for reader in READERS)
    parts = {name: ours[name] / other["all"] for name in ("first", "scan", "all")}
    return {**parts, "memory": ours["peak"] / ours["bytes"], "all/pydicom": ours["all"] / plain["all"]}


def measure() -> dict[str, Any]:
    """All series that there are files for."""
    kinds = {f"CT {_CT} × {_SIDE}²": "ct", f"CT {_PACKED} × {_SIDE}² JPEG-LS": "packed"}
    if REAL.is_dir():
        kinds = {f"MR {_MR} slices": "mr"} | kinds
    document: dict[str, Any] = {}
    for name, kind in kinds.items():
        with tempfile.TemporaryDirectory() as folder:
            child("--make", kind, folder)
            rounds = measured(Path(folder))
        document[name] = {
            "readers": {reader: medians([one[reader] for one in rounds]) for reader in READERS},
            "ratios": medians([ratios(one) for one in rounds]),
            "aims": AIMS,
        }
    return document


def told(document: dict[str, Any]) -> str:
    """Every ratio beside its aim."""
    lines = []
    for series, found in document.items():
        lines.append(series)
        for reader, some in found["readers"].items():
            times = "  ".join(f"{k} {some[k]:6.3f} s" for k in ("first", "scan", "all") if k in some)
            used = f"processor {some['processor']:6.3f} s  " if "processor" in some else ""
            lines.append(f"  {reader:<10} {times}  {used}peak {some['peak'] / 2**20:5.0f} MiB")
        for name, aim in AIMS.items():
            value = found["ratios"][name]
            missed = "" if value <= aim else "  missed"
            of = "of the pixels" if name == "memory" else "of SimpleITK"
            lines.append(f"    {WORDS[name]:<26} {value:5.2f} {of:<13} aim ≤ {aim}{missed}")
        lines.append(f"    {WORDS['all']:<26} {found['ratios']['all/pydicom']:5.2f} of pydicom")
    return "\n".join(lines)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--json", action="store_true")
    words.add_argument("--make", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    words.add_argument("--read", nargs=2, metavar=("READER", "FOLDER"), help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.make:
        kind, folder = asked.make[0], Path(asked.make[1])
        if kind == "mr":
            make_mr(folder)
        else:
            make_ct(folder, _PACKED if kind == "packed" else _CT, kind == "packed")
    elif asked.read:
        print(json.dumps(read_once(asked.read[0], Path(asked.read[1]))))
    else:
        found = measure()
        print(json.dumps(found, indent=1) if asked.json else told(found))


if __name__ == "__main__":
    main()
