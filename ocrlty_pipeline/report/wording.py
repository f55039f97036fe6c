"""Figures as pages print them, and the verdict on an evaluation in sentences."""

from __future__ import annotations

from ocrlty_pipeline.evaluation.results import Evaluation, FieldScore, Rate

NOT_SCORED = "not scored"
# Fields named in the verdict, and below which F1 one is worth naming.
_NAMED = 3
_GOOD = 0.95

# What an outcome, or an image's part in a comparison, is called on pages.
OUTCOMES = {
    "mismatch": "differs",
    "canon_error": "unreadable",
    "type_mismatch": "wrong type",
    "pred_missing": "missing",
    "gt_missing": "invented",
    "matched": "right",
    "both_absent": "right",
}


def share(value: float | None) -> str:
    """`87.3%`. Only what is exactly all or nothing is printed as 100.0% or 0.0%."""
    if value is None:
        return NOT_SCORED
    if 0 < value < 1:
        return f"{min(99.9, max(0.1, round(100 * value, 1))):.1f}%"
    return f"{value:.1%}"


def bounds(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"


def points(value: float | None) -> str:
    """A difference of shares in percentage points."""
    return NOT_SCORED if value is None else f"{100 * value:+.1f}"


def point_bounds(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{100 * low:+.1f} to {100 * high:+.1f}"


def milliseconds(value: float) -> str:
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.0f} ms"


def count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def verdict(evaluation: Evaluation) -> list[str]:
    """What a person has to know, in one to four sentences; the first stands alone."""
    summary = evaluation.summary
    if not summary.scored_count:
        return ["Nothing could be scored: no image of this run has ground truth."]
    sentences = [_documents(summary.exact_match), _f1(evaluation), _weakest(evaluation.fields), _failed(evaluation)]
    return [sentence for sentence in sentences if sentence]


def _documents(exact: Rate) -> str:
    if exact.count == exact.total:
        return f"Read without a fault: all of {count(exact.total, 'document')}."
    if exact.count == 0:
        return f"None of {count(exact.total, 'document')} is read without a fault."
    verb = "is" if exact.count == 1 else "are"
    return f"{exact.count:,} of {count(exact.total, 'document')} {verb} read without a fault ({share(exact.value)})."


def _f1(evaluation: Evaluation) -> str:
    estimates = evaluation.summary.estimates
    value = evaluation.summary.micro.f1
    if value is None:
        return ""
    found = f"Over all fields F1 is {share(value)}"
    if estimates is None or estimates.micro_f1.low is None:
        return f"{found}."
    interval = bounds(estimates.micro_f1.low, estimates.micro_f1.high)
    return f"{found}; with 95 % confidence, {interval} on images like these."


def _weakest(fields: dict[str, FieldScore]) -> str:
    scored = sorted((f.f1, path) for path, f in fields.items() if f.f1 is not None and f.f1 < _GOOD)
    if not scored:
        return "Every field is above 95 %." if any(f.f1 is not None and f.f1 < 1 for f in fields.values()) else ""
    named = ", ".join(f"{path} ({share(f1)})" for f1, path in scored[:_NAMED])
    return f"Weakest: {named}."


def _failed(evaluation: Evaluation) -> str:
    summary = evaluation.summary
    if not summary.failed_count:
        return ""
    codes = ", ".join(f"{number} × {code}" for code, number in summary.errors.items())
    return f"{count(summary.failed_count, 'image')} of {summary.sample_count:,} failed: {codes}."
