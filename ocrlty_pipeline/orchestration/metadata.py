"""What a person wants to see on a materialization.

The UI draws whatever is an int or a float over partitions and time, under its name: a figure keeps its name and its
type, and is left out where it is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from ocrlty_pipeline.batches.runner import BatchOutcome
from ocrlty_pipeline.evaluation.headline import HeadlineFigure, headline
from ocrlty_pipeline.evaluation.results import Evaluation, EvaluationSummary, FieldScore, Interval
from ocrlty_pipeline.orchestration.links import comparison_link, page_link, run_link, run_links
from ocrlty_pipeline.records import BatchHeader
from ocrlty_pipeline.report.stored import report_rel
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

PERCENTILES = (50, 90, 95, 99)


def extraction_metadata(services: Services, outcome: BatchOutcome) -> dict[str, Any]:
    """`batch_metadata`, what it cost, and links to where it came from."""
    header = outcome.header
    links: dict[str, Any] = {"run_page": run_link(services.settings, header.run_id)}
    if header.source_run_id is not None:
        links["source_run_id"] = header.source_run_id
        links |= run_links(services, source_run=header.source_run_id)
        links["compare"] = comparison_link(services.settings, header.source_run_id, header.run_id)
        links["compare_command"] = f"ocrlty report {header.run_id} --against {header.source_run_id}"
    if header.resumed_from is not None:
        links["resumed_from"] = header.resumed_from
    tokens = token_metadata(header.usage, services.settings)
    told = {**batch_metadata(outcome), **tokens}
    return {"summary": dg.MetadataValue.md(_in_words(header, told)), **links, **told}


def _in_words(header: BatchHeader, told: Mapping[str, Any]) -> str:
    """The numbers that a person looks for first."""
    parts = [f"**{header.ok_count} of {header.item_count}** images extracted"]
    parts += [f"{told['schema_valid_rate']:.1%} follow the schema"] if "schema_valid_rate" in told else []
    parts += [f"{header.reused_count} taken over from earlier runs"] if header.reused_count else []
    if "images_per_second" in told:
        parts.append(f"{told['images_per_second']:.2f} images a second")
    if "latency_p50_ms" in told:
        median, slow = told["latency_p50_ms"] / 1000, told["latency_p95_ms"] / 1000
        parts.append(f"median {median:.2f} s, 95th percentile {slow:.2f} s")
    if "tokens_in" in told:
        parts.append(f"{told['tokens_in']:,} tokens in, {told['tokens_out']:,} out")
    parts += [f"cost {told['cost']:.4g}"] if "cost" in told else []
    return "; ".join(parts)


def batch_metadata(outcome: BatchOutcome) -> dict[str, Any]:
    """Counts, rates, latencies in milliseconds, and what it was made with."""
    header = outcome.header
    attempted = header.ok_count + header.error_count
    made = attempted - header.reused_count
    seconds = header.timings_ms["total"] / 1000
    rates = {
        "ok_rate": _ratio(header.ok_count, attempted),
        "schema_valid_rate": _ratio(header.schema_valid_count, attempted),
        "images_per_second": round(made / seconds, 3) if seconds and made else None,
    }
    return {
        "run_id": header.run_id,
        "status": header.status,
        "images": header.item_count,
        "ok": header.ok_count,
        "errors": header.error_count,
        "pending": header.pending_count,
        "reused": header.reused_count,
        **{name: rate for name, rate in rates.items() if rate is not None},
        "seconds": round(seconds, 3),
        **_latencies(outcome.latencies_ms),
        **({"errors_by_code": dg.MetadataValue.json(header.errors_by_code)} if header.errors_by_code else {}),
        "image_set_version": header.image_set_version,
        "backend": header.backend,
        "model_id": header.model_id,
        "temperature": header.temperature,
        "max_tokens": header.max_tokens,
        "prompt_sha256": header.prompt_sha256,
        "schema_sha256": header.schema_sha256,
        "code_version": header.code_version,
    }


def token_metadata(usage: Mapping[str, int], settings: Settings) -> dict[str, int | float]:
    """Tokens in and out, and their price where one is set; nothing where none were counted."""
    if not usage:
        return {}
    tokens_in, tokens_out = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    told: dict[str, int | float] = {"tokens_in": tokens_in, "tokens_out": tokens_out}
    if settings.vllm_price_in is not None or settings.vllm_price_out is not None:
        cost = tokens_in * (settings.vllm_price_in or 0.0) + tokens_out * (settings.vllm_price_out or 0.0)
        told["cost"] = round(cost / 1e6, 6)
    return told


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _latencies(latencies_ms: list[float]) -> dict[str, float]:
    if not latencies_ms:
        return {}
    values = np.percentile(latencies_ms, PERCENTILES)
    return {f"latency_p{p}_ms": round(float(value), 1) for p, value in zip(PERCENTILES, values, strict=True)}


def evaluation_metadata(services: Services, evaluation: Evaluation) -> dict[str, Any]:
    """The headline figures with their intervals, every field's, and links to the run that was scored."""
    summary = evaluation.summary
    return {
        # The page is written when the evaluation is stored, and if that fails by `ocrlty report`, to the same place.
        "report": page_link(services.settings, report_rel(evaluation)),
        "headline": dg.MetadataValue.table([_headline_record(figure) for figure in headline(summary)]),
        "fields": dg.MetadataValue.table([_field_record(path, field) for path, field in evaluation.fields.items()]),
        "run_id": evaluation.run_id,
        **run_links(services, scored_run=evaluation.run_id),
        "ground_truth_version": evaluation.ground_truth_version,
        "images_scored": summary.scored_count,
        "images_failed": summary.failed_count,
        **_figures(summary),
    }


