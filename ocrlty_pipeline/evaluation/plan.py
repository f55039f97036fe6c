"""A task's schema compiled to nodes that read and compare its values.

Understood of JSON Schema (draft 2020-12): `properties`, `items`, `type`, `format`, `$ref` within the document, `allOf`,
and `anyOf`/`oneOf`. What has no fixed form (an object without `properties`, an array without `items`, alternatives that
include containers, a reference to itself or to elsewhere) is one leaf, compared as a whole JSON value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocrlty_pipeline.evaluation.nodes import ArrayNode, LeafNode, Node, ObjectNode
from ocrlty_pipeline.evaluation.options import EvaluationOptions
from ocrlty_pipeline.evaluation.values import LeafKind, LeafReaders, leaf_readers
from ocrlty_pipeline.formats import COUNT, DATE, MONEY

Schema = Mapping[str, Any]
_FORMATS: dict[str, LeafKind] = {MONEY: "x-money", COUNT: "x-count", DATE: "x-date"}
_TYPES: dict[frozenset[str], LeafKind] = {
    frozenset({"string"}): "string",
    frozenset({"number"}): "number",
    frozenset({"integer"}): "number",
    frozenset({"integer", "number"}): "number",
    frozenset({"boolean"}): "boolean",
}


class Plan:
    """How two documents of one schema compare.

    Attributes:
        root: the whole document.
        fields: the paths of its leaves, in the schema's order; `[]` stands for an array.
    """

    def __init__(self, schema: Schema, options: EvaluationOptions) -> None:
        self._schema = schema
        self._options = options
        self._readers: dict[LeafKind, LeafReaders] = {}
        self.fields: list[str] = []
        self.root: Node = self._node(schema, ("",), frozenset())

    def _node(self, schema: Schema, segments: tuple[str, ...], within: frozenset[str]) -> Node:
        schema, within = self._resolved(schema, within)
        properties, items = schema.get("properties"), schema.get("items")
        if properties:
            children = {
                name: self._node(_as_schema(child), _property(segments, name), within)
                for name, child in properties.items()
            }
            return ObjectNode("[]".join(segments), children)
        if isinstance(items, Mapping):
            return ArrayNode("[]".join(segments), self._node(items, (*segments, ""), within))
        return self._leaf(schema, segments)

    def _leaf(self, schema: Schema, segments: tuple[str, ...]) -> LeafNode:
        kind = _leaf_kind(schema)
        if kind not in self._readers:
            self._readers[kind] = leaf_readers(kind, self._options)
        leaf = LeafNode(len(self.fields), segments, self._readers[kind])
        self.fields.append(leaf.path)
        return leaf

    def _resolved(self, schema: Schema, within: frozenset[str]) -> tuple[Schema, frozenset[str]]:
        """The schema with its references and alternatives put in their places, and the references that led there.

        A reference that leads back to one of `within` is left open.
        """
        if (reference := schema.get("$ref")) is not None:
            if reference in within:
                return {}, within
            within |= {reference}
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return self._resolved({**self._target(reference), **rest}, within)
        for keyword in ("allOf", "anyOf", "oneOf"):
            if keyword in schema:
                rest = {key: value for key, value in schema.items() if key != keyword}
                resolved = [self._resolved(_as_schema(part), within) for part in schema[keyword]]
                parts = [part for part, _ in resolved]
                within = within.union(*(references for _, references in resolved))
                merged = _merged(parts) if keyword == "allOf" else _alternatives(parts)
                return self._resolved(_merged([merged, rest]), within)
        return schema, within

    def _target(self, reference: str) -> Schema:
        target: Any = self._schema
        if not reference.startswith("#"):
            return {}
        for part in reference.removeprefix("#").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, Mapping) else None
        return _as_schema(target)


def _property(segments: tuple[str, ...], name: str) -> tuple[str, ...]:
    *before, last = segments
    return (*before, f"{last}.{name}" if last or before else name)


def _as_schema(value: Any) -> Schema:
    """`true`, and what a reference does not find, allow anything."""
    return value if isinstance(value, Mapping) else {}


def _merged(parts: list[Schema]) -> Schema:
    merged: dict[str, Any] = {}
    for part in parts:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        merged |= part
        if properties:
            merged["properties"] = properties
    return merged


def _alternatives(parts: list[Schema]) -> Schema:
    """What alternatives have in common: the only one besides null, or the types and the format of several scalars."""
    parts = [part for part in parts if _types(part) != {"null"}]
    if len(parts) == 1:
        return parts[0]
    if any(part.get("properties") or part.get("items") for part in parts):
        return {}
    formats = [part["format"] for part in parts if "format" in part]
    return {"type": sorted(set().union(*map(_types, parts))), **({"format": formats[0]} if formats else {})}


def _types(schema: Schema) -> set[str]:
    types = schema.get("type", [])
    return {types} if isinstance(types, str) else set(types)


def _leaf_kind(schema: Schema) -> LeafKind:
    declared = schema.get("format")
    if declared in _FORMATS:
        return _FORMATS[declared]
    return _TYPES.get(frozenset(_types(schema) - {"null"}), "any")
