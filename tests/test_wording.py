# SPDX-License-Identifier: Apache-2.0
"""Window and files say the same of a map, and what explains a negative is decided in one place."""

import dataclasses

import numpy as np
import pytest
from made_maps import SCORES, explain, predict, series

from viewer.types import Attribution, Identity, Region, Score, Series, Target, Window
from viewer.wording import (
    NOT_LOOKED_AT,
    NOTHING_REACHES,
    below_text,
    clipped_text,
    counted,
    figures,
    method_text,
    negative_text,
    no_evidence_text,
    patients,
    remark_text,
    score_text,
    share_text,
    target_text,
    window_text,
)

CALLED, NOT_CALLED, NO_THRESHOLD = (score.label for score in SCORES)


def aimed(target: Target | None, source: Series | None = None) -> Attribution:
    return dataclasses.replace(explain(predict(source or series())), target=target)


def test_a_label_below_its_threshold_is_explained_as_a_negative() -> None:
    assert aimed(Target(NOT_CALLED, 1)).negative
    source = series()
    region = Region.box(source, 1, (0, 0, 5, 5), "corner")
    assert aimed(Target(NOT_CALLED, 1, region=region), source).negative


@pytest.mark.parametrize(
    "target",
    [
        Target(CALLED, 0),
        Target(NO_THRESHOLD, 2),
        Target(NOT_CALLED, 1, CALLED, 0),
        Target("of another model", 3),
        None,
    ],
    ids=["called", "without a threshold", "a difference", "not scored", "the same for every label"],
)
def test_nothing_else_is_a_negative(target: Target | None) -> None:
    assert not aimed(target).negative


def test_a_score_on_its_threshold_is_called() -> None:
    said = predict(series(), scores=(Score("a", 0.0, 0.5, threshold=0.5),))
    assert not dataclasses.replace(explain(said), target=Target("a", 0)).negative


def test_a_sweep_is_judged_by_its_highest_patch() -> None:
    source = series()
    low, high = (
        predict(source, scores=(Score("a", logit, probability, threshold=0.5), Score("b", -logit, 0.2)))
        for logit, probability in ((-3.0, 0.05), (2.0, 0.9))
    )
    made = dataclasses.replace(explain(low), predictions=(low, high), target=Target("a", 0))
    assert made.prediction is high
    assert made.score == high.scores[0]
    assert not made.negative
    assert dataclasses.replace(made, target=Target("b", 1)).prediction is low
    assert dataclasses.replace(made, target=None).prediction is high  # the highest score of any, of no label
    assert dataclasses.replace(made, predictions=(low,)).negative


def test_the_ends_of_a_map_are_finite() -> None:
    map = explain(predict(series()), values=[[[np.nan, -2.0], [np.inf, 3.0]]])
    assert map.extremes() == (-2.0, 3.0)
    assert explain(predict(series()), values=np.full((1, 2, 2), np.nan)).extremes() == (None, None)


NO_POSITIVE = (
    "Grad-CAM at layer features.norm5 shows no positive evidence for nodule / mass in this slice; "
    "try another method or layer."
)
NO_EVIDENCE = NO_POSITIVE.replace("positive evidence", "evidence").replace(
    "mass in", "mass above rounding in"
)


@pytest.mark.parametrize(
    ("signed", "blank", "seen", "drawn", "words"),
    [
        (False, True, True, False, NO_POSITIVE),
        (True, True, True, True, NO_EVIDENCE),
        (True, True, False, False, NO_EVIDENCE),
        (False, False, False, False, NOT_LOOKED_AT),
        (True, False, True, False, NOTHING_REACHES),
        (True, False, True, True, "Explains a negative: nodule / mass is not called."),
    ],
)
def test_one_remark_is_made_of_a_map(signed: bool, blank: bool, seen: bool, drawn: bool, words: str) -> None:
    assert remark_text(aimed(Target(NOT_CALLED, 1)), signed, blank, seen, drawn) == words


def test_no_remark_is_made_of_what_explains_a_called_label() -> None:
    assert remark_text(explain(predict(series())), False, False, True, True) == ""


