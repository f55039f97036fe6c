"""Find a small instance of a JSON Schema (draft 2020-12): what `mock` answers for a schema without examples.

A search, not a solver: each subschema proposes values, simplest first, and jsonschema judges them. A schema whose
instances are out of reach is reported, never answered wrongly.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from ocrlty_pipeline.backends.pattern_sample import sample_of

# Steps after which the search gives up: milliseconds for real schemas, a second for absurd ones.
MAX_STEPS = 5_000
# Deeper only when need be, so that a recursive schema is not unrolled further than it must.
DEPTHS = (4, 8, 16)
# How many values of one kind are proposed: arrays of distinct items need more than one.
VARIETY = 16

# From the cheapest to build.
KINDS = ("null", "boolean", "object", "array", "string", "number")
_FORMATS = {
    "x-money": "0.00",
    "x-count": "1",
    "x-date": "2000-01-01",
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "a@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def minimal_instance(schema: Mapping[str, Any]) -> Any:
    """A small value that validates against `schema`.

    Raises:
        LookupError: none was found; says at which part of the schema.
    """
    try:
        for depth in DEPTHS:
            search = _Search(schema, depth)
            for value in search.values(schema, "#"):
                return value
    except Unresolvable as error:
        raise LookupError(f"its schema has a reference that leads nowhere: {error.ref}") from None
    raise LookupError(f"no instance of its schema was found; the search ended at {search.dead_end}")


class _Search:
    def __init__(self, root: Mapping[str, Any], max_depth: int) -> None:
        # An empty registry: no reference is fetched from the network.
        self._validator = Draft202012Validator(root, registry=Registry())
        self._resolver = Registry().resolver_with_root(DRAFT202012.create_resource(root))
        self._max_depth = max_depth
        self._steps = 0
        self.dead_end = "#"

    def values(self, schema: Any, path: str) -> Iterator[Any]:
        """Instances of a subschema, simplest first."""
        self._steps += 1
        if schema is False or self._steps > MAX_STEPS or path.count("/") > self._max_depth:
            self.dead_end = path
            return
        schema = {} if schema is True else schema
        judge = self._validator.evolve(schema=schema)
        found = False
        for value in self._proposals(schema, path):
            if judge.is_valid(value):
                found = True
                yield value
        if not found and self.dead_end.count("/") <= path.count("/"):
            self.dead_end = path

    def _proposals(self, schema: Mapping[str, Any], path: str) -> Iterator[Any]:
        variants = list(self._variants(schema, depth=0))
        for variant in variants:
            yield from _given(variant)
        # Kind by kind: where null will do, no branch is built.
        for kind in KINDS:
            for variant in variants:
                if kind in _kinds(variant):
                    yield from self._of_kind(kind, variant, path)

    def _of_kind(self, kind: str, schema: Mapping[str, Any], path: str) -> Iterator[Any]:
        match kind:
            case "null":
                return iter((None,))
            case "boolean":
                return iter((False, True))
            case "object":
                return self._objects(schema, path)
            case "array":
                return self._arrays(schema, path)
            case "string":
                return _strings(schema)
        return _numbers(schema)

    def _variants(self, schema: Any, depth: int) -> Iterator[dict[str, Any]]:
        """Plain schemas, one for each way through `$ref`, `allOf`, `anyOf`, `oneOf` and `if`."""
        if schema is False or depth > DEPTHS[-1]:
            return
        plain: dict[str, Any] = {} if schema is True else dict(schema)
        ways = [[part] for part in plain.pop("allOf", ())]
        ways += [plain.pop(name) for name in ("anyOf", "oneOf") if name in plain]
        if "$ref" in plain:
            ways.append([self._resolver.lookup(plain.pop("$ref")).contents])
        if "if" in plain:
            ways.append([plain.pop("else", True), {"allOf": [plain.pop("if"), plain.pop("then", True)]}])
        if not ways:
            yield plain
            return
        for picked in itertools.product(*ways):
            for parts in itertools.product(*(self._variants(part, depth + 1) for part in picked)):
                yield _conjunction(plain, *parts)

    def _objects(self, schema: Mapping[str, Any], path: str) -> Iterator[dict[str, Any]]:
        required, at_least = schema.get("required", []), schema.get("minProperties", 0)
        optional = [name for name in schema.get("properties", {}) if name not in required]
        spare = [*optional, *(f"key{n}" for n in range(at_least))][: max(0, at_least - len(required))]
        for names in ([*required, *spare], [*required, *optional]):
            values = {name: next(self.values(_of_property(schema, name), f"{path}/{name}"), ...) for name in names}
            if ... not in values.values():
                yield values

    def _arrays(self, schema: Mapping[str, Any], path: str) -> Iterator[list[Any]]:
        items, distinct = schema.get("items", True), schema.get("uniqueItems", False)
        wanted = schema.get("minContains", 1) if "contains" in schema else 0
        parts = [*schema.get("prefixItems", ())] if schema.get("minItems") else []
        parts += [_both(schema.get("contains", True), items)] * wanted
        parts += [items] * (schema.get("minItems", 0) - len(parts))
        values: list[Any] = []
        for index, part in enumerate(parts):
            fitting = self.values(part, f"{path}/{index}")
            values.append(next((value for value in fitting if not (distinct and value in values)), ...))
        if ... not in values:
            yield values


def _strings(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("format") in _FORMATS:
        yield _FORMATS[schema["format"]]
    if "pattern" in schema:
        yield sample_of(schema["pattern"])
    least = schema.get("minLength", 0)
    yield from ("0" * length for length in range(least, least + VARIETY))


def _numbers(schema: Mapping[str, Any]) -> Iterator[float]:
    step = schema.get("multipleOf", 1)
    low, high = (schema.get(f"{end}imum", schema.get(f"exclusive{end.title()}imum")) for end in ("min", "max"))
    yield from (n * step for n in range(VARIETY))
    if low is not None:
        yield low
        yield from ((math.ceil(low / step) + n) * step for n in range(VARIETY))
    if high is not None:
        yield high
        yield from ((math.floor(high / step) - n) * step for n in range(VARIETY))
    if low is not None and high is not None:
        yield (low + high) / 2


def _given(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The values that the schema itself names."""
    for name in ("const", "default"):
        if name in schema:
            yield schema[name]
    yield from schema.get("enum", ())
    yield from schema.get("examples", ())


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """Kinds of values worth building; none where the schema lists its values."""
    if "const" in schema or "enum" in schema:
        return set()
    named = _type_set(schema["type"]) if "type" in schema else set(KINDS)
    return named | ({"number"} if "integer" in named else set())


