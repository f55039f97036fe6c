"""Numbers a person wants to see on a materialization."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from ocrlty_pipeline.batches.runner import BatchOutcome
from ocrlty_pipeline.evaluation.headline import HeadlineFigure, headline
from ocrlty_pipeline.evaluation.results import Evaluation

if TYPE_CHECKING:
    import pandas as pd

PERCENTILES = (50, 90, 95, 99)


def batch_metadata(outcome: BatchOutcome) -> dict[str, Any]:
    """Counts, rates, latencies in milliseconds, and what it was made with."""
    header = outcome.header
    attempted = header.ok_count + header.error_count
    seconds = header.timings_ms["total"] / 1000
    return {
        "run_id": header.run_id,
        "status": header.status,
        "images": header.item_count,
        "ok": header.ok_count,
        "errors": header.error_count,
        "errors_by_code": dg.MetadataValue.json(header.errors_by_code),
        "pending": header.pending_count,
        "reused": header.reused_count,
        "schema_valid_rate": round(header.schema_valid_count / attempted, 4) if attempted else None,
        "images_per_second": round((attempted - header.reused_count) / seconds, 3) if seconds else None,
        **_latencies(outcome.latencies_ms),
        "backend": header.backend,
        "model_id": header.model_id,
        "prompt_sha256": header.prompt_sha256,
        "schema_sha256": header.schema_sha256,
    }


def _latencies(latencies_ms: list[float]) -> dict[str, float]:
    if not latencies_ms:
        return {}
    values = np.percentile(latencies_ms, PERCENTILES)
    return {f"latency_p{p}_ms": round(float(value), 1) for p, value in zip(PERCENTILES, values, strict=True)}


def evaluation_metadata(evaluation: Evaluation) -> dict[str, Any]:
    """The headline figures with their intervals, and every field's."""
    summary = evaluation.summary
    fields = [
        {"field": path, "accuracy": f.accuracy, "f1": f.f1, "support": f.support, "matched": f.matched}
        for path, f in evaluation.fields.items()
    ]
    return {
        "run_id": evaluation.run_id,
        "ground_truth_version": evaluation.ground_truth_version,
        "images_scored": summary.scored_count,
        "images_failed": summary.failed_count,
        **{figure.name: figure.value for figure in headline(summary)},
        "accuracy": summary.micro.accuracy,
        "f1_macro": summary.macro.f1,
        "headline": dg.MetadataValue.table([_headline_record(figure) for figure in headline(summary)]),
        "fields": dg.MetadataValue.table([dg.TableRecord(field) for field in fields]),
    }


def _headline_record(figure: HeadlineFigure) -> dg.TableRecord:
    bounds = "" if figure.low is None or figure.high is None else f"{figure.low:.3f} to {figure.high:.3f}"
    value = "not scored" if figure.value is None else f"{figure.value:.4f}"
    return dg.TableRecord({"figure": figure.label, "value": value, "95 % interval": bounds})


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
    return f"{value:.1%}" if isinstance(value, float) else str(value).replace("|", "\\|")
