"""Image sets: a named, ordered, versioned list of inputs kept in the artifact store.

Belongs here: the manifest, how a folder becomes one, and the ground truth stored beside it. Does not: which files of a
folder count (`image_folders`), or what is done with a set (`batches`, `evaluation`).

A set imported again with other content becomes its next version; runs name the version they used.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import Field

from ocrlty_pipeline.artifacts.keys import (
    IMAGE_SETS,
    check_id,
    ground_truth_key,
    ground_truth_prefix,
    image_set_key,
    image_set_prefix,
    upload_key,
)
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import ImageError, ImageSetError, InputError
from ocrlty_pipeline.ground_truth import GroundTruthMatch, ground_truth_of, load_ground_truth
from ocrlty_pipeline.image_folders import EVERY_FILE, FolderFiles, folder_files
from ocrlty_pipeline.images import SNIFFED_BYTES, ImageLimits, type_of
from ocrlty_pipeline.records import Document, RecordedError, utc_now

UNKNOWN_TYPE = ("application/octet-stream", ".bin")
IMPORT_CONCURRENCY = 8


class Versioned(Document):
    """A document kept in versions; the version is part of its key, not of its content."""

    version: int = Field(default=0, exclude=True)


V = TypeVar("V", bound=Versioned)


class ImageSetItem(Document):
    """One input.

    Attributes:
        file: path within the set, with `/`; unique in the set.
        input_ref: key of its bytes in the store; None when they could not be kept, as `error` says.
    """

    file: str
    input_ref: str | None
    mime_type: str
    sha256: str | None
    bytes: int
    error: RecordedError | None = None


class ImageSet(Versioned):
    """A manifest: one version of a named image set.

    Attributes:
        owner: key id of whoever made it, in whose folder of the store its inputs are.
        kept: whether its inputs stay; those of some uploads go when their batch has ended.
    """

    name: str
    created_at: str
    owner: str = "local"
    kept: bool = True
    images_dir: str
    glob: str
    skipped: int
    items: list[ImageSetItem]

    @property
    def total_bytes(self) -> int:
        return sum(item.bytes for item in self.items)

    @property
    def unreadable(self) -> list[ImageSetItem]:
        return [item for item in self.items if item.error is not None]


class StoredGroundTruth(Versioned):
    """One version of an image set's ground truth, its content as it was given.

    Attributes:
        owner_key_id: whose it is; None in files from before that was kept.
        source_run_id: the batch run whose answers it began as.
        deleted: there is none any more; a version of its own, so that no number is given twice.
    """

    image_set: str
    owner_key_id: str | None = None
    source_run_id: str | None = None
    deleted: bool = False
    created_at: str
    source: str
    image_key: str
    content: Any


@dataclass(frozen=True, slots=True)
class FolderLimits:
    """Bounds on a folder to import, in files and bytes, and on each image in it."""

    image: ImageLimits
    max_files: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder to import, or its first `limit` images; it must lie under `root`."""

    folder: Path
    root: Path
    limits: FolderLimits
    glob: str = EVERY_FILE
    limit: int | None = None


ImportProgress = Callable[[int, int], None]
Noted = Callable[[str, Mapping[str, Any]], None]


def _not_noted(_rel: str, _document: Mapping[str, Any]) -> None:
    pass


