"""The image set that an upload becomes: one for each run_id of each key, in the version that was uploaded."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from ocrlty_api.auth.roles import Principal
from ocrlty_api.schemas.batches import UploadFields
from ocrlty_api.uploading import Received, plan_upload
from ocrlty_pipeline.uploads import Upload
from tests.support.requests import TASK, new_id, new_image, succeeded, upload

UPLOAD = "/v1/batch_extract_upload"
ALICE, BOB = (Principal(name, "client", frozenset({"extract:run"})) for name in ("alice", "bob"))


async def planned(services, key, run_id):
    """A draft over one new image; nothing is prepared or launched."""
    files = Upload(services.store, key.key_id)
    await files.add("a.png", new_image())
    state = SimpleNamespace(services=services, settings=services.settings)
    received = Received(files, UploadFields(task_id=TASK, run_id=run_id), None)
    return await plan_upload(state, key, received, waits=False)


def test_run_ids_of_two_keys_that_read_alike_are_two_image_sets(alice, bob):
    name = new_id("inv")
    images = {"a.png": new_image()}
    first = succeeded(alice.post(UPLOAD, **upload(images, run_id=name)))
    other = succeeded(bob.post(UPLOAD, **upload({"a.png": new_image()}, run_id=f"upload-{name}")))
    assert first["image_set"] != other["image_set"]
    assert all(answer["image_set"].startswith(f"upload-{name}-") for answer in (first, other))
    assert (first["image_set_version"], other["image_set_version"]) == (1, 1)
    # Nothing of the upload is done again: it is the run that is there.
    assert succeeded(alice.post(UPLOAD, **upload(images, run_id=name))) == first


def test_no_two_run_ids_or_keys_share_an_image_set(stored):
    async def names():
        long = "x" * 127
        run_ids = ("a", "upload-a", "upload-upload-a", f"{long}1", f"{long}2")
        return [(await planned(stored, key, run_id)).run.image_set for key in (ALICE, BOB) for run_id in run_ids]

    found = asyncio.run(names())
    assert len(set(found)) == len(found)
    assert all(name.startswith("upload-") and len(name) <= 128 for name in found)


def test_a_run_takes_the_version_that_was_uploaded_for_it(stored):
    async def versions():
        run_id = new_id("inv")
        drafts = [await planned(stored, ALICE, run_id) for _ in range(2)]
        for draft in drafts:
            await draft.prepare()
        return [draft.run.extraction["image_set_version"] for draft in drafts]

    assert asyncio.run(versions()) == [1, 2]
