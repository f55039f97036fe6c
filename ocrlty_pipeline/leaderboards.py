"""Leaderboards: every batch run of an image set, the best first, as a table.

Belongs here: which runs, in which order, with which columns; and their files in the store. Does not: the figures
(`evaluation.headline`), or whether two neighbours differ by more than chance (`comparing`).
"""

from __future__ import annotations

import asyncio
import io
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ocrlty_pipeline.artifacts.index import ListedRun
from ocrlty_pipeline.artifacts.keys import leaderboard_key
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.evaluation.headline import headline
from ocrlty_pipeline.evaluation.results import EvaluationSummary
from ocrlty_pipeline.services import Services

if TYPE_CHECKING:
    import pandas as pd

_MADE_WITH = ("backend", "model_id", "prompt_sha256", "schema_sha256", "status")
# What ranks: micro F1, then documents all right, then the newer one.
_RANKED_BY = ["field_f1", "exact_match", "created_at"]


def leaderboard(services: Services, image_set: str, task_id: str | None = None) -> pd.DataFrame:
    """Every batch run of an image set, ranked by micro F1, ties by the share of documents that are all right.

    A row a run: `rank` (from 1; missing where the run was never evaluated, which stand last), what it was made with,
    the ground truth's version, `scored` images, and each headline figure with `_low` and `_high`. Figures of different
    versions of the ground truth are shown as they are: `comparing` scores anew where it has to.

    Args:
        services: of this process.
        image_set: its name.
        task_id: only runs through this task; None takes all.
    """
    import pandas as pd  # noqa: PLC0415 -- half a second at the start of every process that loads the assets

    rows = [_row(run) for run in services.index.runs_of(image_set, task_id)]
    if not rows:
        return pd.DataFrame(columns=["rank", "run_id", "created_at", "task_id", *_MADE_WITH])
    table = pd.DataFrame(rows).sort_values(_RANKED_BY, ascending=False, na_position="last", ignore_index=True)
    ranks = pd.Series(range(1, len(table) + 1), dtype="Int64").where(table["field_f1"].notna())
    table.insert(0, "rank", ranks)
    return table


def _row(run: ListedRun) -> dict[str, Any]:
    row, made_with = run.row, run.row.summary or {}
    named = {
        "run_id": row.artifact_id,
        "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
        "task_id": row.task_id,
        **{name: made_with.get(name) for name in _MADE_WITH},
    }
    return {**named, "eval_id": run.eval_id, "ground_truth_version": run.ground_truth_version, **_figures(run)}


def _figures(run: ListedRun) -> dict[str, Any]:
    if run.eval_summary is None:
        return {"scored": 0, "field_f1": None, "exact_match": None}
    summary = EvaluationSummary.model_validate(run.eval_summary)
    figures = {
        column: value
        for figure in headline(summary)
        for column, value in (
            (figure.name, figure.value),
            (f"{figure.name}_low", figure.low),
            (f"{figure.name}_high", figure.high),
        )
    }
    return {"scored": summary.scored_count, **figures}


def save_leaderboard(store: ArtifactStore, table: pd.DataFrame, image_set: str, task_id: str) -> dict[str, str]:
    """Store a leaderboard as CSV and as Parquet; returns the key of each by its format."""
    now = datetime.now(UTC)
    stem = f"{now:%Y-%m-%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    contents = {"csv": table.to_csv(index=False).encode(), "parquet": buffer.getvalue()}
    keys = {name: leaderboard_key(image_set, task_id, f"{stem}.{name}") for name in contents}
    for name, data in contents.items():
        asyncio.run(store.put(keys[name], data))
    return keys
