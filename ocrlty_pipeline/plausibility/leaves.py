"""The leaves of a document with their places, and with the formats that its schema gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
# A schema may refer to itself; a document that a model made may be as deep as its text is long.
MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is neither null nor a container; `path` such as `menu[2].price`."""

    path: str
    value: Any
    format: str | None


def leaves(document: Any, schema: Schema) -> list[Leaf]:
    """In document order. What the schema does not describe has no format."""
    return list(_leaves(document, schema, schema, "", MAX_DEPTH))


def _leaves(value: Any, schema: Any, root: Schema, path: str, depth: int) -> Iterator[Leaf]:
    here = _resolved(schema, root)
    if depth == 0:
        return
    if isinstance(value, Mapping):
        properties = here.get("properties", {})
        for name, inner in value.items():
            yield from _leaves(inner, properties.get(name), root, f"{path}.{name}" if path else name, depth - 1)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _leaves(inner, here.get("items"), root, f"{path}[{position}]", depth - 1)
    elif value is not None:
        yield Leaf(path, value, here.get("format"))


def _resolved(schema: Any, root: Schema) -> Schema:
    """Follow a reference within the document; nothing is known where it leads elsewhere."""
    if not isinstance(schema, Mapping):
        return {}
    name = schema.get("$ref")
    if isinstance(name, str) and name.startswith("#/$defs/"):
        target = root.get("$defs", {}).get(name.removeprefix("#/$defs/"))
        return target if isinstance(target, Mapping) else {}
    return schema
