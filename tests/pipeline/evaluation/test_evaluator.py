"""A run's samples to an evaluation and its documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ocrlty_pipeline.evaluation.donut import DonutCounts
from ocrlty_pipeline.evaluation.evaluator import Sample, evaluate
from ocrlty_pipeline.evaluation.options import EvaluationOptions
from ocrlty_pipeline.evaluation.results import Evaluation, EvaluationIdentity, eval_block
from ocrlty_pipeline.ground_truth import GroundTruthMatch
from ocrlty_pipeline.records import BatchItem, RecordedError, Timings

MONEY = {"type": ["string", "null"], "format": "x-money"}
SCHEMA = {"type": "object", "properties": {"total": MONEY, "tax": MONEY, "cash": MONEY}}
IDENTITY = EvaluationIdentity(
    eval_id="eval-1",
    created_at="2026-01-01T00:00:00Z",
    run_id="run-1",
    task_id="receipt_fields_v1",
    image_set="receipts",
    ground_truth_version=3,
)
EXPECTED = {
    "a.jpg": {"total": 10.0, "tax": 1.0, "cash": None},
    "b.jpg": {"total": 20.0, "tax": 2.0, "cash": 50.0, "id": "b"},
    "c.jpg": {"total": 30.0, "tax": None, "cash": None},
    "unreached.jpg": {"total": 1.0},
}
GROUND_TRUTH = GroundTruthMatch(EXPECTED, ("d.jpg",), ("elsewhere.jpg",))
SAMPLES = [
    Sample("r-a", "a.jpg", {"total": "10.00", "tax": "1.00", "cash": None}, None, True, 100.0, {"prompt_tokens": 5}),
    Sample("r-b", "b.jpg", {"total": "20.00", "tax": "2.50", "cash": None, "x": 1}, None, False, 200.0, None),
    Sample("r-c", "c.jpg", None, "backend_unavailable", None, 300.0, {"prompt_tokens": 2, "completion_tokens": 1}),
    Sample("r-d", "d.jpg", {"total": "5"}, None, True, 400.0),
]


def evaluated(samples: list[Sample] = SAMPLES, **options: Any) -> Evaluation:
    return evaluate(samples, GROUND_TRUTH, SCHEMA, IDENTITY, EvaluationOptions(**options))


def test_the_counts_of_each_field() -> None:
    fields = {path: score.model_dump(exclude_defaults=True) for path, score in evaluated().fields.items()}
    #          a          b             c (failed)      TP FP FN
    # total    matched    matched       pred_missing    2  0  1
    # tax      matched    mismatch      absent          1  1  1
    # cash     absent     pred_missing  absent          0  0  1
    assert list(fields) == ["total", "tax", "cash"]
    assert (fields["total"]["matched"], fields["total"]["pred_missing"], fields["total"]["support"]) == (2, 1, 3)
    assert (fields["total"]["precision"], fields["total"]["recall"]) == (1.0, pytest.approx(2 / 3))
    assert (fields["tax"]["matched"], fields["tax"]["mismatch"], fields["tax"]["both_absent"]) == (1, 1, 1)
    assert (fields["tax"]["f1"], fields["tax"]["accuracy"]) == (0.5, 0.5)
    assert (fields["cash"]["precision"], fields["cash"]["recall"], fields["cash"]["f1"]) == (None, 0.0, 0.0)


def test_the_figures_of_the_run() -> None:
    summary = evaluated().summary
    # TP = 3, FP = 1, FN = 3 over all fields; F1 of the fields 4/5, 1/2 and 0.
    assert (summary.micro.precision, summary.micro.recall) == (3 / 4, 3 / 6)
    assert summary.micro.f1 == pytest.approx(6 / 10)
    assert summary.micro.accuracy == pytest.approx(3 / 6)
    assert summary.macro.f1 == pytest.approx((0.8 + 0.5 + 0.0) / 3)
    assert summary.macro.precision == pytest.approx((1.0 + 0.5) / 2)
    assert (summary.sample_count, summary.scored_count, summary.failed_count) == (4, 3, 1)
    assert (summary.exact_match.count, summary.exact_match.total) == (1, 3)
    assert (summary.schema_valid.count, summary.schema_valid.total) == (2, 4)
    assert (summary.error.count, summary.error.total) == (1, 4)
    assert summary.errors == {"backend_unavailable": 1}
    assert summary.tokens == {"prompt_tokens": 7, "completion_tokens": 1}
    assert (summary.outside_predicted, summary.outside_expected) == ({"x": 1}, {"id": 1})
    assert summary.latency_ms is not None
    assert (summary.latency_ms.count, summary.latency_ms.p50) == (4, 250.0)


def test_each_sample_tells_what_went_wrong() -> None:
    a, b, c = evaluated().samples
    assert (a.exact, a.accuracy, a.matched, a.mismatches) == (True, 1.0, [1, 1, 0], [])
    assert (b.exact, b.accuracy, b.matched) == (False, pytest.approx(1 / 3), [1, 0, 0])
    assert [(m.path, m.kind, m.predicted, m.expected) for m in b.mismatches] == [
        ("tax", "mismatch", "2.50", 2.0),
        ("cash", "pred_missing", None, 50.0),
    ]
    assert (c.exact, c.accuracy, c.error) == (False, 0.0, "backend_unavailable")
    assert [(m.path, m.kind) for m in c.mismatches] == [("total", "pred_missing")]


def test_the_published_metrics_of_each_sample_and_of_the_run() -> None:
    evaluation = evaluated()
    a, b, c = evaluation.samples
    # a: "10.00" and "1.00" against the numbers 10 and 1, and null where null is expected.
    assert (a.anls, a.tree_edit, a.donut, a.kieval.corrections) == (1.0, 1.0, DonutCounts(2, 0), 0)
    # b: 20 is right, "2.5" against "2" is not, 50 is missing; "x" and "id" are outside the schema. The expected tree
    # has three keys and 2 + 1 + 2 characters; wanting are ".5", a key and "50".
    assert (b.anls, b.donut) == (pytest.approx(1 / 3), DonutCounts(1, 3))
    assert b.tree_edit == pytest.approx(1 - (2 + 1 + 2) / 8)
    assert (b.kieval.matched, b.kieval.predicted, b.kieval.expected, b.kieval.corrections) == (1, 2, 3, 2)
    # c failed: nothing but what is expected.
    assert (c.anls, c.tree_edit, c.donut) == (0.0, 0.0, DonutCounts(0, 1))
    estimates = evaluation.summary.estimates
    assert estimates.anls.value == pytest.approx((1 + 1 / 3) / 3)
    assert estimates.tree_edit.value == pytest.approx((1 + 3 / 8) / 3)
    assert estimates.donut_f1.value == pytest.approx(3 / (3 + 4 / 2))
    assert estimates.aligned.value == pytest.approx(3 / (3 + 3))
    assert estimates.entity_f1.value == pytest.approx(2 * 3 / (4 + 6))
    assert estimates.group_f1.value is None
    assert estimates.micro_f1.value == evaluation.summary.micro.f1
    assert estimates.macro_f1.value == pytest.approx(evaluation.summary.macro.f1)


def test_texts_compare_as_they_are_where_the_ground_truth_has_texts() -> None:
    truth = GroundTruthMatch({"a.jpg": {"total": "10.0"}}, (), ())
    [sample] = evaluate([Sample("r", "a.jpg", {"total": "10.00", "tax": None})], truth, SCHEMA, IDENTITY).samples
    assert sample.exact
    assert (sample.anls, sample.donut) == (0.8, DonutCounts(0, 2))  # and the predicted null costs nothing


def test_an_ambiguous_print_is_the_number_that_is_expected_if_it_can_be() -> None:
    truth = GroundTruthMatch({"a.jpg": {"total": 48.0, "tax": 48000}}, (), ())
    [sample] = evaluate([Sample("r", "a.jpg", {"total": "48.000", "tax": "48.000"})], truth, SCHEMA, IDENTITY).samples
    assert sample.exact
    assert (sample.anls, sample.tree_edit, sample.kieval.corrections) == (1.0, 1.0, 0)


def test_what_has_no_partner_is_listed_and_scores_nothing() -> None:
    evaluation = evaluated()
    assert [sample.request_id for sample in evaluation.not_scored] == ["r-d"]
    assert evaluation.gt_without_sample == ["unreached.jpg"]
    assert evaluation.gt_without_image == ["elsewhere.jpg"]


@pytest.mark.parametrize(
    ("predicted", "error"), [(None, None), (None, "output_not_json"), ({"total": "30"}, "output_truncated")]
)
def test_a_failed_sample_misses_all_that_is_expected(predicted: Any, error: str | None) -> None:
    evaluation = evaluated([Sample("r-c", "c.jpg", predicted, error, True)])
    assert evaluation.summary.micro.pred_missing == 1
    assert evaluation.summary.errors == {error or "no_prediction": 1}
    assert evaluation.summary.schema_valid.count == 0


def test_a_failed_sample_is_never_exact_even_where_nothing_is_expected() -> None:
    nothing_expected = GroundTruthMatch({"a.jpg": {}}, (), ())
    failed, empty = Sample("r", "a.jpg", None), Sample("r", "a.jpg", {})
    assert evaluate([failed], nothing_expected, SCHEMA, IDENTITY).samples[0].exact is False
    [sample] = evaluate([empty], nothing_expected, SCHEMA, IDENTITY).samples
    assert (sample.exact, sample.accuracy) == (True, None)


def test_an_evaluation_of_no_scored_sample_scores_nothing_rather_than_zero() -> None:
    summary = evaluated([SAMPLES[3]]).summary
    assert (summary.micro.f1, summary.macro.f1, summary.exact_match.value) == (None, None, None)
    assert summary.schema_valid.value == 1.0
    assert evaluated([]).summary.latency_ms is None


def test_an_evaluation_survives_its_artifact() -> None:
    evaluation = evaluated(decimal=".")
    read = Evaluation.from_bytes(evaluation.to_bytes())
    assert read == evaluation
    assert (read.format_version, read.options.decimal, read.ground_truth_version) == (1, ".", 3)
    assert evaluated(decimal=".").to_bytes() == evaluation.to_bytes()


def test_the_eval_block_holds_what_clients_of_the_run_read() -> None:
    evaluation = evaluated()
    block = json.loads(json.dumps(eval_block(evaluation, "evals/2026-01-01/eval-1.json")))
    assert set(block) == {"summary", "fields", "by_request_id", "eval_artifact_rel", "report_rel"}
    assert block["report_rel"] == "reports/2026-01-01/eval-1.html"
    assert block["eval_artifact_rel"] == "evals/2026-01-01/eval-1.json"
    assert block["summary"]["exact_match"]["count"] == 1
    assert block["fields"]["tax"]["mismatch"] == 1
    assert set(block["by_request_id"]) == {"r-a", "r-b", "r-c"}
    assert block["by_request_id"]["r-b"]["mismatches"][0] == {
        "path": "tax",
        "field": "tax",
        "kind": "mismatch",
        "predicted": "2.50",
        "expected": 2.0,
        "predicted_canonical": "2.5",
        "expected_canonical": "2",
    }


def test_a_batch_item_gives_its_sample() -> None:
    item = BatchItem(
        file="a.jpg",
        request_id="r-a",
        input_ref=None,
        artifact_rel="extracts/2026-01-01/r-a.json",
        ok=False,
        parsed=None,
        schema_valid=None,
        schema_errors=None,
        error=RecordedError(code="image_error", message="The image is broken."),
        error_history=None,
        timings_ms=Timings(vllm=1.0, parse_validate=2.0, total=4.0, preprocess=1.0),
        usage={"prompt_tokens": 5},
    )
    assert Sample.of(item) == Sample("r-a", "a.jpg", None, "image_error", None, 4.0, {"prompt_tokens": 5})
