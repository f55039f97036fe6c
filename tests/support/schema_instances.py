"""Random instances of the schemas a request carries: what a model held to a grammar would answer.

Knows only the keywords that survive on the wire; the task's whole schema is `mock`'s and the validator's business.
"""

from __future__ import annotations

import random
from typing import Any


def instance_of(schema: Any, seed: bytes) -> Any:
    """The same schema and seed give the same instance; other seeds mostly another."""
    return _instance(schema, random.Random(seed))  # noqa: S311 -- repeatable, not secret


def _instance(schema: Any, rng: random.Random) -> Any:
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if "anyOf" in schema:
        return _instance(rng.choice(schema["anyOf"]), rng)
    types = schema.get("type", "string")
    kind = types if isinstance(types, str) else rng.choice(types)
    return _MAKERS[kind](schema, rng)


def _object(schema: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    return {name: _instance(sub, rng) for name, sub in schema.get("properties", {}).items()}


def _array(schema: dict[str, Any], rng: random.Random) -> list[Any]:
    least = schema.get("minItems", 0)
    length = rng.randint(least, min(schema.get("maxItems", least + 3), least + 3))
    return [_instance(schema.get("items", {}), rng) for _ in range(length)]


def _string(schema: dict[str, Any], rng: random.Random) -> str:
    text = f"{rng.randrange(10**6) / 100:.2f}"
    return text[: schema.get("maxLength", len(text))].ljust(schema.get("minLength", 0), "0")


def _integer(schema: dict[str, Any], rng: random.Random) -> int:
    least = int(schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1))
    most = int(schema.get("maximum", schema.get("exclusiveMaximum", least + 1001) - 1))
    return rng.randint(least, max(least, most))


_MAKERS = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _integer,
    "boolean": lambda _schema, rng: rng.random() < 0.5,
    "null": lambda _schema, _rng: None,
}
