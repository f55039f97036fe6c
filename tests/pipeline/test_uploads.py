"""Uploads: files that come one by one and become an image set."""

import asyncio

import pytest

from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import ImageError, ImageSetError
from ocrlty_pipeline.image_sets import ImageSets
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.uploads import Upload, remove_inputs
from tests.support.receipts import tiny_image


@pytest.fixture
def store(tmp_path):
    return ArtifactStore.from_settings(Settings(_env_file=None, artifacts_dir=tmp_path / "artifacts"))


async def upload(store, files, *, kept=True, name="u"):
    upload = Upload(store, "alice", kept=kept)
    for file, data in files.items():
        await upload.add(file, data)
    return await upload.register(name)


def keys(store, prefix):
    async def listed():
        return sorted([key async for key in store.iter_keys(prefix)])

    return asyncio.run(listed())


def test_files_become_an_image_set_in_the_order_in_which_they_came(store):
    files = {"b/x.png": tiny_image(1), "a.png": tiny_image(2), "empty.png": b"", "big.png": ImageError("too big")}
    manifest = asyncio.run(upload(store, files))
    assert (manifest.owner, manifest.images_dir, manifest.glob) == ("alice", "(upload)", "(upload)")
    assert [item.file for item in manifest.items] == list(files)
    assert [item.error.code if item.error else None for item in manifest.items] == [None, None, *["image_error"] * 2]
    for item in manifest.items[:2]:
        assert item.input_ref.startswith("inputs/alice/")
        assert asyncio.run(store.get(item.input_ref)) == files[item.file]
    assert asyncio.run(ImageSets(store).load("u")) == manifest


@pytest.mark.parametrize(("files", "named"), [({}, "no files"), ({"a.png": b"", "b.png": b""}, "a.png, b.png")])
def test_an_upload_with_nothing_in_it_is_refused_and_registers_nothing(store, files, named):
    with pytest.raises(ImageSetError, match=named):
        asyncio.run(upload(store, files))
    assert keys(store, "image_sets") == []


def test_files_that_are_not_to_be_kept_go_and_take_no_others_with_them(store):
    image = tiny_image(1)
    passing = asyncio.run(upload(store, {"a.png": image}, kept=False))
    other = asyncio.run(upload(store, {"a.png": image}, kept=False, name="other"))
    kept = asyncio.run(upload(store, {"a.png": image}, name="kept"))
    for manifest in (passing, kept):
        asyncio.run(remove_inputs(store, manifest))
    assert keys(store, "uploads") == [other.items[0].input_ref]
    assert keys(store, "inputs") == [kept.items[0].input_ref]


def test_an_upload_that_is_given_up_leaves_nothing_that_was_not_to_be_kept(store):
    async def given_up():
        upload = Upload(store, "alice", kept=False)
        await upload.add("a.png", tiny_image(1))
        await upload.discard()

    asyncio.run(given_up())
    assert keys(store, "uploads") == []
