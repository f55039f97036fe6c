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

import orjson

from ocrlty_pipeline.artifacts.index import IndexRow
from ocrlty_pipeline.artifacts.keys import leaderboard_key
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.blocking import result_of
from ocrlty_pipeline.evaluation.headline import headline
from ocrlty_pipeline.evaluation.results import EvaluationSummary
from ocrlty_pipeline.services import Services

if TYPE_CHECKING:
    import pandas as pd

_RUN = ("run_id", "created_at", "task_id", "backend", "model_id", "prompt_sha256", "schema_sha256", "status")
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

    rows = [_row(services, row) for row in services.index.batches(image_set, task_id)]
    if not rows:
        return pd.DataFrame(columns=["rank", *_RUN])
    table = pd.DataFrame(rows).sort_values(_RANKED_BY, ascending=False, na_position="last", ignore_index=True)
    ranks = pd.Series(range(1, len(table) + 1), dtype="Int64").where(table["field_f1"].notna())
    table.insert(0, "rank", ranks)
    return table


def _row(services: Services, row: IndexRow) -> dict[str, Any]:
    batch = _document(services.store, row)
    evaluated = services.index.latest_eval(row.artifact_id)
    evaluation = None if evaluated is None else _document(services.store, evaluated)
    return {**{name: batch[name] for name in _RUN}, **_figures(evaluation)}


def _document(store: ArtifactStore, row: IndexRow) -> dict[str, Any]:
    """An artifact as plain JSON: its thousands of samples are not wanted as objects."""
    document: dict[str, Any] = orjson.loads(result_of(store.get(row.rel_ref)))
    return document


def _figures(evaluation: dict[str, Any] | None) -> dict[str, Any]:
    if evaluation is None:
        return {"eval_id": None, "ground_truth_version": None, "scored": 0, "field_f1": None, "exact_match": None}
    summary = EvaluationSummary.model_validate(evaluation["summary"])
    figures = {
        column: value
        for figure in headline(summary)
        for column, value in (
            (figure.name, figure.value),
            (f"{figure.name}_low", figure.low),
            (f"{figure.name}_high", figure.high),
        )
    }
    return {
        "eval_id": evaluation["eval_id"],
        "ground_truth_version": evaluation["ground_truth_version"],
        "scored": summary.scored_count,
        **figures,
    }


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
