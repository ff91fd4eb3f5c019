# SPDX-License-Identifier: Apache-2.0
"""A folder of very many files: how long its scan takes, what memory, and whether the window stays awake.

Four of ten files are slices of series of 100, three are notes, two are cut off, and one is a second name of a
slice. Scan and window are processes of their own; the folder is made anew, so its files are in the cache.

    python benchmarks/many_files.py [--files 100000] [--json]
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

_SLICES = 100
_OWN = b"1.2.3.4.10000000"
_SERIES = b"1.2.3.5.10000000"
_PLACE = b"0\\0\\000000 "


def template() -> bytes:
    """A CT slice of 8 × 8 pixels, in which uids and place are words of a fixed length."""
    import numpy as np
    from dicom_speed import header

    dataset = header(0)
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = _OWN.decode(), _SERIES.decode()
    dataset.ImagePositionPatient = _PLACE.decode().strip().split("\\")
    dataset.Rows = dataset.Columns = 8
    dataset.PixelData = np.arange(64, dtype=np.uint16).tobytes()
    dataset["PixelData"].VR = "OW"
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def make(folder: Path, files: int) -> None:
    """The files, a thousand to a folder."""
    whole = template()
    assert all(whole.count(word) for word in (_OWN, _SERIES, _PLACE))
    last = folder
    for number in range(files):
        inside = folder / f"{number // 1000:05}"
        if number % 1000 == 0:
            inside.mkdir()
        path, kind = inside / f"{number:08}", number % 10
        if kind < 4:
            image = number // 10 * 4 + kind
            one = whole.replace(_OWN, b"1.2.3.4.%08d" % (10**7 + image))
            one = one.replace(_SERIES, b"1.2.3.5.%08d" % (10**7 + image // _SLICES))
            path.write_bytes(one.replace(_PLACE, b"0\\0\\%06d " % (image % _SLICES)))
            last = path
        elif kind < 7:
            path.with_suffix(".txt").write_bytes(b"a note\n")
        elif kind < 9:
            path.with_suffix(".dcm").write_bytes(whole[: -64 - number % 40])
        else:
            os.link(last, path)


def scanned(folder: Path) -> dict[str, float]:
    """The scan alone: seconds, and its peak in memory above the process that has only imported it."""
    from viewer import dicom

    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told: list[int] = []
    begun, used = time.perf_counter(), time.process_time()
    study = dicom.scan([folder], found=lambda arrivals: told.append(len(arrivals)))
    taken, cpu = time.perf_counter() - begun, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle
    return {
        "seconds": taken,
        "processor": cpu,
        "peak": peak * (1 if sys.platform == "darwin" else 1024),
        "tellings": len(told),
        "series": len(study.series),
        "slices": sum(series.shape[0] for series in study.series),
        "other": len(study.other),
        "refused": len(study.refused),
    }


def shown(folder: Path) -> dict[str, float]:
    """The folder in the window: how long a timer of its thread ever waits, until all thumbnails are there."""
    from PySide6.QtWidgets import QApplication
    from waits import Pulse, rest, until

    from viewer.settings import Settings
    from viewer.ui.app import share_the_interpreter
    from viewer.ui.window import Window

    application = QApplication.instance() or QApplication([])
    share_the_interpreter()
    window = Window(Settings(device="cpu"))
    window.resize(1600, 1000)
    window.show()
    rest(window)
    pulse, begun = Pulse(), time.perf_counter()
    parts: dict[str, float] = {}
    state = lambda: window.presenter.state  # noqa: E731
    with pulse.watched() as found:
        window.presenter.studies.open([folder])
        until(lambda: bool(state().studies.items))
        parts["first row"] = time.perf_counter() - begun
        until(lambda: state().view.number is not None, 3000)
        parts["opened"] = time.perf_counter() - begun
    parts["longest wait, reading"] = found["longest"]
    with pulse.watched() as found:
        window.series.not_opened.unfold(True)
        rest(window)
        parts["rested"] = time.perf_counter() - begun
    parts |= {"longest wait, after": found["longest"], "rows": len(state().studies.items)}
    window.close()
    del application
    return parts


def measure(files: int) -> dict[str, Any]:
    """Both, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), files)
        found = {
            what: json.loads(
                subprocess.run(
                    [sys.executable, __file__, "--do", what, folder],
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                ).stdout
            )
            for what in ("scanned", "shown")
        }
    return {"files": files, **found}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--files", type=int, default=100_000)
    words.add_argument("--json", action="store_true")
    words.add_argument("--do", nargs=2, help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.do:
        print(json.dumps({"scanned": scanned, "shown": shown}[asked.do[0]](Path(asked.do[1]))))
        return
    found = measure(asked.files)
    if asked.json:
        print(json.dumps(found, indent=1))
        return
    scan, window = found["scanned"], found["shown"]
    print(
        f"{found['files']} files: {scan['seconds']:.1f} s ({scan['processor']:.1f} s of a processor), "
        f"peak {scan['peak'] / 2**20:.0f} MiB; {scan['series']} series of {scan['slices']} slices, "
        f"{scan['other']} listed, {scan['refused']} refused"
    )
    print(
        f"in the window: first row after {window['first row']:.2f} s, opened after {window['opened']:.1f} s, "
        f"longest wait {window['longest wait, reading']:.0f} ms, then {window['longest wait, after']:.0f} ms"
    )


if __name__ == "__main__":
    main()
