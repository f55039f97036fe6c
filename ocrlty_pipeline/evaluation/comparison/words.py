"""A comparison in a sentence or two, for people who look once."""

from __future__ import annotations

from collections.abc import Iterable

from ocrlty_pipeline.evaluation.comparison.results import (
    NO_EVIDENCE,
    FieldComparison,
    FigureDifference,
    PairCounts,
    Verdict,
)


def in_words(
    verdict: Verdict, documents: PairCounts, figures: Iterable[FigureDifference], fields: Iterable[FieldComparison]
) -> str:
    """The verdict, what it rests on, and the fields that changed."""
    head = "No evidence of a difference on the whole" if verdict == NO_EVIDENCE else f"B is {verdict}"
    f1 = next(figure for figure in figures if figure.name == "field_f1")
    facts = [f"{documents.fixed} documents fixed, {documents.broken} broken"]
    if f1.difference is not None:
        facts.append(f"field F1 {points(f1.difference)}{_interval(f1)}")
    listed = list(fields)
    sides = [
        f"{side.capitalize()}: {', '.join(names)}."
        for side in ("better", "worse")
        if (names := [field.field for field in listed if field.verdict == side])
    ]
    return " ".join([f"{head}: {'; '.join(facts)}.", *(sides or ["No field differs by more than chance."])])


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f} points"


def _interval(figure: FigureDifference) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f" (95 % interval {100 * figure.low:+.1f} to {100 * figure.high:+.1f})"
