"""The write-once store of artifacts: whole objects, created atomically, never silently replaced.

Belongs here: what reading and writing an artifact means, on any storage. Does not: which storage (`objects`), how keys
are made (`keys`), what the bytes say.

On local disk an object is written to a file beside its own (`<name>#<n>`) and then linked to its name, so that a crash
leaves no half artifact; such leftovers are never listed. Files are not synced one by one: a loss of power, unlike a
crash of the process, can take the last seconds' artifacts with it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Self

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

from ocrlty_pipeline.artifacts.keys import check_key, content_type, input_key, is_key, version_key, version_of
from ocrlty_pipeline.artifacts.objects import ObjectLocation, open_objects
from ocrlty_pipeline.errors import ArtifactConflictError, ArtifactNotFoundError
from ocrlty_pipeline.settings import Settings

if TYPE_CHECKING:  # obstore has this name for type checkers only
    from obstore import Attributes, GetResult

# A bucket answers at most this many keys a page.
LIST_CHUNK = 1000
CHECK_TIMEOUT_S = 10
RENEW_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class OpenArtifact:
    """An artifact while it is read: its size in bytes is known before its chunks come, which can be read once."""

    rel: str
    size: int
    modified: datetime
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Listed:
    """An artifact in a listing; `size` in bytes, `modified` is when it was last written."""

    rel: str
    size: int
    modified: datetime


class ArtifactStore:
    """Artifacts by key.

    Every method refuses what is not a key with `InputError`, and raises `StorageUnavailableError` when the storage
    cannot be used.
    """

    def __init__(
        self, objects: LocalStore | S3Store, location: ObjectLocation, *, allow_overwrite: bool = False
    ) -> None:
        self._objects = objects
        self._location = location
        self._allow_overwrite = allow_overwrite

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Local disk, or S3/R2 when `S3_BUCKET` is set."""
        objects, location = open_objects(settings)
        return cls(objects, location, allow_overwrite=settings.s3_allow_overwrite)

    @property
    def kind(self) -> Literal["local", "s3"]:
        return self._location.kind

    @property
    def location(self) -> str:
        """The folder, or `s3://bucket/prefix`."""
        return self._location.name

    def full_ref(self, rel: str) -> str:
        """The artifact's path on disk, or its `s3://` address."""
        return f"{self.location}/{rel}"

    async def put(self, rel: str, data: bytes) -> None:
        """Write an artifact once; writing the same content again is no error.

        A put whose answer was lost is repeated by the client and then finds its own object: hence the comparison.

        Raises:
            ArtifactConflictError: the key holds other content, and `S3_ALLOW_OVERWRITE` is not set.
        """
        check_key(rel)
        if self._allow_overwrite:
            await self._write(rel, data, "overwrite")
        elif not await self._create(rel, data) and await self.get_or_none(rel) != data:
            raise ArtifactConflictError(
                f"{self.full_ref(rel)} exists with other content; artifacts are written once: use another id."
            )

    async def get(self, rel: str) -> bytes:
        """
        Raises:
            ArtifactNotFoundError: there is no such artifact.
        """
        check_key(rel)
        with self._explained(rel):
            result = await obstore.get_async(self._objects, rel)
            return bytes(await result.bytes_async())

    async def open(self, rel: str) -> OpenArtifact:
        """An artifact to be read in chunks.

        Raises:
            ArtifactNotFoundError: there is no such artifact.
        """
        check_key(rel)
        with self._explained(rel):
            result = await obstore.get_async(self._objects, rel)
        return OpenArtifact(rel, result.meta["size"], result.meta["last_modified"], self._chunks(rel, result))

    async def _chunks(self, rel: str, result: GetResult) -> AsyncIterator[bytes]:
        with self._explained(rel):
            async for chunk in result.stream():
                yield bytes(chunk)

    async def presigned(self, rel: str, seconds: int) -> str | None:
        """A URL by which anybody may read the artifact for so long, straight from the bucket; None on local disk.

        Nothing is asked of the bucket: whether there is such an artifact, it tells whoever comes.
        """
        check_key(rel)
        if isinstance(self._objects, LocalStore):
            return None
        with self._explained(rel):
            return await obstore.sign_async(self._objects, "GET", rel, timedelta(seconds=seconds))

    async def get_or_none(self, rel: str) -> bytes | None:
        try:
            return await self.get(rel)
        except ArtifactNotFoundError:
            return None

    async def exists(self, rel: str) -> bool:
        return await self._modified(rel) is not None

    async def iter_keys(self, prefix: str) -> AsyncIterator[str]:
        """The keys of `iter_listed`."""
        async for listed in self.iter_listed(prefix):
            yield listed.rel

    async def iter_listed(self, prefix: str) -> AsyncIterator[Listed]:
        """Stream what is below a folder, in no particular order; files that no key names are passed over.

        Args:
            prefix: whole segments, such as `extracts/2026-11-24`; empty for everything.
        """
        if prefix:
            check_key(prefix)
        stream = obstore.list(self._objects, prefix or None, chunk_size=LIST_CHUNK)
        with self._explained(prefix):
            async for chunk in stream:
                for entry in chunk:
                    if is_key(entry["path"]):
                        yield Listed(entry["path"], entry["size"], entry["last_modified"])

    async def latest_version(self, prefix: str) -> int | None:
        """The highest version below `prefix`; None when there is none."""
        versions = [version async for rel in self.iter_keys(prefix) if (version := version_of(rel)) is not None]
        return max(versions, default=None)

    async def put_version(self, prefix: str, data: bytes) -> int:
        """Write the next version below `prefix` and return its number; racing writers get numbers of their own."""
        version = (await self.latest_version(prefix) or 0) + 1
        while not await self._create(check_key(version_key(prefix, version)), data):
            version += 1
        return version

    async def create_version(self, prefix: str, version: int, data: bytes) -> bool:
        """Write just this version below `prefix`; False when somebody else has written it."""
        return await self._create(check_key(version_key(prefix, version)), data)

    async def put_input(self, owner: str, data: bytes, extension: str, sha256: str) -> str:
        """Keep an input's bytes under their hash, and return their key.

        What is there for longer than `RENEW_AFTER` is written again: an input's age tells when it was last given, and
        `pruning` takes none that is young.

        Args:
            owner: whose input it is.
            data: the file.
            extension: `.jpg` and the like.
            sha256: of `data`, in lower-case hexadecimal.
        """
        rel = input_key(owner, sha256, extension)
        modified = await self._modified(rel)
        if modified is None:
            await self._create(rel, data)
        elif datetime.now(UTC) - modified > RENEW_AFTER:
            await self._write(rel, data, "overwrite")
        return rel

    async def delete(self, rel: str) -> None:
        """Remove what was never meant to stay, such as an upload's files; what is not there is no error."""
        check_key(rel)
        with suppress(ArtifactNotFoundError), self._explained(rel):
            await obstore.delete_async(self._objects, rel)

    async def check(self) -> None:
        """Find out whether artifacts can be kept here: a file written to the folder, or the bucket's top listed.

        Raises:
            StorageUnavailableError: with the cause and the setting to look at.
        """
        if isinstance(self._objects, LocalStore):
            await asyncio.to_thread(self._probe_folder)
            return
        with self._explained(""):
            try:
                async with asyncio.timeout(CHECK_TIMEOUT_S):
                    await obstore.list_with_delimiter_async(self._objects)
            except TimeoutError as error:
                reason = TimeoutError(f"no answer within {CHECK_TIMEOUT_S} s")
                raise self._location.unavailable(reason) from error

    async def _modified(self, rel: str) -> datetime | None:
        check_key(rel)
        try:
            with self._explained(rel):
                return (await obstore.head_async(self._objects, rel))["last_modified"]
        except ArtifactNotFoundError:
            return None

    async def _create(self, rel: str, data: bytes) -> bool:
        """Create an object in one atomic step; False when there is one of its name."""
        try:
            await self._write(rel, data, "create")
        except ArtifactConflictError:
            return False
        return True

    async def _write(self, rel: str, data: bytes, mode: Literal["create", "overwrite"]) -> None:
        # Disks keep no content types; a bucket tells them to the browser that opens a page from it.
        attributes: Attributes | None = {"Content-Type": content_type(rel)} if self.kind == "s3" else None
        with self._explained(rel):
            try:
                await obstore.put_async(self._objects, rel, data, mode=mode, attributes=attributes)
            except FileNotFoundError as error:
                # It is not the object that a write can miss.
                raise self._location.unavailable(error) from error

    def _probe_folder(self) -> None:
        try:
            with tempfile.TemporaryFile(dir=self.location) as probe:
                probe.write(b"probe")
        except OSError as error:
            raise self._location.unavailable(error) from error

    @contextmanager
    def _explained(self, rel: str) -> Iterator[None]:
        """Turn the library's errors into ours."""
        try:
            yield
        except AlreadyExistsError as error:
            raise ArtifactConflictError(f"{self.full_ref(rel)} exists.") from error
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._location.unavailable(error) from error
            raise ArtifactNotFoundError(f"There is no artifact {self.full_ref(rel)}.") from error
        except (BaseError, OSError) as error:
            raise self._location.unavailable(error) from error
