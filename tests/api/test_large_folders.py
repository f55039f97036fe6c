"""Folders of more images than a batch may have: refused at once, also where nobody waits for the batch."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from ocrlty_api.auth.roles import Principal
from ocrlty_api.batching import plan_folder
from ocrlty_api.errors import PayloadTooLargeError
from ocrlty_api.schemas.batches import FolderBatchBody
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings
from tests.support.requests import TASK

ALICE = Principal("alice", "client", frozenset({"extract:run"}))


@pytest.fixture
def plan(tmp_path):
    """Plans a batch over a folder of three images, where two are as many as a batch may have."""
    (tmp_path / "folder").mkdir()
    for number in range(3):
        (tmp_path / "folder" / f"{number}.png").write_bytes(b"")
    settings = Settings(_env_file=None, data_root=tmp_path, max_batch_files=2)
    state = SimpleNamespace(settings=settings, services=Services(settings))

    def plan(*, waits=False, **fields):
        body = FolderBatchBody(task_id=TASK, images_dir="folder", **fields)
        return asyncio.run(plan_folder(state, ALICE, body, waits=waits))

    return plan


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("fields", [{}, {"limit": 3}])
def test_a_folder_of_more_images_than_a_batch_may_have_is_refused(plan, waits, fields):
    with pytest.raises(PayloadTooLargeError, match="MAX_BATCH_FILES=2"):
        plan(waits=waits, **fields)


@pytest.mark.parametrize("fields", [{"limit": 2}, {"glob": "[01].png"}])
def test_so_many_of_its_images_as_a_batch_may_have_are_taken(plan, fields):
    assert plan(**fields).images == 2