class ImageSets:
    """Image sets and their ground truths in an artifact store.

    Args:
        owner: whose inputs they are; the folder of their bytes in the store.
        noted: told the key and the document of every ground truth that is stored, for its index.
    """

    def __init__(self, store: ArtifactStore, *, owner: str = "local", noted: Noted = _not_noted) -> None:
        self._store = store
        self._owner = owner
        self._noted = noted

    async def import_folder(
        self, name: str, source: FolderSource, progress: ImportProgress = lambda _done, _total: None
    ) -> ImageSet:
        """Store a folder's images and the manifest that lists them.

        The same content again gives the version that is there.

        Raises:
            ImageSetError: a bad name, folder or glob, or a limit exceeded; nothing is registered then.
        """
        check_image_set_name(name)
        files = await asyncio.to_thread(folder_files, source.folder, source.glob, source.root)
        files = replace(files, names=files.names[: source.limit])
        await asyncio.to_thread(_check_limits, files, source.limits)
        items = await self._store_files(files, source.limits.image, progress)
        manifest = ImageSet(
            name=name,
            created_at=utc_now(),
            owner=self._owner,
            images_dir=str(files.folder),
            glob=source.glob,
            skipped=files.skipped,
            items=items,
        )
        return await self.save(manifest)

    async def save(self, manifest: ImageSet) -> ImageSet:
        """Store a manifest as the next version of its set, unless the latest one has the same items."""
        if await self._store.latest_version(image_set_prefix(manifest.name)) is not None:
            existing = await self.load(manifest.name)
            if existing.items == manifest.items:
                return existing
        return await self._put(image_set_prefix(manifest.name), manifest)

    async def load(self, name: str, version: int | None = None) -> ImageSet:
        """Read a manifest, the latest when no version is named.

        Raises:
            ImageSetError: no image set of that name.
        """
        version = version or await self._store.latest_version(image_set_prefix(name))
        if version is None:
            raise ImageSetError(f"No image set named {name!r}; import one with `ocrlty import DIR --name {name}`.")
        manifest = ImageSet.from_bytes(await self._store.get(image_set_key(name, version)))
        return manifest.model_copy(update={"version": version})

    async def names(self) -> list[str]:
        """The names of all sets, in order; every manifest is listed, none is read."""
        return sorted({rel.split("/")[1] async for rel in self._store.iter_keys(IMAGE_SETS)})

    async def attach_ground_truth(
        self, name: str, data: bytes, *, source: str, image_key: str
    ) -> tuple[GroundTruthMatch, StoredGroundTruth]:
        """Store a ground-truth file as the next version of its set's, once it was matched with the set's images.

        Raises:
            GroundTruthError: it cannot be read, or speaks of none of the images; nothing is stored then.
        """
        content = await asyncio.to_thread(load_ground_truth, data)
        return await self.attach_records(name, content, source=source, image_key=image_key)

    async def attach_records(
        self, name: str, content: Any, *, source: str, image_key: str
    ) -> tuple[GroundTruthMatch, StoredGroundTruth]:
        """`attach_ground_truth` for ground truth that is read already: an object of entries, or an array of them.

        Raises:
            GroundTruthError: it has another form, or speaks of none of the images; nothing is stored then.
        """
        files = [item.file for item in (await self.load(name)).items]
        match = await asyncio.to_thread(_matched, content, image_key, files)
        return match, await self._save_ground_truth(name, content, source=source, image_key=image_key)

    async def _save_ground_truth(self, name: str, content: Any, *, source: str, image_key: str) -> StoredGroundTruth:
        latest = await self.load_ground_truth(name)
        if latest is not None and (latest.content, latest.image_key) == (content, image_key):
            return latest
        stored = StoredGroundTruth(
            image_set=name,
            owner_key_id=self._owner,
            created_at=utc_now(),
            source=source,
            image_key=image_key,
            content=content,
        )
        put = await self._put(ground_truth_prefix(name), stored)
        await asyncio.to_thread(self._noted, ground_truth_key(name, put.version), put.model_dump())
        return put

    async def load_ground_truth(self, name: str) -> StoredGroundTruth | None:
        """Read the latest ground truth of a set; None when it has none."""
        version = await self._store.latest_version(ground_truth_prefix(name))
        if version is None:
            return None
        stored = StoredGroundTruth.from_bytes(await self._store.get(ground_truth_key(name, version)))
        return None if stored.deleted else stored.model_copy(update={"version": version})

    async def _put(self, prefix: str, document: V) -> V:
        version = await self._store.put_version(prefix, document.to_bytes())
        return document.model_copy(update={"version": version})

    async def _store_files(
        self, files: FolderFiles, limits: ImageLimits, progress: ImportProgress
    ) -> list[ImageSetItem]:
        items: dict[str, ImageSetItem] = {}
        todo = iter(files.names)

        async def worker() -> None:
            for name in todo:
                items[name] = await self._store_file(files.folder / name, name, limits)
                progress(len(items), len(files.names))

        async with asyncio.TaskGroup() as group:
            for _ in range(IMPORT_CONCURRENCY):
                group.create_task(worker())
        return [items[name] for name in files.names]

    async def _store_file(self, path: Path, name: str, limits: ImageLimits) -> ImageSetItem:
        try:
            data = await asyncio.to_thread(_read_image, path, limits)
        except ImageError as error:
            return unusable_item(name, error)
        return await self.store_input(name, data)

    async def store_input(self, file: str, data: bytes, *, upload_id: str | None = None) -> ImageSetItem:
        """Keep one input's bytes: for good, or with an upload until its batch has ended.

        Returns:
            The input as an item; an empty file is one that cannot be used.
        """
        if not data:
            return unusable_item(file, ImageError("The file is empty."))
        mime_type, extension = type_of(data[:SNIFFED_BYTES]) or UNKNOWN_TYPE
        sha256 = await asyncio.to_thread(_sha256, data)
        if upload_id is None:
            ref = await self._store.put_input(self._owner, data, extension, sha256)
        else:
            ref = upload_key(self._owner, upload_id, sha256, extension)
            await self._store.put(ref, data)
        return ImageSetItem(file=file, input_ref=ref, mime_type=mime_type, sha256=sha256, bytes=len(data))


def unusable_item(file: str, error: ImageError) -> ImageSetItem:
    """An input of which no bytes are kept, as `error` says."""
    return ImageSetItem(
        file=file, input_ref=None, mime_type=UNKNOWN_TYPE[0], sha256=None, bytes=0, error=RecordedError.of(error)
    )


def content_sha256(items: Sequence[ImageSetItem]) -> str:
    """Digest of what inputs are, wherever they are kept: names, contents, and what is wrong with them."""
    facts = [[item.file, item.sha256, item.error.message if item.error else None] for item in items]
    return hashlib.sha256(orjson.dumps(facts)).hexdigest()


def check_image_set_name(name: str) -> None:
    """Refuse what cannot be both a key in the store and a partition in Dagster.

    Raises:
        ImageSetError: names the value and what is allowed.
    """
    try:
        check_id("image set", name)
    except InputError as error:
        raise ImageSetError(error.message) from None


def _matched(content: Any, image_key: str, files: list[str]) -> GroundTruthMatch:
    return ground_truth_of(content, image_key).match(files)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _check_limits(files: FolderFiles, limits: FolderLimits) -> None:
    count = len(files.names)
    if count > limits.max_files:
        raise ImageSetError(f"{files.folder} holds {count} images, more than MAX_BATCH_FILES={limits.max_files}.")
    total = sum((files.folder / name).stat().st_size for name in files.names)
    if total > limits.max_bytes:
        raise ImageSetError(
            f"{files.folder} holds {total} bytes of images, more than MAX_BATCH_BYTES={limits.max_bytes}."
        )


def _read_image(path: Path, limits: ImageLimits) -> bytes:
    try:
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise ImageError(f"The file has {size} bytes, more than MAX_IMAGE_BYTES={limits.max_bytes}.")
        return path.read_bytes()
    except OSError as cause:
        raise ImageError(f"The file cannot be read: {cause.strerror}.") from None
