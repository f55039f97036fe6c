"""The registry of ground truths: created, read, edited and deleted by people, each edit a version of its own.

Belongs here: who wrote which version after which. Does not: a ground truth's forms and its match with images
(`ground_truth`), importing one with its folder (`image_sets`), or drafts (`ground_truth_drafts`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from ocrlty_pipeline.artifacts.ground_truth_index import GroundTruthIndex, ground_truth_row
from ocrlty_pipeline.artifacts.keys import ground_truth_prefix, version_key, version_of
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import ArtifactConflictError, ArtifactNotFoundError, StaleVersionError
from ocrlty_pipeline.ground_truth import GroundTruthMatch, ground_truth_of
from ocrlty_pipeline.image_sets import ImageSets, StoredGroundTruth
from ocrlty_pipeline.records import utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenGroundTruth:
    """What somebody gives.

    Attributes:
        content: JSON as `load_ground_truth` reads it.
        image_key: the key under which an entry names its image.
        source: where it comes from, for people: a path, a file's name.
        owner: key id of whoever gives it.
        source_run_id: the batch run whose answers it began as.
    """

    image_set: str
    content: Any
    image_key: str
    source: str
    owner: str
    source_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class KeptGroundTruth:
    """A version as it is stored, and how it fits the images."""

    stored: StoredGroundTruth
    match: GroundTruthMatch


class GroundTruthVersions:
    """The versions of ground truths, or of drafts, in the store, noted in the index."""

    def __init__(self, store: ArtifactStore, index: GroundTruthIndex, *, draft: bool) -> None:
        self.index = index
        self._store = store
        self.draft = draft

    async def numbers(self, image_set: str) -> list[int]:
        """The versions that can be read, oldest first; none when it is deleted."""
        prefix = self._prefix(image_set)
        numbers = sorted([n async for rel in self._store.iter_keys(prefix) if (n := version_of(rel)) is not None])
        return [] if numbers and (await self._read(image_set, numbers[-1])).deleted else numbers

    async def read(self, image_set: str, version: int | None = None) -> StoredGroundTruth:
        """A version, the latest unless one is named.

        Raises:
            ArtifactNotFoundError: there is none of that number, or none at all any more.
        """
        numbers = await self.numbers(image_set)
        if not numbers or (version is not None and version not in numbers):
            which = "" if version is None else f" of version {version}"
            raise ArtifactNotFoundError(f"Image set {image_set!r} has no {self._name}{which}.")
        return await self._read(image_set, version or numbers[-1])

    async def write(self, document: StoredGroundTruth, *, after: int) -> StoredGroundTruth:
        """Write the version that follows `after`.

        Raises:
            StaleVersionError: it is written already.
        """
        prefix, version = self._prefix(document.image_set), after + 1
        if not await self._store.create_version(prefix, version, document.to_bytes()):
            raise StaleVersionError(
                f"The {self._name} of image set {document.image_set!r} has a version after {after}; read it again."
            )
        row = ground_truth_row(version_key(prefix, version), document.model_dump())
        await asyncio.to_thread(self.index.add, [row])
        return document.model_copy(update={"version": version})

    async def last_number(self, image_set: str) -> int:
        """The highest version ever given, deletions included; 0 when there was none."""
        return await self._store.latest_version(self._prefix(image_set)) or 0

    async def remove(self, image_set: str, *, expected: int | None = None) -> None:
        """Delete all versions; a last one that says so remains, and keeps their numbers from being given again.

        Interrupted, it completes when it is called again.

        Raises:
            ArtifactNotFoundError: there is none.
            StaleVersionError: the latest version is not `expected`.
        """
        if await self.numbers(image_set):
            latest = await self.read(image_set)
            check_version(latest, expected)
            gone = latest.model_copy(update={"created_at": utc_now(), "content": None, "deleted": True})
            await self.write(gone, after=latest.version)
            await self._clear(image_set)
        else:
            await self._clear(image_set)
            raise ArtifactNotFoundError(f"Image set {image_set!r} has no {self._name}.")

    async def _clear(self, image_set: str) -> None:
        prefix, last = self._prefix(image_set), await self.last_number(image_set)
        stale = [rel async for rel in self._store.iter_keys(prefix) if (version_of(rel) or last) < last]
        for rel in stale:
            await self._store.delete(rel)

    async def _read(self, image_set: str, version: int) -> StoredGroundTruth:
        data = await self._store.get(version_key(self._prefix(image_set), version))
        return StoredGroundTruth.from_bytes(data).model_copy(update={"version": version})

    def _prefix(self, image_set: str) -> str:
        return ground_truth_prefix(image_set, draft=self.draft)

    @property
    def _name(self) -> str:
        return "draft of a ground truth" if self.draft else "ground truth"


def check_version(latest: StoredGroundTruth, expected: int | None) -> None:
    """
    Raises:
        StaleVersionError: the latest version is not the one that the writer has seen.
    """
    if expected is not None and latest.version != expected:
        raise StaleVersionError(
            f"Image set {latest.image_set!r} is at version {latest.version}, not {expected}; read it again and redo "
            "the edit."
        )


class GroundTruths:
    """Ground truths by image set; `drafts` are those that no evaluation uses yet."""

    def __init__(self, store: ArtifactStore, image_sets: ImageSets, index: GroundTruthIndex) -> None:
        self.versions = GroundTruthVersions(store, index, draft=False)
        self.drafts = GroundTruthVersions(store, index, draft=True)
        self._image_sets = image_sets

    async def create(self, given: GivenGroundTruth) -> KeptGroundTruth:
        """Store the first ground truth of an image set.

        Raises:
            ArtifactConflictError: it has one.
            GroundTruthError: it has no form of ours, or speaks of none of the images.
            ImageSetError: there is no such image set.
        """
        match = await self.match(given)
        if await self.versions.numbers(given.image_set):
            raise ArtifactConflictError(f"Image set {given.image_set!r} has a ground truth; edit it, or delete it.")
        return KeptGroundTruth(await self._write(given, given.owner), match)

    async def replace(self, given: GivenGroundTruth, *, expected: int | None = None) -> KeptGroundTruth:
        """Store the next version of an image set's ground truth, whose owner stays; the same again changes nothing.

        Raises:
            ArtifactNotFoundError: it has none yet.
            StaleVersionError: the latest version is not `expected`, or somebody else writes at the same time.
            GroundTruthError: it has no form of ours, or speaks of none of the images.
        """
        latest = await self.versions.read(given.image_set)
        check_version(latest, expected)
        match = await self.match(given)
        if (latest.content, latest.image_key) == (given.content, given.image_key):
            return KeptGroundTruth(latest, match)
        document = document_of(given, latest.owner_key_id)
        return KeptGroundTruth(await self.versions.write(document, after=latest.version), match)

    async def match(self, given: GivenGroundTruth) -> GroundTruthMatch:
        """Which entry speaks of which image of the set.

        Raises:
            GroundTruthError: it has no form of ours, or speaks of none of the images.
            ImageSetError: there is no such image set.
        """
        files = [item.file for item in (await self._image_sets.load(given.image_set)).items]
        return await asyncio.to_thread(lambda: ground_truth_of(given.content, given.image_key).match(files))

    async def _write(self, given: GivenGroundTruth, owner: str | None) -> StoredGroundTruth:
        after = await self.versions.last_number(given.image_set)
        return await self.versions.write(document_of(given, owner), after=after)


def document_of(given: GivenGroundTruth, owner: str | None) -> StoredGroundTruth:
    return StoredGroundTruth(
        image_set=given.image_set,
        owner_key_id=owner,
        source_run_id=given.source_run_id,
        created_at=utc_now(),
        source=given.source,
        image_key=given.image_key,
        content=given.content,
    )
