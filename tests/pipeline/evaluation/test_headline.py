"""Which figures stand at the top."""

from __future__ import annotations

from ocrlty_pipeline.evaluation.headline import headline
from ocrlty_pipeline.evaluation.metrics import field_score, macro_scores, rate
from ocrlty_pipeline.evaluation.results import EvaluationSummary
from tests.support.field_counts import MIXED


def test_an_evaluation_without_published_metrics_has_them_not_scored_rather_than_zero() -> None:
    summary = EvaluationSummary(
        sample_count=4, scored_count=4, failed_count=1, exact_match=rate(2, 4), schema_valid=rate(3, 4),
        error=rate(1, 4), micro=field_score(MIXED), macro=macro_scores(MIXED[None]), errors={}, latency_ms=None,
        tokens={}, outside_predicted={}, outside_expected={},
    )  # fmt: skip
    figures = {figure.name: figure for figure in headline(summary)}
    assert list(figures) == ["exact_match", "field_f1", "anls", "tree_edit", "aligned", "schema_valid", "error"]
    assert figures["exact_match"].value == 0.5
    assert figures["exact_match"].low < 0.5 < figures["exact_match"].high
    assert (figures["field_f1"].value, figures["field_f1"].low) == (summary.micro.f1, None)
    assert {figures[name].value for name in ("anls", "tree_edit", "aligned")} == {None}
    assert [name for name, figure in figures.items() if not figure.higher_is_better] == ["error"]
