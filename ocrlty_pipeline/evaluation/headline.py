"""Which figures of a run stand at the top, in which order and under which names: for every table, page and board.

Belongs here: the choice. Does not: the figures (`metrics`, `uncertainty`), or how they are set (`cli.output`, reports).
"""

from __future__ import annotations

from dataclasses import dataclass

from ocrlty_pipeline.evaluation.results import EvaluationSummary, Interval, Rate


@dataclass(frozen=True, slots=True)
class HeadlineFigure:
    """One figure in [0, 1] with its 95 % interval; None, "not scored", where it is undefined.

    Attributes:
        name: stable, for columns and keys.
        label: for people.
        higher_is_better: whether a greater value means a better run.
    """

    name: str
    label: str
    value: float | None
    low: float | None
    high: float | None
    higher_is_better: bool = True


def headline(summary: EvaluationSummary) -> list[HeadlineFigure]:
    """The figures that decide, the strictest first.

    Field F1 alone hides errors: it stands beside the share of documents without any fault and a score that knows which
    values belong together. In an evaluation older than the published metrics these are not scored.
    """
    estimates = summary.estimates
    nothing = Interval(value=None, low=None, high=None)
    micro = estimates.micro_f1 if estimates else Interval(value=summary.micro.f1, low=None, high=None)
    return [
        _figure("exact_match", "Documents all right", summary.exact_match),
        _figure("field_f1", "Field F1 (micro)", micro),
        _figure("anls", "ANLS*", estimates.anls if estimates else nothing),
        _figure("tree_edit", "Tree-edit accuracy", estimates.tree_edit if estimates else nothing),
        _figure("aligned", "KIEval aligned", estimates.aligned if estimates else nothing),
        _figure("schema_valid", "Schema-valid", summary.schema_valid),
        _figure("error", "Errors", summary.error, higher_is_better=False),
    ]


def _figure(name: str, label: str, of: Interval | Rate, *, higher_is_better: bool = True) -> HeadlineFigure:
    return HeadlineFigure(name, label, of.value, of.low, of.high, higher_is_better)
