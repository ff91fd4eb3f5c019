# SPDX-License-Identifier: Apache-2.0
"""A score in words: what its number is, with as many decimals as say no more than is known."""

from viewer.types import Score


def share_text(value: float, decimals: int = 2) -> str:
    """A score with so many decimals; never "1.00" of what is below 1, nor "0.00" of what is above 0."""
    step = 10.0**-decimals
    if 0 < value < step / 2:
        return f"<{step:.{decimals}f}"
    if 1 - step / 2 <= value < 1:
        return f">{1 - step:.{decimals}f}"
    return f"{value:.{decimals}f}".replace("-", "−")


def figures(score: Score) -> str:
    """The score with two decimals, or with as many more as tell its side of the threshold, up to four; of
    several runs with their spread."""
    value, threshold = score.probability, score.threshold
    if score.spread is not None:
        return f"{share_text(value)} ± {share_text(score.spread)}"
    if threshold is None or value == threshold:
        return share_text(value)
    several = ((share_text(value, n), share_text(threshold, n)) for n in (2, 3, 4))
    return next((own for own, other in several if own != other), share_text(value, 4))


def threshold_text(threshold: float) -> str:
    """A threshold with two decimals, or all that it has where those would make it 0 or 1."""
    text = f"{threshold:.2f}"
    return text if float(text) not in (0, 1) or float(text) == threshold else f"{threshold:g}"


def kind_of(score: Score) -> str:
    """What a label's number is: a probability only where the card gives a calibration."""
    if not 0 <= score.probability <= 1:
        return "output"
    return "probability" if score.calibrated else "score"


def score_text(score: Score, blocks: int = 1) -> str:
    """What the number is, the number, and where its label is called from: "score 0.82 (called from 0.50)".

    Of the best of many blocks nothing is called, for the threshold holds for one.
    """
    called = score.threshold is not None and blocks == 1
    threshold = f" (called from {threshold_text(score.threshold or 0)})" if called else ""
    return f"{kind_of(score)} {figures(score)}{threshold}"


def called_text(score: Score, blocks: int = 1) -> str:
    """Whether the label is called, what its number is, and from where on it is called; see `score_text`."""
    kind = kind_of(score)
    if blocks > 1:
        kind = f"{kind.capitalize()}, best of {blocks} blocks"
    if score.threshold is None:
        return kind if blocks > 1 else kind.capitalize()
    threshold = threshold_text(score.threshold)
    if blocks > 1:
        side = "above" if score.positive else "below"
        return f"{kind} · {side} {threshold}, from which one block is called"
    return f"{'Called' if score.positive else 'Not called'} · {kind}, called from {threshold}"
