"""What every store does, on local disk and over S3 alike."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import ArtifactConflictError, ArtifactNotFoundError, InputError

REL = "extracts/2026-11-24/r1.json"


async def keys_of(store, prefix):
    return sorted([rel async for rel in store.iter_keys(prefix)])


@pytest.mark.parametrize("data", [b"", b"{}", bytes(range(256)) * 40_000], ids=["empty", "small", "10 MB"])
def test_what_is_put_is_got(store, data):
    async def scenario():
        await store.put(REL, data)
        assert await store.get(REL) == data
        assert await store.exists(REL)

    asyncio.run(scenario())


def test_putting_the_same_content_again_changes_nothing(store):
    async def scenario():
        await store.put(REL, b"one")
        await store.put(REL, b"one")
        assert await store.get(REL) == b"one"

    asyncio.run(scenario())


def test_putting_other_content_is_a_conflict_that_names_the_artifact(store):
    async def scenario():
        await store.put(REL, b"one")
        with pytest.raises(ArtifactConflictError, match=REL):
            await store.put(REL, b"two")
        assert await store.get(REL) == b"one"

    asyncio.run(scenario())


def test_overwriting_has_to_be_allowed(settings):
    async def scenario():
        await ArtifactStore.from_settings(settings).put(REL, b"one")
        allowing = ArtifactStore.from_settings(settings.model_copy(update={"s3_allow_overwrite": True}))
        await allowing.put(REL, b"two")
        assert await allowing.get(REL) == b"two"

    asyncio.run(scenario())


def test_of_many_writers_of_one_key_exactly_one_wins(store):
    async def scenario():
        contents = [f"writer {n}".encode() for n in range(50)]
        outcomes = await asyncio.gather(*(store.put(REL, data) for data in contents), return_exceptions=True)
        winners = [data for data, outcome in zip(contents, outcomes, strict=True) if outcome is None]
        assert [await store.get(REL)] == winners
        assert sum(isinstance(outcome, ArtifactConflictError) for outcome in outcomes) == 49

    asyncio.run(scenario())


def test_many_writers_of_the_same_content_all_succeed(store):
    async def scenario():
        await asyncio.gather(*(store.put(REL, b"same") for _ in range(50)))
        assert await store.get(REL) == b"same"

    asyncio.run(scenario())


def test_a_missing_artifact_is_named(store):
    async def scenario():
        assert await store.get_or_none(REL) is None
        assert not await store.exists(REL)
        with pytest.raises(ArtifactNotFoundError, match=REL):
            await store.get(REL)

    asyncio.run(scenario())


def test_no_method_takes_what_is_not_a_key(store):
    async def scenario():
        for call in (store.get, store.exists, lambda rel: store.put(rel, b""), lambda rel: store.put_version(rel, b"")):
            with pytest.raises(InputError):
                await call("../outside.json")
        with pytest.raises(InputError):
            await keys_of(store, "/")
        with pytest.raises(InputError):
            await store.put_input("../me", b"x", ".jpg", hashlib.sha256(b"x").hexdigest())

    asyncio.run(scenario())


def test_keys_are_listed_below_whole_segments(store):
    async def scenario():
        for rel in ("a/1.json", "a/b/2.json", "ab/3.json"):
            await store.put(rel, b"{}")
        assert await keys_of(store, "a") == ["a/1.json", "a/b/2.json"]
        assert await keys_of(store, "nothing") == []
        assert await keys_of(store, "") == ["a/1.json", "a/b/2.json", "ab/3.json"]

    asyncio.run(scenario())


def test_more_keys_than_a_page_are_listed(store):
    async def scenario():
        written = [f"extracts/2026-11-24/r{n:04d}.json" for n in range(1100)]
        for start in range(0, len(written), 100):
            await asyncio.gather(*(store.put(rel, b"{}") for rel in written[start : start + 100]))
        assert await keys_of(store, "extracts") == written

    asyncio.run(scenario())


def test_versions_count_up(store):
    async def scenario():
        assert await store.latest_version("image_sets/sroie") is None
        assert [await store.put_version("image_sets/sroie", b"{}") for _ in range(3)] == [1, 2, 3]
        assert await store.latest_version("image_sets/sroie") == 3
        assert await keys_of(store, "image_sets/sroie") == [f"image_sets/sroie/00000{n}.json" for n in (1, 2, 3)]

    asyncio.run(scenario())


def test_racing_writers_get_versions_of_their_own(store):
    async def scenario():
        contents = [f"{n}".encode() for n in range(12)]
        versions = await asyncio.gather(*(store.put_version("image_sets/sroie", data) for data in contents))
        assert sorted(versions) == list(range(1, 13))
        for data, version in zip(contents, versions, strict=True):
            assert await store.get(f"image_sets/sroie/{version:06d}.json") == data

    asyncio.run(scenario())


def test_an_input_is_kept_once_under_its_hash(store):
    async def scenario():
        sha256 = hashlib.sha256(b"image").hexdigest()
        refs = [await store.put_input("local", b"image", ".jpg", sha256) for _ in range(2)]
        assert refs == [f"inputs/local/{sha256[:2]}/{sha256[2:4]}/{sha256}.jpg"] * 2
        assert await store.get(refs[0]) == b"image"

    asyncio.run(scenario())


def test_a_usable_store_passes_its_check_and_keeps_nothing_of_it(store):
    async def scenario():
        await store.check()
        assert await keys_of(store, "") == []

    asyncio.run(scenario())


def test_one_store_serves_several_event_loops(store):
    asyncio.run(store.put(REL, b"one"))
    assert asyncio.run(store.get(REL)) == b"one"
