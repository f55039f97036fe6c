"""A batch run and its scores as one table, a row an image: CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.evaluation.results import Evaluation, SampleScore
from ocrlty_pipeline.records import BatchItem

Row = dict[str, Any]
# Rows of a Parquet row group: what is in memory at a time besides the run itself.
ROW_GROUP = 10_000
_TYPES: Mapping[type, pa.DataType] = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}


def export_items(path: Path, items: Sequence[BatchItem], evaluation: Evaluation | None) -> int:
    """Write a batch run's items to `path`, in the format that its suffix names; answers the number of rows.

    Columns: `file`, `request_id`, `artifact_rel`, `ok`, `schema_valid`, `error`, `latency_ms`, `tokens.*`, `parsed.*`,
    and with an evaluation `score.*`, empty for images without ground truth. Arrays are JSON text in CSV and Parquet.
    JSON lines keep `parsed` and `score` as they are.

    Raises:
        InputError: the suffix is none of the three, or the file cannot be written.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise InputError(f"{path}: its suffix must be one of {', '.join(_WRITERS)}, which names the format.")
    scores = {} if evaluation is None else {sample.request_id: sample for sample in evaluation.samples}
    rows = [_row(item, scores.get(item.request_id)) for item in items]
    try:
        write(path, rows)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from None
    return len(rows)


def _row(item: BatchItem, score: SampleScore | None) -> Row:
    return {
        "file": item.file,
        "request_id": item.request_id,
        "artifact_rel": item.artifact_rel,
        "ok": item.ok,
        "schema_valid": item.schema_valid,
        "error": None if item.error is None else item.error.code,
        "latency_ms": item.timings_ms.total,
        "tokens": item.usage,
        "parsed": item.parsed,
        "score": None if score is None else _score(score),
    }


def _score(score: SampleScore) -> Row:
    return score.model_dump(mode="json", exclude={"request_id", "file", "error", "latency_ms", "matched"})


def _write_jsonl(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_csv(path: Path, rows: list[Row]) -> None:
    columns = _columns(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for row in rows:
            cells = dict(_cells(row))
            table.writerow([cells.get(name) for name in columns])


def _write_parquet(path: Path, rows: list[Row]) -> None:
    columns = _columns(rows)
    schema = pa.schema([(name, _TYPES.get(kind, pa.string())) for name, kind in columns.items()])
    with pq.ParquetWriter(path, schema) as file:
        for start in range(0, len(rows), ROW_GROUP):
            cells = [dict(_cells(row)) for row in rows[start : start + ROW_GROUP]]
            arrays = [
                pa.array([_as(kind, row.get(name)) for row in cells], schema.field(name).type)
                for name, kind in columns.items()
            ]
            file.write_table(pa.Table.from_arrays(arrays, schema=schema))


_WRITERS: Mapping[str, Callable[[Path, list[Row]], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}


def _columns(rows: list[Row]) -> dict[str, type]:
    """Every column that any row has, in the order of their first appearance, with the type of its values.

    A field that is a number in one answer and a text in another is a column of texts.
    """
    found: dict[str, type] = {}
    for row in rows:
        for name, value in _cells(row):
            kind = _kind(value)
            known = found.get(name, type(None))
            if value is None or known in (kind, type(None)):
                found[name] = known if value is None else kind
            else:
                found[name] = float if {known, kind} == {int, float} else str
    return found


def _kind(value: Any) -> type:
    """Parquet's integers have 64 bits; a model may print longer ones."""
    return str if isinstance(value, int) and not -(2**63) <= value < 2**63 else type(value)


def _cells(row: Row) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        yield from _flat(name, value)


def _flat(name: str, value: Any) -> Iterable[tuple[str, Any]]:
    """An object is a column for each of its leaves; an array is one, of JSON."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    elif isinstance(value, list):
        yield name, json.dumps(value, ensure_ascii=False)
    else:
        yield name, value


def _as(kind: type, value: Any) -> Any:
    if value is None or kind in _TYPES:
        return value
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
