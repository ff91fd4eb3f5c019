# SPDX-License-Identifier: Apache-2.0
"""Exported pictures look as they did: compared pixel by pixel with those that were looked at and kept.

    python tests/test_exported_pictures.py

makes the kept ones anew, after a change on purpose; look at them before they are committed.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_maps import SCORES, block, explain, predict, series, snapshot, sweep
from PIL import Image, features
from PIL.PngImagePlugin import PngInfo

from viewer import affine
from viewer.export import compose, panel
from viewer.types import Geometry, LoadedMap, Score, Snapshot, Style, Window

KEPT = Path(__file__).with_name("pictures")
_FEW = 400
"""Pixels that another FreeType than that of the kept picture may draw otherwise, of 1.8 millions."""


_UNIT = "1/s, of what reaches the tissue in a minute at rest"


def _of_both_signs() -> Snapshot:
    scores = (*SCORES, Score("effusion", -4.6, 0.012, False, 0.3), Score("a pneumothorax", -6.9, 0.001))
    map = explain(predict(series(), scores=scores), completeness_error=0.42)
    style = Style("blue-white-red", (-0.3, 0.3), threshold=0.04, sign="signed")
    notes = "Seen by the reader. " * 6
    return snapshot(map, style=style, window=Window(40, 400), annotations=("arrow: here",), notes=notes)


def _a_negative_outside_the_intended_use() -> Snapshot:
    said = predict(series(), override="the model accepts CR of the chest, and this is a CT of the head")
    return snapshot(explain(said, "nodule / mass"), crop=(5, 10, 52, 61), inverted=True)


def _of_no_label_without_spacing() -> Snapshot:
    said = predict(series((1, 40, 50, 3), geometry=Geometry(np.eye(4))), 0)
    return snapshot(explain(said, None), 0)


def _without_evidence() -> Snapshot:
    return snapshot(explain(predict(series()), values=-np.ones((1, 4, 4))))


def _that_came_with_the_study() -> Snapshot:
    source, values = series((1, 40, 50)), np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 4, 4)
    map = LoadedMap(values, affine.cells((1, 4, 4), (1, 40, 50)), _UNIT, source, "Ktrans")
    return snapshot(map, 0)


def _of_one_block() -> Snapshot:
    return snapshot(explain(block(series((20, 60, 80)), (8, 20, 24), (6, 18, 40))), 9)


def _of_the_best_of_many_blocks() -> Snapshot:
    return snapshot(sweep(series((20, 60, 80)), (8, 20, 24), finer=2646), 3)


SHOWN: dict[str, Callable[[], Snapshot]] = {
    "both signs": _of_both_signs,
    "a negative": _a_negative_outside_the_intended_use,
    "no label": _of_no_label_without_spacing,
    "no evidence": _without_evidence,
    "one block": _of_one_block,
    "best of many": _of_the_best_of_many_blocks,
    "loaded map": _that_came_with_the_study,
}


def _pixels(shot: Snapshot) -> np.ndarray:
    """The picture, whatever versions are installed here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panel, "versions", lambda *_: {"whyscope": "0", "torch": "0", "numpy": None})
        return np.asarray(compose(shot))


def _moved(one: np.ndarray, other: np.ndarray) -> int:
    """How many pixels are another."""
    return int((one != other).any(-1).sum())


@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_looks_as_it_did(name: str, tmp_path: Path) -> None:
    with Image.open(KEPT / f"{name}.png") as kept:
        before, made_with = np.asarray(kept), kept.info["FreeType"]
    now = _pixels(SHOWN[name]())
    assert now.shape == before.shape
    allowed = 0 if made_with == _freetype() else _FEW
    if _moved(now, before) > allowed:
        Image.fromarray(now).save(tmp_path / "now.png")
        pytest.fail(f"{_moved(now, before)} pixels are another than in {name}.png; see {tmp_path}/now.png")


def _freetype() -> str:
    return f"{features.version('freetype2')}, {'raqm' if features.check('raqm') else 'basic'}"


def test_one_pixel_is_seen() -> None:
    now = _pixels(_without_evidence())
    drawn = now.copy()
    drawn[40, -200, 2] += 1
    assert _moved(now, drawn) == 1


if __name__ == "__main__":
    KEPT.mkdir(exist_ok=True)
    said = PngInfo()
    said.add_text("FreeType", _freetype())
    for title, make in SHOWN.items():
        Image.fromarray(_pixels(make())).save(KEPT / f"{title}.png", optimize=True, pnginfo=said)
