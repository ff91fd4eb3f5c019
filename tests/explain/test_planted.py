# SPDX-License-Identifier: Apache-2.0
"""Planted truth in miniature: maps catch a network that learned a shortcut, and clear one that did not."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from test_contract import method

from viewer.explain import discover
from viewer.trust import peak_hit

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import measure_methods
from measure_methods import Net, Row, field_of, page, prepared
from planted import SIZES, Cause, Phantom, as_input, cases, phantom

from viewer.explain import explain


@cache
def net(cause: Cause) -> Net:
    """The miniature of a cause, trained in a few seconds, with eight cases."""
    return prepared("cnn", cause, 8)


FAITHFUL = (
    "grad-cam",
    "hires-cam",
    "layer-cam",
    "integrated-gradients",
    "expected-gradients",
    "occlusion",
)
"""Methods whose peak must be on the cause; for the others docs/methods-measured.md says how often it is."""


@pytest.mark.parametrize("cause", ["lesion", "shortcut"])
def test_the_networks_look_at_what_they_were_taught(cause: Cause) -> None:
    found = net(cause)
    taught, idle = ("lesion", "marker") if cause == "lesion" else ("marker", "lesion")
    assert found.right > 0.85
    assert min(found.drops[taught]) > 1
    assert np.mean(found.drops[taught]) > 4 * np.mean(np.abs(found.drops[idle]))


@pytest.mark.parametrize("cause", ["lesion", "shortcut"])
@pytest.mark.parametrize("name", [m.name for m in discover() if m.name in FAITHFUL])
def test_maps_find_the_cause_and_not_what_is_there_by_chance(name: str, cause: Cause) -> None:
    """Where both are in the image the peak is on the one that the network uses, marker or lesion."""
    found = net(cause)
    hits, others = [], []
    for case in found.shown:
        source = as_input(case.image)
        (attribution,) = explain(found.model, [source], [method(name)]).attributions
        cell = np.maximum(np.abs(attribution.matrix[:3, :3]).sum(1)[1:], 4)
        values = field_of(attribution)
        hits.append(peak_hit(values, measure_methods.truth(case, cause), cell))
        others.append(peak_hit(values, measure_methods.other(case, cause), cell))
    assert np.mean(hits) >= 0.75, (hits, others)
    assert np.mean(others) <= 0.125


def test_the_page_has_a_row_for_every_method_and_says_why_one_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two = [m for m in discover() if m.name in ("hires-cam", "attention")]
    monkeypatch.setattr(measure_methods, "discover", lambda: two)
    small = net("shortcut")
    monkeypatch.setattr(small, "rows", [])
    monkeypatch.setattr(small, "shown", small.shown[:2])
    measure_methods.measure(small, 1)
    rows: dict[str, Row] = {row.method: row for row in small.rows}
    assert set(rows) == {"random", "intensity", "hires-cam", "attention"}
    assert rows["attention"].refused
    assert len(rows["hires-cam"].hits) == 2
    # What is blurred first where the marker is changes the score sooner than at random.
    assert np.mean(rows["hires-cam"].deletion) < np.mean(rows["random"].deletion)
    assert np.mean(rows["hires-cam"].insertion) > np.mean(rows["random"].insertion)
    assert np.mean(rows["random"].mass) < 0.05
    text = "\n".join(page([small]))
    assert "| hires-cam | 2 | 1.00 | 0.00 |" in text
    assert "at least 80 % of cases on every network that they suit: hires-cam (n 2)." in text
    assert "attention: This network has no attention layers." in text


@pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))
def test_a_phantom_differs_from_its_twin_in_what_was_planted_alone(size: tuple[int, ...]) -> None:
    make: Callable[[bool, bool], Phantom] = lambda lesion, marker: phantom(  # noqa: E731
        size, lesion, marker, np.random.default_rng(5)
    )
    both, bare = make(True, True), make(False, False)
    assert (both.marker & (both.image == np.float32(0.95))).sum() == both.marker.sum() > 0
    assert not bare.marker.any()
    assert not bare.lesion.any()
    change = np.abs(both.image - bare.image)
    assert change[both.lesion].min() > 0.3 * np.exp(-1) - 0.01
    assert np.array_equal(make(False, True).image[~both.marker], bare.image[~both.marker])
    some, labels = cases(size, "shortcut", 20, 3)
    assert [bool(p.marker.any()) for p in some] == labels.tolist()
    assert 0 < sum(p.lesion.any() for p in some) < 20
