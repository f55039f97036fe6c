"""The lock of a run that is being deleted: given back, and not by the event loop, which others wait for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ocrlty_pipeline.db.locks import AdvisoryLock
from ocrlty_pipeline.errors import RunActiveError
from ocrlty_pipeline.run_deletion import delete_run
from tests.support.stored_runs import store_run


@pytest.mark.parametrize("active", [False, True])
def test_the_lock_is_given_back_in_a_thread_however_the_deletion_ends(store_services, monkeypatch, active):
    store_run(store_services, "b1", {"a.jpg": {"total": "1.00"}})
    day = store_services.runs.find("b1").day
    threads = []
    release = AdvisoryLock.release

    def watched(self):
        threads.append(threading.current_thread())
        release(self)

    async def is_active(_run_id):
        return active

    monkeypatch.setattr(AdvisoryLock, "release", watched)
    try:
        asyncio.run(delete_run(store_services, "b1", day, is_active))
    except RunActiveError:
        assert active
    assert threads
    assert threading.main_thread() not in threads
    with AdvisoryLock(store_services.engine, "b1") as lock:
        assert lock.try_acquire()
