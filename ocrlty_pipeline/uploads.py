"""Uploads: files that come one by one, and become an image set once all are there.

Belongs here: collecting them, and removing those that shall not stay once their batch has ended. Does not: how they
arrive (the API), or what is done with them (`batches`).
"""

from __future__ import annotations

import asyncio
import uuid

from ocrlty_pipeline.artifacts.keys import UPLOADS
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import ImageError, ImageSetError
from ocrlty_pipeline.image_sets import (
    ImageSet,
    ImageSetItem,
    ImageSets,
    check_image_set_name,
    content_sha256,
    unusable_item,
)
from ocrlty_pipeline.records import utc_now

SOURCE = "(upload)"
SHOWN_FILES = 5
DELETES_AT_ONCE = 16


class Upload:
    """The files of one upload; nothing is visible of them until `register`.

    Args:
        owner: key id of whoever uploads.
        kept: whether the files stay in the store when the batch has ended.
    """

    def __init__(self, store: ArtifactStore, owner: str, *, kept: bool = True) -> None:
        self.kept = kept
        self.items: list[ImageSetItem] = []
        self._store = store
        self._owner = owner
        self._image_sets = ImageSets(store, owner=owner)
        self._id = uuid.uuid4().hex

    async def add(self, file: str, data: bytes | ImageError) -> None:
        """Store one file; one that cannot be used becomes an item that says why."""
        if isinstance(data, ImageError):
            self.items.append(unusable_item(file, data))
        else:
            upload_id = None if self.kept else self._id
            self.items.append(await self._image_sets.store_input(file, data, upload_id=upload_id))

    def check(self) -> None:
        """
        Raises:
            ImageSetError: there are no files, or nothing in any of them.
        """
        if not self.items:
            raise ImageSetError("The upload has no files; send one part `files` for each image.")
        if all(item.input_ref is None for item in self.items):
            first = self.items[0].error
            names = ", ".join(item.file for item in self.items[:SHOWN_FILES])
            raise ImageSetError(
                f"None of the {len(self.items)} files can be used ({names}): {first.message if first else 'unknown'}"
            )

    def content_sha256(self) -> str:
        """Digest of the files' names and contents, in their order."""
        return content_sha256(self.items)

    async def register(self, name: str) -> ImageSet:
        """Make the files an image set.

        Raises:
            ImageSetError: the name is none, or `check` fails; nothing is registered then.
        """
        check_image_set_name(name)
        self.check()
        manifest = ImageSet(
            name=name,
            created_at=utc_now(),
            owner=self._owner,
            kept=self.kept,
            images_dir=SOURCE,
            glob=SOURCE,
            skipped=0,
            items=self.items,
        )
        return await self._image_sets.save(manifest)

    async def discard(self) -> None:
        """Remove what would not be kept anyway: the upload failed, or is another one's repetition."""
        await _remove(self._store, self.items)


async def remove_inputs(store: ArtifactStore, image_set: ImageSet) -> None:
    """Remove the inputs of a set that is not to keep them; its manifest and everything made of it stay."""
    if not image_set.kept:
        await _remove(store, image_set.items)


async def _remove(store: ArtifactStore, items: list[ImageSetItem]) -> None:
    slots = asyncio.Semaphore(DELETES_AT_ONCE)

    async def remove(rel: str) -> None:
        async with slots:
            await store.delete(rel)

    refs = {item.input_ref for item in items if item.input_ref and item.input_ref.startswith(f"{UPLOADS}/")}
    await asyncio.gather(*map(remove, refs))
