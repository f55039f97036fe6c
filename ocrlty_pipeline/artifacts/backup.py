"""All artifacts as one `.tar.gz`, written and read in pieces: memory stays flat however many there are.

Belongs here: the archive's form. Does not: where it goes to (a file, an HTTP answer), or the index, which is rebuilt
from what was restored. Rows that no artifact has come first, as `tables/<table>/<number>.json`.
"""

from __future__ import annotations

import asyncio
import gzip
import tarfile
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import IO

from sqlalchemy import Engine

from ocrlty_pipeline.artifacts.keys import DRAFTS, FOLDERS, GROUND_TRUTHS, IMAGE_SETS, SHARDS, is_key
from ocrlty_pipeline.artifacts.store import ArtifactStore, OpenArtifact
from ocrlty_pipeline.db.dump import dump_rows, load_rows
from ocrlty_pipeline.errors import ArtifactConflictError, ArtifactNotFoundError, InputError

# Prompts and schemas: without them nobody knows what the answers of another day were answers to.
DOCUMENTS = (*FOLDERS, SHARDS, IMAGE_SETS, GROUND_TRUTHS, DRAFTS, "prompts", "schemas")
INPUTS = "inputs"
TABLES = "tables"
# So many artifacts are asked for ahead of the one that is written: a bucket's answers take their time.
OPEN_AHEAD = 16
WRITES_AT_ONCE = 16
# Pieces of this size are compressed apart from the event loop.
PIECE_BYTES = 256 * 1024
# zlib: gzip's header and trailer. Level 6 takes three times the time of 1 for a tenth less.
GZIP, LEVEL = 31, 1


async def backup(store: ArtifactStore, *, inputs: bool = False, tables: Engine | None = None) -> AsyncIterator[bytes]:
    """The archive, piece by piece; what is deleted meanwhile is left out.

    Args:
        store: whose artifacts.
        inputs: the images' bytes as well.
        tables: the database whose rows go along: hashes of API keys are among them.

    Raises:
        StorageUnavailableError: storage cannot be read; the archive then ends without its end.
    """
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    folders = (*DOCUMENTS, *([INPUTS] if inputs else []))
    async for piece in _in_pieces(_tar(store, folders, tables)):
        if compressed := await asyncio.to_thread(compressor.compress, piece):
            yield compressed
    yield compressor.flush()


async def _tar(store: ArtifactStore, folders: tuple[str, ...], tables: Engine | None) -> AsyncIterator[bytes]:
    if tables is not None:
        with closing(dump_rows(tables)) as dumped:
            while (rows := await asyncio.to_thread(next, dumped, None)) is not None:
                yield _header(f"{TABLES}/{rows.table}/{rows.number:06d}.json", len(rows.data), datetime.now(UTC))
                yield rows.data
                yield _filled(len(rows.data))
    async for artifact in _opened(store, folders):
        yield _header(artifact.rel, artifact.size, artifact.modified)
        async for chunk in artifact.chunks:
            yield chunk
        yield _filled(artifact.size)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _header(name: str, size: int, modified: datetime) -> bytes:
    header = tarfile.TarInfo(name)
    header.size, header.mtime = size, int(modified.timestamp())
    return header.tobuf(tarfile.PAX_FORMAT)


def _filled(size: int) -> bytes:
    """What follows a file of so many bytes."""
    return bytes(-size % tarfile.BLOCKSIZE)


async def _opened(store: ArtifactStore, folders: tuple[str, ...]) -> AsyncIterator[OpenArtifact]:
    """Artifacts in the order of their listing, the next ones being asked for meanwhile."""
    ahead: deque[asyncio.Task[OpenArtifact | None]] = deque()
    try:
        for folder in folders:
            async for rel in store.iter_keys(folder):
                ahead.append(asyncio.create_task(_open(store, rel)))
                if len(ahead) > OPEN_AHEAD and (artifact := await ahead.popleft()) is not None:
                    yield artifact
        while ahead:
            if (artifact := await ahead.popleft()) is not None:
                yield artifact
    finally:
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)


async def _open(store: ArtifactStore, rel: str) -> OpenArtifact | None:
    try:
        return await store.open(rel)
    except ArtifactNotFoundError:
        return None


async def _in_pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of PIECE_BYTES or a chunk more."""
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


@dataclass(slots=True)
class RestoreReport:
    """What came of a restoration.

    Attributes:
        restored: artifacts of the archive that are in the store now, whether or not they were before.
        rows: rows of tables that the database lacked.
        conflicts: keys that hold other content, which stays.
        refused: names in the archive that are no key of ours.
    """

    restored: int = 0
    rows: int = 0
    conflicts: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


async def restore(store: ArtifactStore, archive: IO[bytes], *, tables: Engine | None = None) -> RestoreReport:
    """Put an archive's artifacts back, and its rows where a database is given; memory holds `WRITES_AT_ONCE` at most.

    Raises:
        InputError: the archive is none, of a later version, or is cut off; what came before the cut is restored, and
            it can be run again.
        StorageUnavailableError: storage cannot be written.
    """
    report = RestoreReport()
    members = _members(archive)
    while batch := await asyncio.to_thread(_next, members):
        if tables is not None:
            report.rows += await asyncio.to_thread(_load_rows, tables, batch)
        batch = [(name, data) for name, data in batch if _table_of(name) is None]
        outcomes = await asyncio.gather(*(_put(store, name, data) for name, data in batch))
        report.restored += outcomes.count("restored")
        for (name, _), outcome in zip(batch, outcomes, strict=True):
            if outcome == "conflict":
                report.conflicts.append(name)
            elif outcome == "refused":
                report.refused.append(name)
    return report


def _next(members: Iterator[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    try:
        return list(islice(members, WRITES_AT_ONCE))
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"The archive cannot be read to its end: {error}; make it again.") from None


def _members(archive: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    # Unlike tarfile's own reading of .gz, this one notices an archive that ends too early.
    with gzip.GzipFile(fileobj=archive) as unzipped:
        with tarfile.open(fileobj=unzipped, mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is not None:
                    yield member.name, content.read()
        while unzipped.read(PIECE_BYTES):
            pass


def _load_rows(tables: Engine, batch: list[tuple[str, bytes]]) -> int:
    named = ((_table_of(name), data) for name, data in batch)
    return sum(load_rows(tables, table, data) for table, data in named if table is not None)


def _table_of(name: str) -> str | None:
    match name.split("/"):
        case [folder, table, _] if folder == TABLES:
            return table
    return None


async def _put(store: ArtifactStore, name: str, data: bytes) -> str:
    if not is_key(name) or name.partition("/")[0] not in (*DOCUMENTS, INPUTS):
        return "refused"
    try:
        await store.put(name, data)
    except ArtifactConflictError:
        return "conflict"
    return "restored"
