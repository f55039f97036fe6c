"""From a task's schema to the one that goes over the wire.

vLLM's structured output refuses schemas that JSON Schema allows, and which ones depends on the engine the server was
started with. The wire schema keeps to what `auto`, xgrammar, guidance and outlines all take, and accepts every value
that the task's schema accepts: leaving a constraint out is always right, since answers are validated against the task's
schema afterwards.

Belongs here: this derivation. Does not: anything about requests, or validation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

Schema = dict[str, Any]

# Keywords that every engine takes and that mean the same when their neighbours are left out.
KEPT = (
    "type", "description", "enum", "const", "anyOf", "properties", "required", "additionalProperties",
    "items", "minItems", "maxItems", "minLength", "maxLength", "pattern",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
)  # fmt: skip
# A recursive definition is unrolled so often; what lies deeper may be anything.
MAX_UNROLLED = 2
# References inlined in one schema, so that definitions that name each other many times do not grow without bound.
MAX_INLINED = 500
# outlines writes bounds out as states of an automaton, and those of an array's items many times over: with the built-in
# line items as they are, 20 s and a time-out; without these large bounds, 0.2 s.
MAX_ITEMS = 32
MAX_LENGTH_IN_ITEMS = 64

# Without one of these, outlines knows no way to write a value.
_STRUCTURAL = {"type", "enum", "const", "anyOf", "properties"}

# A look-around or another extension; an escape that engines read differently or not at all; an anchor in the middle;
# a lazy or possessive quantifier.
_NOT_PORTABLE = re.compile(r"\(\?(?!:)|\\[^dsDS\W]|(?<=[^\[\\])\^|\$.|[*+?}][?+]")
_ONE_GROUP = re.compile(r"\^\((?:\?:)?[^()]*\)\$")
_UNBOUNDED = re.compile(r"[*+]|\{\d+,\}")


def wire_schema(schema: Mapping[str, Any]) -> Schema:
    """Derive the schema to send from a task's schema (draft 2020-12)."""
    return _Derivation(schema).of(schema)


class _Derivation:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._unrolling: list[str] = []
        self._inlined = 0
        self._arrays = 0

    def of(self, schema: Any) -> Schema:
        """The wire form of a subschema; `{}`, which accepts anything, where there is none."""
        wire = self._whole(schema)
        return wire if wire.keys() & _STRUCTURAL else {}

    def _whole(self, schema: Any) -> Schema:
        if not isinstance(schema, Mapping) or ("$id" in schema and schema is not self._root):
            # A subschema with its own $id is another document: its references do not lead into ours.
            return {}
        parts = [self._own(schema), *map(self._whole, schema.get("allOf", ()))]
        if "$ref" in schema:
            parts.append(self._referenced(schema["$ref"]))
        return _conjunction(parts)

    def _own(self, schema: Mapping[str, Any]) -> Schema:
        wire = {name: schema[name] for name in KEPT if name in schema}
        if "oneOf" in schema:
            wire.setdefault("anyOf", schema["oneOf"])
        self._derive_below(wire)
        _drop_what_depends_on_dropped(wire, schema)
        _drop_one_of_pattern_and_length(wire)
        self._drop_large_bounds(wire)
        return wire

    def _drop_large_bounds(self, wire: Schema) -> None:
        if wire.get("maxItems", 0) > MAX_ITEMS:
            del wire["maxItems"]
        if self._arrays and wire.get("maxLength", 0) > MAX_LENGTH_IN_ITEMS:
            del wire["maxLength"]

    def _derive_below(self, wire: Schema) -> None:
        if "properties" in wire:
            wire["properties"] = {name: self.of(sub) for name, sub in wire["properties"].items()}
        if "items" in wire:
            self._arrays += 1
            wire["items"] = self.of(wire["items"])
            self._arrays -= 1
        if wire.get("additionalProperties", False) is not False:
            wire["additionalProperties"] = self.of(wire["additionalProperties"]) or True
        if "anyOf" in wire:
            wire["anyOf"] = [self.of(sub) for sub in wire["anyOf"]]

    def _referenced(self, ref: str) -> Schema:
        self._inlined += 1
        if self._unrolling.count(ref) >= MAX_UNROLLED or self._inlined > MAX_INLINED:
            return {}
        self._unrolling.append(ref)
        try:
            return self._whole(_resolve(self._root, ref))
        finally:
            self._unrolling.pop()


def _resolve(root: Any, ref: str) -> Any:
    """What a local JSON Pointer names; True, the schema of anything, for remote, named and dangling references."""
    if not (ref == "#" or ref.startswith("#/")):
        return True
    found = root
    for token in ref.split("/")[1:]:
        name = unquote(token).replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return True
    return found


def _drop_what_depends_on_dropped(wire: Schema, schema: Mapping[str, Any]) -> None:
    """Without the keywords that exempt a property or an item, these would apply to more than they did."""
    if "patternProperties" in schema:
        wire.pop("additionalProperties", None)
    if "prefixItems" in schema:
        wire.pop("items", None)


def _drop_one_of_pattern_and_length(wire: Schema) -> None:
    """Leave one of the two, as xgrammar demands: the one that bounds the text is worth more."""
    if "pattern" not in wire:
        return
    has_length = "maxLength" in wire or "minLength" in wire
    if not _is_portable(wire["pattern"]) or ("maxLength" in wire and _UNBOUNDED.search(wire["pattern"])):
        del wire["pattern"]
    elif has_length:
        wire.pop("maxLength", None)
        wire.pop("minLength", None)


def _is_portable(pattern: str) -> bool:
    """Whether all engines read it alike: xgrammar and outlines match the whole text, anchored or not."""
    if not (pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith("\\$")):
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return not _NOT_PORTABLE.search(pattern) and ("|" not in pattern or bool(_ONE_GROUP.fullmatch(pattern)))


def _conjunction(parts: Iterable[Schema]) -> Schema:
    """One schema that accepts what all parts accept, and perhaps more: of two bounds on one thing, the first stays."""
    whole: Schema = {}
    for part in parts:
        for name, value in part.items():
            if name == "properties":
                known = whole.setdefault(name, {})
                known.update({key: _conjunction((known.get(key, {}), sub)) for key, sub in value.items()})
            elif name == "required":
                whole[name] = list(dict.fromkeys((*whole.get(name, ()), *value)))
            else:
                whole.setdefault(name, value)
    if "properties" in whole:
        # xgrammar reads anyOf and forgets its neighbours; the properties say more.
        whole.pop("anyOf", None)
    if "pattern" in whole:
        _drop_one_of_pattern_and_length(whole)
    return whole
