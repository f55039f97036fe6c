"""A run's items and scores as tables, read back as their users would."""

import json

import pandas as pd
import pytest

from ocrlty_pipeline.datasets.export import export_items
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.evaluation.evaluator import Sample, evaluate
from ocrlty_pipeline.evaluation.results import EvaluationIdentity
from ocrlty_pipeline.ground_truth import ground_truth_of
from ocrlty_pipeline.records import BatchItem, RecordedError, Timings, utc_now

SCHEMA = {
    "type": "object",
    "properties": {
        "total": {"type": ["string", "null"], "format": "x-money"},
        "menu": {"type": "array", "items": {"type": "object", "properties": {"nm": {"type": "string"}}}},
    },
}


def item(number, parsed, error=None):
    return BatchItem(
        file=f"{number}.jpg",
        request_id=f"r{number}",
        input_ref=None,
        artifact_rel=f"extracts/2026-11-24/r{number}.json",
        ok=error is None,
        parsed=parsed,
        schema_valid=None if error else True,
        schema_errors=None,
        error=error,
        error_history=None,
        timings_ms=Timings(vllm=1, parse_validate=1, total=2.5, preprocess=0),
        usage=None if error else {"total_tokens": 12},
    )


ITEMS = [
    item(1, {"total": '=1,"5"', "menu": [{"nm": "Täa\n"}]}),
    item(2, {"total": 2**70, "n": 1, "flag": True}),
    item(3, None, RecordedError(code="image_error", message="broken")),
]


@pytest.fixture
def evaluation():
    truth = ground_truth_of([{"file": "1.jpg", "total": "2", "menu": [{"nm": "Täa"}]}, {"file": "3.jpg", "total": "9"}])
    match = truth.match([item.file for item in ITEMS])
    identity = EvaluationIdentity(
        eval_id="e1", created_at=utc_now(), run_id="b1", task_id="t", image_set="s", ground_truth_version=1
    )
    return evaluate([Sample.of(item) for item in ITEMS], match, SCHEMA, identity)


def test_json_lines_keep_what_was_extracted_as_it_is(tmp_path, evaluation):
    path = tmp_path / "run.jsonl"
    assert export_items(path, ITEMS, evaluation) == 3
    first, second, third = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    assert first["parsed"] == ITEMS[0].parsed
    assert [mismatch["path"] for mismatch in first["score"]["mismatches"]] == ["total"]
    assert second["score"] is None
    assert (third["error"], third["parsed"], third["score"]["exact"]) == ("image_error", None, False)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_have_a_column_for_each_leaf(tmp_path, evaluation, suffix):
    path = tmp_path / f"run{suffix}"
    export_items(path, ITEMS, evaluation)
    table = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    assert list(table["file"]) == ["1.jpg", "2.jpg", "3.jpg"]
    assert list(table["latency_ms"]) == [2.5] * 3
    assert list(table["parsed.total"][:2]) == ['=1,"5"', str(2**70)]
    assert json.loads(table["parsed.menu"][0]) == [{"nm": "Täa\n"}]
    assert table["score.accuracy"].isna().tolist() == [False, True, False]
    assert json.loads(table["score.mismatches"][0])[0]["expected"] == "2"


def test_a_run_without_evaluation_has_no_scores(tmp_path):
    path = tmp_path / "run.parquet"
    export_items(path, ITEMS, None)
    table = pd.read_parquet(path)
    assert [name for name in table if name.startswith("score")] == ["score"]
    assert table["score"].isna().all()
    assert table["parsed.n"].tolist()[1] == 1


def test_an_unknown_suffix_or_place_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"run\.xlsx: its suffix must be one of \.csv, \.jsonl, \.parquet"):
        export_items(tmp_path / "run.xlsx", ITEMS, None)
    with pytest.raises(InputError, match="cannot be written"):
        export_items(tmp_path / "nowhere" / "run.csv", ITEMS, None)
