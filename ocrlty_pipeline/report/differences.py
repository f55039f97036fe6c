"""What changed between two texts or two JSON Schemas, line by line."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import Any, Literal

CONTEXT = 3
_SIGNS: dict[str, Literal["same", "removed", "added"]] = {" ": "same", "-": "removed", "+": "added"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a difference; `gap` stands for lines left out."""

    kind: Literal["same", "removed", "added", "gap"]
    text: str


def changed_lines(a: str, b: str) -> list[Line]:
    """The lines that differ, with `CONTEXT` lines around each; empty where the texts are equal."""
    lines: list[Line] = []
    # The first two lines name files that there are not.
    for line in list(difflib.unified_diff(a.splitlines(), b.splitlines(), n=CONTEXT, lineterm=""))[2:]:
        if not line.startswith("@@"):
            lines.append(Line(_SIGNS[line[0]], line[1:]))
        elif lines:
            lines.append(Line("gap", "⋯"))
    return lines


def changed_schema(a: Any, b: Any) -> list[Line]:
    """As `changed_lines`, of two schemas whose order of keys does not matter."""
    return changed_lines(*(json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) for schema in (a, b)))
