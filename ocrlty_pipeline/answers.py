"""A model's text to a JSON value, and its departures from the task's schema.

Belongs here: tolerance for how models wrap JSON, and validation. Does not: comparing with ground truth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson
from jsonschema import Draft202012Validator

from ocrlty_pipeline.errors import OutputError
from ocrlty_pipeline.formats import format_checker
from ocrlty_pipeline.records import SchemaViolation
from ocrlty_pipeline.tasks.registry import Task

MAX_VIOLATIONS = 50
_FENCE = re.compile(r"```[A-Za-z0-9]*\s*\n(.*?)\n?\s*```", re.DOTALL)


def parse_answer(text: str) -> tuple[Any, list[str]]:
    """Read the JSON value in a model's answer.

    Returns:
        The value, and what had to be looked past to find it: `code_fence`, `leading_text`, `trailing_text`.

    Raises:
        OutputError: there is no JSON object or array in the text.
    """
    try:
        return orjson.loads(text), []
    except orjson.JSONDecodeError:
        pass  # Not pure JSON: look for JSON inside the text.
    fence = _FENCE.search(text)
    if fence:
        value, notes = _embedded(fence.group(1))
        return value, ["code_fence", *notes]
    return _embedded(text)


def _embedded(text: str) -> tuple[Any, list[str]]:
    for match in re.finditer(r"[{\[]", text):
        try:
            _, end = _DECODER.raw_decode(text, match.start())
            # The decoder finds the value's end; what it lets through (1e999, lone surrogates) no record could hold.
            value = orjson.loads(text[match.start() : end])
        except ValueError:
            continue
        notes = ["leading_text"] if text[: match.start()].strip() else []
        return value, [*notes, "trailing_text"] if text[end:].strip() else notes
    raise OutputError(
        f"The model's answer holds no JSON value: it begins with {text[:80]!r}. See `raw` in the extract artifact."
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def schema_violations(task: Task, value: Any) -> list[SchemaViolation]:
    """Departures of `value` from the task's schema, formats included, at most 50, in document order.

    Raises:
        OutputError: the schema refers to itself without end.
    """
    errors = _validator(task).iter_errors(value)
    try:
        found = [
            SchemaViolation(path=error.json_path, message=error.message[:500])
            for error, _ in zip(errors, range(MAX_VIOLATIONS), strict=False)
        ]
    except RecursionError:
        raise OutputError("The answer cannot be validated: the schema refers to itself without end.") from None
    return sorted(found, key=lambda violation: violation.path)


_validators: dict[str, Draft202012Validator] = {}
# Requests may bring schemas of their own.
MAX_VALIDATORS = 64


def _validator(task: Task) -> Draft202012Validator:
    validator = _validators.get(task.schema_sha256)
    if validator is None:
        if len(_validators) >= MAX_VALIDATORS:
            _validators.clear()
        schema: Mapping[str, Any] = task.schema
        validator = _validators[task.schema_sha256] = Draft202012Validator(schema, format_checker=format_checker())
    return validator
