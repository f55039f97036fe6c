"""Single extracts: one image outside any batch, to a record that is durable before anybody is told of it.

Belongs here: what a request is, that asking again gives what is there, storing and indexing. Does not: how an image
becomes a record (`extraction`), or who asks (the API, a Dagster run).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ocrlty_pipeline.artifacts.index import IndexRow, extract_row
from ocrlty_pipeline.artifacts.keys import check_id, extract_key
from ocrlty_pipeline.attempts import AttemptPolicy
from ocrlty_pipeline.backends.base import Backend
from ocrlty_pipeline.backends.factory import create_backend, create_page_source
from ocrlty_pipeline.errors import ArtifactConflictError, ArtifactNotFoundError, InputError, OcrltyError
from ocrlty_pipeline.extraction import ExtractInput, ExtractionContext, extract_image
from ocrlty_pipeline.overrides import NONE as NO_OVERRIDES
from ocrlty_pipeline.overrides import Overrides
from ocrlty_pipeline.records import Auth, ExtractRecord
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.together import Together

OVERRIDES_SHA256 = "overrides_sha256"


@dataclass(frozen=True, slots=True)
class ExtractRequest:
    """One image to extract; either its bytes or the key of an input in the store.

    Attributes:
        fresh: the id was made for this request, so that no record can be under it yet.
        described: further facts for the record's `input`, such as the length of the base64 it came in.
        overrides: what this request changes about task and model; part of its content.
    """

    request_id: str
    task_id: str
    image: bytes | None = field(default=None, repr=False)
    image_ref: str | None = None
    backend: str | None = None
    fresh: bool = False
    auth: Auth = field(default_factory=Auth)
    described: Mapping[str, Any] = field(default_factory=dict)
    overrides: Overrides = NO_OVERRIDES

    def check(self, services: Services) -> None:
        """Refuse what can be refused before anything is done.

        Raises:
            InputError: a bad id, an unknown task, no image or two.
        """
        check_id("request_id", self.request_id)
        _ = services.tasks[self.task_id]
        if (self.image is None) == (self.image_ref is None):
            raise InputError(f"request {self.request_id!r} must give its image's bytes or its image_ref, one of them.")


@dataclass(frozen=True, slots=True)
class StoredExtract:
    """A record and its key; `reused` when it was there before."""

    record: ExtractRecord
    rel: str
    reused: bool = False


class Extracts:
    """Extracts single images; one object serves many requests at a time, in one event loop.

    Its backends keep their connections between requests: close it.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._backends: dict[tuple[str | None, str | None], Backend] = {}
        self._rows: Together[str, IndexRow | None] = Together(self._find)
        self._new_rows: Together[IndexRow, None] = Together(self._add)

    async def extract(self, request: ExtractRequest, dagster_run_id: str) -> StoredExtract:
        """Extract one image and store the record; what is wrong with image, call or answer stands in the record.

        Asked again under the same id with the same content, it answers with the record that is there. Cancelled before
        the record is complete, it leaves nothing; afterwards it finishes.

        Raises:
            InputError: the request cannot be executed at all.
            ArtifactConflictError: the id is in use with other content.
            StorageUnavailableError: storage or database failed; the same request may be made again.
        """
        request.check(self._services)
        if not request.fresh and (existing := await self._existing(request)) is not None:
            return existing
        data = await self._read(request)
        given = ExtractInput(request.request_id, data, _described(request))
        record = await extract_image(given, self._context(request, dagster_run_id))
        keeping = asyncio.ensure_future(self._keep(request, record))
        try:
            return await asyncio.shield(keeping)
        except asyncio.CancelledError:
            # The call is paid for, and an artifact without its index row would be seen by half.
            return await keeping

    async def aclose(self) -> None:
        for backend in self._backends.values():
            await backend.aclose()

    async def _find(self, request_ids: list[str]) -> list[IndexRow | None]:
        return await asyncio.to_thread(self._services.index.find_all, "extract", request_ids)

    async def _add(self, rows: list[IndexRow]) -> list[None]:
        await asyncio.to_thread(self._services.index.add, rows)
        return [None] * len(rows)

    async def _existing(self, request: ExtractRequest) -> StoredExtract | None:
        row = await self._rows.ask(request.request_id)
        return None if row is None else await self._reused(request, row.rel_ref)

    async def _reused(self, request: ExtractRequest, rel: str) -> StoredExtract:
        record = ExtractRecord.from_bytes(await self._services.store.get(rel))
        data = await self._read(request)
        if not is_record_of(record, request, _sha256(data)):
            raise ArtifactConflictError(
                f"request_id {request.request_id!r} is in use with other content; choose another."
            )
        return StoredExtract(record, rel, reused=True)

    async def _read(self, request: ExtractRequest) -> bytes | OcrltyError:
        if request.image is not None:
            return request.image
        try:
            return await self._services.store.get(str(request.image_ref))
        except ArtifactNotFoundError as error:
            return error

    async def _keep(self, request: ExtractRequest, record: ExtractRecord) -> StoredExtract:
        services = self._services
        rel = extract_key(datetime.fromisoformat(record.created_at).astimezone(UTC).date(), request.request_id)
        try:
            await services.store.put(rel, record.to_bytes())
        except ArtifactConflictError:
            # Another process was asked the same at the same time, or this one died before it wrote the index.
            stored = await self._reused(request, rel)
            await self._new_rows.ask(extract_row(rel, stored.record, services.store))
            return stored
        await self._new_rows.ask(extract_row(rel, record, services.store))
        return StoredExtract(record, rel)

    def _context(self, request: ExtractRequest, dagster_run_id: str) -> ExtractionContext:
        services = self._services
        settings = request.overrides.of_settings(services.settings)
        return ExtractionContext(
            task=request.overrides.of_task(services.tasks[request.task_id]),
            backend=self._backend(request.backend, request.overrides.model, settings),
            policy=AttemptPolicy.from_settings(settings),
            limits=services.image_limits,
            code_version=settings.code_version,
            auth=request.auth,
            dagster_run_id=dagster_run_id,
            page_source=create_page_source(services.settings),
        )

    def _backend(self, name: str | None, model: str | None, settings: Settings) -> Backend:
        if (name, model) not in self._backends:
            self._backends[name, model] = create_backend(settings, name)
        return self._backends[name, model]


def is_record_of(record: ExtractRecord, request: ExtractRequest, image_sha256: str | None) -> bool:
    """Whether a record under the request's id is what the request asks for."""
    found = (record.task_id, record.auth.key_id, *map(record.input.get, ("image_sha256", OVERRIDES_SHA256)))
    return found == (request.task_id, request.auth.key_id, image_sha256, request.overrides.sha256)


def _described(request: ExtractRequest) -> dict[str, Any]:
    overrides = {"overrides": request.overrides.given(), OVERRIDES_SHA256: request.overrides.sha256}
    return {"image_ref": request.image_ref, **request.described, **(overrides if request.overrides.sha256 else {})}


def _sha256(data: bytes | OcrltyError) -> str | None:
    return hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else None
