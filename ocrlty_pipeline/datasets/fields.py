"""Plain tables of fields: one row an image, CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from ocrlty_pipeline.datasets.json_files import strict_json
from ocrlty_pipeline.errors import GroundTruthError

_STEP = re.compile(r"\[([0-9]{1,4})\]|\.?([^.\[\]]+)")


def read_jsonl(data: bytes) -> list[Any]:
    """One record a line; blank lines are passed over.

    Raises:
        GroundTruthError: names the line.
    """
    # Not splitlines of the text: U+2028 and its like may stand within a JSON string.
    lines = enumerate(data.split(b"\n"), start=1)
    return [strict_json(line, f"Line {number}") for number, line in lines if line.strip()]


def read_csv(data: bytes) -> list[dict[str, Any]]:
    """One record a row, its fields named by the first row; an empty cell is null.

    A column may name a place within the record: `menu[0].nm`, `seller.name`.

    Raises:
        GroundTruthError: not UTF-8, no header, a name twice, or a row of another length; names the line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GroundTruthError(f"The CSV file is not UTF-8 text: {error.reason} at byte {error.start}.") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise GroundTruthError(f"Line {reader.line_num} of the CSV file cannot be read: {error}.") from None
    if not rows:
        raise GroundTruthError("The CSV file is empty; its first row names the fields.")
    (_, header), *records = rows
    paths = _paths(header)
    return [_record(line, paths, row) for line, row in records]


def _paths(header: list[str]) -> list[list[str | int]]:
    names = [name.strip() for name in header]
    if repeated := {name for name in names if names.count(name) > 1 or not name}:
        raise GroundTruthError(f"The CSV file's first row names {min(repeated)!r} twice, or leaves a name empty.")
    return [_path(name) for name in names]


def _path(name: str) -> list[str | int]:
    steps = list(_STEP.finditer(name))
    if "".join(step[0] for step in steps) != name or steps[0][2] is None:
        raise GroundTruthError(f"The CSV column {name!r} is no field: use names such as total, menu[0].nm.")
    return [step[2] if step[1] is None else int(step[1]) for step in steps]


def _record(line: int, paths: list[list[str | int]], row: list[str]) -> dict[str, Any]:
    if len(row) != len(paths):
        raise GroundTruthError(f"Line {line} of the CSV file has {len(row)} cells, its first row {len(paths)}.")
    record: dict[str, Any] = {}
    for path, cell in zip(paths, row, strict=True):
        # An item that a shorter receipt does not have must not become one full of nulls.
        if cell.strip() or len(path) == 1:
            _put(record, path, cell if cell.strip() else None)
    return {key: _arrays(value) for key, value in record.items()}


def _put(record: dict[Any, Any], path: list[str | int], value: str | None) -> None:
    *outer, last = path
    for step in outer:
        record = _of_object(record.setdefault(step, {}), step)
    if record.setdefault(last, value) != value:
        raise GroundTruthError(f"The CSV columns use {last!r} both as a value and as something with fields.")


def _of_object(value: Any, step: str | int) -> dict[Any, Any]:
    if isinstance(value, dict):
        return value
    raise GroundTruthError(f"The CSV columns use {step!r} both as a value and as something with fields.")


def _arrays(value: Any) -> Any:
    """Objects with numbers for keys are arrays."""
    if not isinstance(value, dict):
        return value
    inner = {key: _arrays(entry) for key, entry in value.items()}
    numbered = [isinstance(key, int) for key in inner]
    if any(numbered) and not all(numbered):
        raise GroundTruthError(f"The CSV columns use {min(map(str, inner))!r} both in an array and in an object.")
    return [inner[key] for key in sorted(inner)] if all(numbered) and numbered else inner