def test_sentences() -> None:
    map = aimed(Target(NOT_CALLED, 1))
    assert method_text(map) == "Grad-CAM · features.norm5"
    assert method_text(dataclasses.replace(map, layer=None)) == "Grad-CAM"
    assert negative_text(map) == "Explains a negative: nodule / mass is not called."
    source = series()
    limited = Target(NOT_CALLED, 1, region=Region.box(source, 1, (0, 0, 5, 5), "corner"))
    assert below_text(aimed(limited, source)) == "nodule / mass is not called"  # the region has none
    assert no_evidence_text(map) == NO_POSITIVE
    same = explain(predict(series(), None), None)
    assert (target_text(same), same.score) == ("same for every label", None)
    assert no_evidence_text(same).endswith(
        "shows no positive evidence in this scan; try another method or layer."
    )
    assert [score_text(score) for score in (*SCORES, Score("a", 9.0, 9.0), Score("b", 0.0, 0.5, True))] == [
        "score 0.82 (called from 0.50)",
        "score 0.41 (called from 0.60)",
        "score 0.12",
        "output 9.00",
        "probability 0.50",
    ]


@pytest.mark.parametrize(
    ("value", "threshold", "said"),
    [
        (0.997, None, ">0.99"),
        (0.99999, 0.5, ">0.99"),
        (1.0, None, "1.00"),
        (0.003, None, "<0.01"),
        (1e-30, None, "<0.01"),
        (0.0, None, "0.00"),
        (0.994, None, "0.99"),
        (0.9972, 0.9981, "0.997"),
        (0.4996, 0.5, "0.4996"),
        (1.0004, None, "1.00"),
    ],
)
def test_no_score_is_rounded_to_certainty(value: float, threshold: float | None, said: str) -> None:
    assert figures(Score("a", 0.0, value, threshold=threshold)) == said


def test_thresholds_are_not_rounded_to_certainty_either() -> None:
    assert score_text(Score("a", 6.0, 0.9972, threshold=0.9981)) == "score 0.997 (called from 0.9981)"
    assert share_text(0.99962, 3) == ">0.999"
    assert share_text(0.9994, 3) == "0.999"


def test_the_ends_of_a_range_are_told_apart() -> None:
    assert clipped_text(0, 85, 85, "positive") == "clipped: 85 above it, of 85 cells above zero"
    said = clipped_text(3, 2, 85, "signed")
    assert said == "clipped: 2 above and 3 below it, of 85 cells that are not zero"
    assert clipped_text(0, 0, 85, "signed") == ""


def test_what_a_method_used_is_counted_in_words() -> None:
    assert [counted("players", 2), counted("steps", 64), counted("features", 1)] == [
        "2 features", "64 steps", "1 feature",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (Identity("DOE^JANE", "4711", "19700101"), Identity("Doe^Jane^^", "4711"), ("", "")),
        (Identity("DOE^JANE", "4711", "19700101"), Identity("DOE^JANE", "12", "19700101"), ("1", "2")),
        (Identity("DOE^JANE", "", "19700101"), Identity("DOE^JANE", "", "19700101"), ("", "")),
        (Identity("DOE^JANE", "", "19700101"), Identity("DOE^JANE", "", "19800101"), ("1", "2")),
        (Identity("DOE^JANE", "4711"), Identity(), ("", "")),
    ],
    ids=["spelt otherwise", "another number", "no number", "no number, born later", "a picture"],
)
def test_a_patient_is_told_by_the_number_else_by_name_and_birth_date(
    one: Identity, other: Identity, told: tuple[str, str]
) -> None:
    who = [dataclasses.replace(series(), identity=identity) for identity in (one, other)]
    assert patients(who) == told


@pytest.mark.parametrize(
    ("window", "unit", "said"),
    [
        (Window(5, 10), "SUVbw", "SUVbw 0 to 10  inverted"),
        (Window(3.5, 5), "SUVlbm", "SUVlbm 1 to 6  inverted"),
        (Window(5, 10), "BQML", "C 5  W 10  inverted"),
    ],
)
def test_a_window_of_uptake_is_told_by_its_ends(window: Window, unit: str, said: str) -> None:
    assert window_text(window, True, unit) == said