def _figures(summary: EvaluationSummary) -> dict[str, float]:
    """Each figure that is defined, and the bounds of its interval, as numbers."""
    figures = {figure.name: (figure.value, figure.low, figure.high) for figure in headline(summary)}
    bounds = summary.estimates.micro_accuracy if summary.estimates else Interval(value=None, low=None, high=None)
    figures["accuracy"] = (summary.micro.accuracy, bounds.low, bounds.high)
    figures["f1_macro"] = (summary.macro.f1, None, None)
    named = (
        (f"{name}{end}", x) for name, of in figures.items() for end, x in zip(("", "_low", "_high"), of, strict=True)
    )
    return {name: round(float(value), 4) for name, value in named if value is not None}


def _field_record(path: str, field: FieldScore) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "field": path,
            "accuracy": _percent(field.accuracy),
            "F1": _percent(field.f1),
            "expected": field.support,
            "matched": field.matched,
        }
    )


def _percent(value: float | None) -> str:
    return "not scored" if value is None else f"{value:.1%}"


def _headline_record(figure: HeadlineFigure) -> dg.TableRecord:
    bounds = "" if figure.low is None or figure.high is None else f"{figure.low:.1%} to {figure.high:.1%}"
    return dg.TableRecord({"figure": figure.label, "value": _percent(figure.value), "95 % interval": bounds})


_LEADERBOARD = {
    "rank": "Rank",
    "run_id": "Run",
    "model_id": "Model",
    "scored": "Images scored",
    "field_f1": "Field F1",
    "exact_match": "Documents all right",
    "anls": "ANLS*",
}


def leaderboard_markdown(table: pd.DataFrame) -> str:
    """The leaderboard's first columns as a Markdown table."""
    lines = [_markdown_row(_LEADERBOARD.values()), _markdown_row("---" for _ in _LEADERBOARD)]
    shown = table.reindex(columns=list(_LEADERBOARD)).astype(object)
    lines += [
        _markdown_row(map(_markdown_cell, row)) for row in shown.where(shown.notna(), None).itertuples(index=False)
    ]
    return "\n".join(lines)


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(value: Any) -> str:
    if value is None:
        return "-"
    return _percent(value) if isinstance(value, float) else str(value).replace("|", "\\|")
