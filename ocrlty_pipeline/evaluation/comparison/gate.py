"""Whether a run may take a baseline's place: one figure, and how far it may drop."""

from __future__ import annotations

from typing import Literal

from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.evaluation.comparison.results import Comparison
from ocrlty_pipeline.records import Document

Metric = Literal["f1", "documents", "anls"]
_FIGURES: dict[Metric, str] = {"f1": "field_f1", "documents": "exact_match", "anls": "anls"}
_ROUNDING = 1e-9


class GateResult(Document):
    """What the gate said.

    Attributes:
        passed: whether the figure dropped by `max_drop` at most.
        drop: baseline minus run; negative for a gain.
        within_chance: whether the 95 % interval of the difference includes none at all.
        reason: in one sentence.
    """

    passed: bool
    metric: Metric
    baseline: float
    run: float
    drop: float
    max_drop: float
    within_chance: bool
    reason: str


def gate(comparison: Comparison, max_drop: float, metric: Metric = "f1") -> GateResult:
    """Hold run B of a comparison against run A, the baseline.

    The gate goes by the figure, not by its significance: a drop within chance fails as well, and the reason says so.

    Args:
        comparison: of the baseline (A) and the run (B).
        max_drop: in [0, 1]; 0.01 allows a percentage point.
        metric: micro F1 of the fields, the share of documents that are all right, or ANLS*.

    Raises:
        InputError: the figure is not scored, or `max_drop` is no share.
    """
    if not 0 <= max_drop <= 1:
        raise InputError(f"max_drop is {max_drop}; give a share from 0 to 1, such as 0.01 for a percentage point.")
    figure = comparison.figure(_FIGURES[metric])
    if figure.a is None or figure.b is None or figure.difference is None:
        raise InputError(f"{figure.label} is not scored for both runs; choose another metric: {', '.join(_FIGURES)}.")
    drop = -figure.difference
    chance = figure.low is None or figure.high is None or figure.low <= 0 <= figure.high
    passed = drop <= max_drop + _ROUNDING
    change = f"fell by {100 * drop:.2f}" if drop > 0 else f"rose by {-100 * drop:.2f}" if drop < 0 else "changed by 0"
    change = f"{figure.label} {change} points, {figure.a:.2%} to {figure.b:.2%}"
    limit = f"{100 * max_drop:g}"
    words = f"{change}, where it may lose {limit}" if passed else f"{change}, more than the {limit} allowed"
    return GateResult(
        passed=passed,
        metric=metric,
        baseline=figure.a,
        run=figure.b,
        drop=drop,
        max_drop=max_drop,
        within_chance=chance,
        reason=f"{words}; {_CHANCE[chance] if drop else 'nothing changed'}.",
    )


_CHANCE = {True: "the difference is within chance", False: "the difference is more than chance"}
