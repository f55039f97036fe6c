"""All checks without ground truth, and what a record keeps of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from ocrlty_pipeline.plausibility.arithmetic import arithmetic
from ocrlty_pipeline.plausibility.findings import Finding
from ocrlty_pipeline.plausibility.leaves import leaves
from ocrlty_pipeline.plausibility.possible import possible

CHECKS = (
    "total_adds_up",
    "change_adds_up",
    "items_add_up",
    "lines_multiply",
    "date_possible",
    "one_currency",
    "printed",
)


def findings(document: Any, schema: Mapping[str, Any], today: date) -> list[Finding]:
    """Every check of figures and dates that the document's values allow; `grounding` makes the one of the image."""
    if not isinstance(document, Mapping):
        return []
    return [*arithmetic(document), *possible(leaves(document, schema), today)]


def checks_block(found: Sequence[Finding]) -> dict[str, Any]:
    """`meta.checks` of an extract record: the names of the checks that hold throughout, and each problem."""
    problems = [finding for finding in found if finding.problem is not None]
    violated = {finding.check for finding in problems}
    return {
        "passed": sorted({finding.check for finding in found} - violated),
        "violated": [
            {"check": finding.check, "message": finding.problem, "paths": list(finding.paths)} for finding in problems
        ],
    }
