"""Batch runs and their evaluations, found by the index and read from the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ocrlty_pipeline.artifacts.index import ArtifactIndex, IndexRow, index_row
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import ArtifactNotFoundError
from ocrlty_pipeline.evaluation.results import Evaluation, eval_block
from ocrlty_pipeline.records import BatchRun


class Runs:
    """Reads and writes the artifacts of batch runs and evaluations, index included."""

    def __init__(self, store: ArtifactStore, index: ArtifactIndex) -> None:
        self._store = store
        self._index = index

    async def save(self, rel: str, data: bytes, facts: Mapping[str, Any]) -> None:
        """Write an artifact, and its index row from `facts`, the document's top-level fields.

        Raises:
            ArtifactConflictError: the key holds other content.
        """
        await self._store.put(rel, data)
        self._index.add([index_row(rel, facts, self._store)])

    def latest(self, image_set: str, task_id: str) -> IndexRow:
        """The newest batch run of an image set through a task.

        Raises:
            ArtifactNotFoundError: there is none yet.
        """
        row = self._index.latest_batch(image_set, task_id)
        if row is None:
            raise ArtifactNotFoundError(
                f"No batch run of image set {image_set!r} with task {task_id!r} yet; "
                f"start one with `ocrlty run {image_set} --task {task_id}`."
            )
        return row

    def find(self, run_id: str) -> IndexRow:
        """The batch run of an id.

        Raises:
            ArtifactNotFoundError: there is none.
        """
        row = self._index.find("batch", run_id)
        if row is None:
            raise ArtifactNotFoundError(f"No batch run with run_id {run_id!r}.")
        return row

    async def load(self, row: IndexRow) -> BatchRun:
        return BatchRun.from_bytes(await self._store.get(row.rel_ref))

    async def document(self, row: IndexRow) -> dict[str, Any]:
        """A batch run as clients read it: the artifact, and the `eval` block of its latest evaluation or null."""
        document: dict[str, Any] = orjson.loads(await self._store.get(row.rel_ref))
        row_of_eval = self._index.latest_eval(row.artifact_id)
        block = None if row_of_eval is None else eval_block(await self._evaluation(row_of_eval), row_of_eval.rel_ref)
        return {**document, "artifact_rel": row.rel_ref, "eval": block}

    async def latest_evaluation(self, run_id: str) -> Evaluation | None:
        """The newest evaluation of a batch run; None when it was never evaluated."""
        row = self._index.latest_eval(run_id)
        return None if row is None else await self._evaluation(row)

    async def _evaluation(self, row: IndexRow) -> Evaluation:
        return Evaluation.from_bytes(await self._store.get(row.rel_ref))