def _type_set(types: str | list[str]) -> set[str]:
    return {types} if isinstance(types, str) else set(types)


def _of_property(schema: Mapping[str, Any], name: str) -> Any:
    if name in schema.get("properties", {}):
        return schema["properties"][name]
    matching = (sub for pattern, sub in schema.get("patternProperties", {}).items() if re.search(pattern, name))
    return next(matching, schema.get("additionalProperties", True))


def _both(one: Any, other: Any) -> Any:
    return {"allOf": [one, other]}


def _common_types(one: str | list[str], other: str | list[str]) -> list[str]:
    ours, theirs = _type_set(one), _type_set(other)
    if "integer" in ours ^ theirs and "number" in ours ^ theirs:
        return sorted(ours & theirs | {"integer"})
    return sorted(ours & theirs)


def _conjunction(*parts: Mapping[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            whole[name] = _TIGHTER.get(name, _first)(whole[name], value) if name in whole else value
    return whole


def _first(one: Any, _other: Any) -> Any:
    """What cannot be combined is left to the judge."""
    return one


def _by_property(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _both(one.get(name, True), other.get(name, True)) for name in (*one, *other)}


# How two values of one keyword combine when both must hold.
_TIGHTER: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    "type": _common_types,
    "enum": lambda one, other: [value for value in one if value in other],
    "required": lambda one, other: list(dict.fromkeys((*one, *other))),
    "properties": _by_property,
    "items": _both,
}
