"""Two runs against each other: what is found, what is not, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.evaluation import uncertainty
from ocrlty_pipeline.evaluation.comparison.compare import Side, compare
from ocrlty_pipeline.evaluation.comparison.gate import gate
from ocrlty_pipeline.evaluation.comparison.results import NO_EVIDENCE, Comparison
from ocrlty_pipeline.evaluation.evaluator import Sample, evaluate
from ocrlty_pipeline.evaluation.outcomes import Mismatch
from ocrlty_pipeline.evaluation.results import Evaluation, EvaluationIdentity, SampleScore
from ocrlty_pipeline.ground_truth import GroundTruthMatch

FIELDS = ["company", "date", "total", "cash", "change"]
SCHEMA = {"type": "object", "properties": {field: {"type": "string"} for field in FIELDS}}
LINES = {
    "type": "object",
    "properties": {
        "total": {"type": "string", "format": "x-money"},
        "menu": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
    },
}


def evaluation(
    predicted: dict[str, Any], expected: dict[str, Any], schema: dict[str, Any] = SCHEMA, **identity: Any
) -> Evaluation:
    samples = [
        Sample(request_id=f"r-{file}", file=file, predicted=value, error="backend_error" if value is None else None)
        for file, value in predicted.items()
    ]
    known = {"eval_id": "e", "created_at": "2026-11-28T00:00:00Z", "run_id": "run", "task_id": "t", "image_set": "s"}
    match = GroundTruthMatch(expected, (), ())
    return evaluate(samples, match, schema, EvaluationIdentity(**{**known, "ground_truth_version": 1, **identity}))


def side(predicted: dict[str, Any], expected: dict[str, Any], schema: dict[str, Any] = SCHEMA, **identity: Any) -> Side:
    return Side(evaluation(predicted, expected, schema, **identity), predicted)


def receipts(wrong: dict[str, set[int]], documents: int) -> dict[str, Any]:
    """Documents whose fields all read "right", but for those of which `wrong` gives the numbers."""
    return {
        f"{i:04}.png": {field: "wrong" if i in wrong.get(field, ()) else "right" for field in FIELDS}
        for i in range(documents)
    }


TRUTH_500 = receipts({}, 500)


def test_a_planted_change_is_found_named_and_significant() -> None:
    hard = set(range(0, 500, 10))
    before = {"date": set(range(200, 260)), "total": hard, "cash": hard}
    # Worse on 8 % of the documents in one field, better on 12 % in another.
    after = {**before, "total": hard | set(range(301, 345)) - hard, "date": set()}
    found = compare(side(receipts(before, 500), TRUTH_500), side(receipts(after, 500), TRUTH_500))
    verdicts = {field.field: field.verdict for field in found.fields}
    assert verdicts == {
        "company": NO_EVIDENCE,
        "date": "better",
        "total": "worse",
        "cash": NO_EVIDENCE,
        "change": NO_EVIDENCE,
    }
    assert "Better: date. Worse: total." in found.words
    total = next(field for field in found.fields if field.field == "total")
    assert (total.documents.fixed, total.documents.broken) == (0, 40)
    assert total.p_adjusted < 1e-9
    assert total.f1.difference == pytest.approx(-0.08)
    assert total.f1.low < total.f1.difference < total.f1.high < 0
    assert [sample.file for sample in found.broken("total")] == [
        f"{i:04}.png" for i in sorted(set(range(301, 345)) - hard)
    ]
    assert len(found.fixed("date")) == 60


def noisy(template: Evaluation, rng: np.random.Generator, hard: np.ndarray) -> Evaluation:
    """A run that errs in each field of each document at random, more often in hard documents."""
    wrong = rng.random((len(hard), len(FIELDS))) < hard[:, None]
    faults = [Mismatch(field, field, "mismatch", "a", "b", "a", "b") for field in FIELDS]
    samples = [
        SampleScore.model_construct(
            **{
                **dict(sample),
                "matched": [int(not x) for x in row],
                "mismatches": [fault for fault, x in zip(faults, row, strict=True) if x],
            }
        )
        for sample, row in zip(template.samples, wrong.tolist(), strict=True)
    ]
    return template.model_copy(update={"samples": samples})


def test_a_null_change_is_called_different_in_at_most_6_of_100_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    # No verdict rests on the bootstrap.
    monkeypatch.setattr(uncertainty, "RESAMPLES", 20)
    truth = receipts({}, 150)
    template = evaluation(truth, truth)
    called = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        hard = rng.beta(1, 6, 150)
        a, b = (Side(noisy(template, rng, hard), {}) for _ in "ab")
        found = compare(a, b, seed=seed)
        called += found.verdict != NO_EVIDENCE or any(field.verdict != NO_EVIDENCE for field in found.fields)
    assert called <= 6


def small(rows: Sequence[str]) -> dict[str, Any]:
    """One document a row; a letter a field, R right, anything else as it stands, `-` absent."""
    return {
        f"{i}.png": {f: {"R": "right"}.get(v, v) for f, v in zip(FIELDS, row, strict=False) if v != "-"}
        for i, row in enumerate(rows)
    }


def test_documents_and_fields_count_as_fixed_broken_and_alike_by_hand() -> None:
    truth = small(["RR", "RR", "RR", "RR", "R-"])
    a = side(small(["RR", "xR", "Rx", "xR", "R-"]), truth)
    b = side(small(["RR", "RR", "Rx", "xx", "Ry"]), truth)
    found = compare(a, b)
    documents = found.documents
    assert (documents.both_right, documents.fixed, documents.both_wrong, documents.broken) == (1, 1, 2, 1)
    company, date, *rest = found.fields
    assert [company.documents.both_right, company.documents.fixed, company.documents.both_wrong] == [3, 1, 1]
    # In the last document, where nothing is expected, a value was made up.
    assert (date.documents.both_right, date.documents.broken, date.documents.both_wrong) == (2, 2, 1)
    assert all(field.documents.both_right == 0 and field.f1.a is None for field in rest)
    assert found.figure("exact_match").difference == 0
    # Nine leaves are expected; A predicts nine, B ten; of both, six are right.
    assert found.figure("field_f1").a == pytest.approx(2 * 6 / (9 + 9))
    assert found.figure("field_f1").b == pytest.approx(2 * 6 / (9 + 10))


def test_a_changed_sample_shows_both_predictions_and_what_is_expected() -> None:
    truth = {"1.png": {"total": "10.00", "menu": [{"name": "Tea"}, {"name": "Pie"}]}, "2.png": {"total": "1.00"}}
    a = side({"1.png": {"total": "19.00", "menu": [{"name": "Tea"}, {"name": "Pie"}]}, "2.png": None}, truth, LINES)
    b = side(
        {"1.png": {"total": "10.0", "menu": [{"name": "Pie"}, {"name": "Tee"}]}, "2.png": {"total": "1.00"}},
        truth,
        LINES,
    )
    first, second = compare(a, b).samples
    assert (first.document, first.fixed, first.broken) == (None, ["total"], ["menu[].name"])
    total, name = first.leaves
    assert (total.expected, total.predicted_a, total.predicted_b) == ("10.00", "19.00", "10.0")
    assert (total.outcome_a, total.outcome_b) == ("mismatch", "matched")
    assert (name.path, name.expected, name.predicted_a, name.predicted_b) == ("menu[0].name", "Tea", "Tea", "Tee")
    assert (second.document, second.error_a, second.error_b) == ("fixed", "backend_error", None)
    assert second.leaves[0].predicted_a is None


def test_fields_of_one_run_only_are_left_out_and_named() -> None:
    other = {"type": "object", "properties": {"total": {"type": "string"}, "tip": {"type": "string"}}}
    truth = {"1.png": {"total": "1", "tip": "2", "date": "3"}, "2.png": {"total": "2"}}
    found = compare(
        side({"1.png": {"total": "1", "date": "x"}, "2.png": {"total": "2"}}, truth),
        side({"1.png": {"total": "1", "tip": "x"}, "2.png": {"total": "2"}}, truth, other),
    )
    assert [field.field for field in found.fields] == ["total"]
    assert found.fields_only_b == ["tip"]
    assert "date" in found.fields_only_a
    assert found.documents.both_right == 2
    assert found.figure("anls").a is None


def test_other_images_are_refused_unless_the_intersection_is_asked_for() -> None:
    truth = small(["RR", "RR", "RR"])
    a, b = side(small(["RR", "RR"]), truth), side(small(["RR", "RR", "xR"]), truth)
    with pytest.raises(InputError, match=r"1 scored only in 'run' \('2.png'\); 2 are in both.*--intersection"):
        compare(a, b)
    found = compare(a, b, intersection=True)
    assert (found.paired, found.only_a, found.only_b) == (2, [], ["2.png"])
    elsewhere = side(small(["RR", "RR"]), truth, image_set="other")
    with pytest.raises(InputError, match=r"'s'.*'other'"):
        compare(a, elsewhere)
    assert compare(a, elsewhere, intersection=True).paired == 2


def test_runs_with_nothing_in_common_are_refused_always() -> None:
    truth = {"1.png": {"total": "1"}, "2.png": {"total": "1"}}
    a = side({"1.png": {"total": "1"}}, truth)
    with pytest.raises(InputError, match="no scored image in common"):
        compare(a, side({"2.png": {"total": "1"}}, truth), intersection=True)
    tip = {"type": "object", "properties": {"tip": {"type": "string"}}}
    with pytest.raises(InputError, match="no field in common"):
        compare(a, side({"1.png": {"tip": "1"}}, truth, tip), intersection=True)


def test_the_same_inputs_give_the_same_comparison_and_a_run_equals_itself() -> None:
    truth = receipts({}, 60)
    a, b = side(receipts({"date": {1, 2}}, 60), truth), side(receipts({"total": {3}}, 60), truth)
    found = compare(a, b)
    assert found == compare(a, b)
    assert Comparison.from_bytes(found.to_bytes()) == found
    same = compare(a, a)
    assert (same.verdict, same.p_value, same.f1_p_value, same.samples) == (NO_EVIDENCE, 1.0, 1.0, [])
    f1 = same.figure("field_f1")
    assert (f1.difference, f1.low, f1.high) == (0, 0, 0)


def test_micro_f1_decides_where_no_document_is_right() -> None:
    truth = receipts({}, 200)
    before = {"company": set(range(200)), "date": set(range(0, 200, 3)), "total": set(range(0, 200, 4))}
    after = {"company": set(range(200)), "date": set(range(0, 200, 9)), "total": set(range(0, 200, 8))}
    found = compare(side(receipts(before, 200), truth), side(receipts(after, 200), truth))
    assert found.documents.both_wrong == 200
    assert found.verdict == "better"
    assert found.words.startswith("B is better: 0 documents fixed, 0 broken; field F1 +")


def test_the_gate_goes_by_the_drop_and_says_whether_it_is_within_chance() -> None:
    truth = receipts({}, 100)
    good, bad = side(receipts({"date": {1}}, 100), truth), side(receipts({"date": {2, 3, 4}, "total": {5}}, 100), truth)
    down = compare(good, bad)
    refused = gate(down, 0.01, "documents")
    assert not refused.passed
    assert refused.drop == pytest.approx(0.03)
    assert refused.reason == (
        "Documents all right fell by 3.00 points, 99.00% to 96.00%, more than the 1 allowed; "
        "the difference is within chance."
    )
    assert gate(down, 0.03, "documents").passed
    assert gate(down, 0.01, "f1").passed
    up = gate(compare(bad, good), 0, "anls")
    assert up.passed
    assert "rose by" in up.reason
    with pytest.raises(InputError, match="max_drop is 2"):
        gate(down, 2)
