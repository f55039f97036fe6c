"""Which schemas vLLM refuses for structured output: the refusals of its engines, taken together.

Recorded from vLLM 0.32.0 with `auto`, `xgrammar`, `guidance` and `outlines`: what passes here passes each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NOT_IN_XGRAMMAR = "The provided JSON schema contains features not supported by xgrammar."
KNOWN_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"}


def reason_to_refuse(schema: Any) -> str | None:
    """The first refusal's words, or None when every engine takes the schema."""
    return next(_refusals(schema), None)


def _refusals(schema: Any) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    yield from _own_refusals(schema)
    for name in ("items", "additionalProperties"):
        yield from _refusals(schema.get(name))
    for sub in (*schema.get("properties", {}).values(), *schema.get("anyOf", ())):
        yield from _refusals(sub)


def _own_refusals(schema: dict[str, Any]) -> Iterator[str]:
    if schema.get("format", "date") not in KNOWN_FORMATS:
        yield f"Grammar error: Unknown format: {schema['format']}"
    unimplemented = sorted({"uniqueItems", "not", "if", "contains", "unevaluatedProperties"} & schema.keys())
    if unimplemented:
        yield f"Grammar error: Unimplemented keys: {unimplemented}"
    if {"multipleOf", "allOf"} & schema.keys() or {"pattern", "maxLength"} <= schema.keys():
        yield NOT_IN_XGRAMMAR
    if "$ref" in schema:
        yield f"Grammar error: Pointer '{schema['$ref'].removeprefix('#')}' does not exist"
    if "(?" in schema.get("pattern", ""):
        yield "Grammar error: regex parse error: look-around, including look-ahead and look-behind, is not supported"
