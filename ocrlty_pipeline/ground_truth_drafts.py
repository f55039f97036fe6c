"""Drafts of ground truths: a run's answers, for a person to correct and then to confirm.

A draft lies apart from the ground truths, so that no evaluation can take a model's own answers for the truth.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ocrlty_pipeline.artifacts.index import IndexRow
from ocrlty_pipeline.errors import ArtifactConflictError, ArtifactNotFoundError, GroundTruthError
from ocrlty_pipeline.ground_truth_registry import (
    GivenGroundTruth,
    GroundTruths,
    KeptGroundTruth,
    check_version,
    document_of,
)
from ocrlty_pipeline.image_sets import StoredGroundTruth
from ocrlty_pipeline.records import BatchRun
from ocrlty_pipeline.runs import Runs


class GroundTruthDrafts:
    """Drafts by image set, one each."""

    def __init__(self, ground_truths: GroundTruths, runs: Runs) -> None:
        self.versions = ground_truths.drafts
        self._ground_truths = ground_truths
        self._runs = runs

    async def create(self, row: IndexRow, owner: str) -> KeptGroundTruth:
        """Make the answers of a batch run the draft of its image set's ground truth.

        Images without an answer that is an object have no entry.

        Raises:
            ArtifactConflictError: the image set has a draft.
            GroundTruthError: the run has no answers.
        """
        batch = await self._runs.load(row)
        if await self.versions.numbers(batch.image_set):
            raise ArtifactConflictError(
                f"Image set {batch.image_set!r} has a draft; confirm it or delete it before making another."
            )
        given = await asyncio.to_thread(_answers, batch, owner)
        match = await self._ground_truths.match(given)
        after = await self.versions.last_number(batch.image_set)
        return KeptGroundTruth(await self.versions.write(document_of(given, owner), after=after), match)

    async def replace(self, given: GivenGroundTruth, *, expected: int | None = None) -> KeptGroundTruth:
        """Store a correction: the next version of a draft, whose owner stays.

        Raises:
            ArtifactNotFoundError: there is no draft.
            StaleVersionError: the latest version is not `expected`, or somebody else writes at the same time.
            GroundTruthError: it has no form of ours, or speaks of none of the images.
        """
        latest = await self.versions.read(given.image_set)
        check_version(latest, expected)
        match = await self._ground_truths.match(given)
        document = document_of(given, latest.owner_key_id)
        document = document.model_copy(update={"source_run_id": latest.source_run_id})
        return KeptGroundTruth(await self.versions.write(document, after=latest.version), match)

    async def confirm(self, image_set: str, *, expected: int | None = None) -> KeptGroundTruth:
        """Make a draft its image set's ground truth, or the next version of it, and remove the draft.

        Interrupted, it completes when it is called again.

        Raises:
            ArtifactNotFoundError: there is no draft.
            StaleVersionError: the draft's latest version is not `expected`.
        """
        draft = await self.versions.read(image_set)
        check_version(draft, expected)
        kept = await self._keep(_given(draft))
        await self.versions.remove(image_set, expected=draft.version)
        return kept

    async def _keep(self, given: GivenGroundTruth) -> KeptGroundTruth:
        try:
            return await self._ground_truths.replace(given)
        except ArtifactNotFoundError:
            return await self._ground_truths.create(given)


def _given(draft: StoredGroundTruth) -> GivenGroundTruth:
    return GivenGroundTruth(
        image_set=draft.image_set,
        content=draft.content,
        image_key=draft.image_key,
        source=draft.source,
        owner=draft.owner_key_id or "local",
        source_run_id=draft.source_run_id,
    )


def _answers(batch: BatchRun, owner: str) -> GivenGroundTruth:
    answers: dict[str, dict[str, Any]] = {
        item.file: item.parsed for item in batch.items if item.ok and isinstance(item.parsed, dict)
    }
    if not answers:
        raise GroundTruthError(f"Run {batch.run_id!r} has no answers that a ground truth could begin with.")
    image_key = "file"
    # The files are the entries' ids: the key is only there for people who add entries, and must be none of the task's.
    while any(image_key in answer for answer in answers.values()):
        image_key = f"_{image_key}"
    return GivenGroundTruth(
        image_set=batch.image_set,
        content=answers,
        image_key=image_key,
        source=f"run {batch.run_id}",
        owner=owner,
        source_run_id=batch.run_id,
    )
