from __future__ import annotations

import multiprocessing

import pytest

from ocrlty_pipeline.db.engine import create_engine
from ocrlty_pipeline.db.locks import AdvisoryLock, lock_key
from ocrlty_pipeline.errors import StorageUnavailableError
from tests.support.waiting import wait_until


def test_a_lock_is_held_by_one_at_a_time(engine):
    with AdvisoryLock(engine, "b1") as mine, AdvisoryLock(engine, "b1") as other:
        assert mine.try_acquire()
        assert mine.try_acquire()
        assert not other.try_acquire()
        mine.release()
        assert other.try_acquire()


def test_leaving_the_block_frees_the_lock(engine):
    with AdvisoryLock(engine, "b1") as mine:
        assert mine.try_acquire()
    with AdvisoryLock(engine, "b1") as other:
        assert other.try_acquire()


def test_locks_of_other_names_are_free(engine):
    with AdvisoryLock(engine, "b1") as one, AdvisoryLock(engine, "b2") as two:
        assert one.try_acquire()
        assert two.try_acquire()


def test_many_locks_leave_the_pool_to_others(engine):
    locks = [AdvisoryLock(engine, f"b{n}") for n in range(20)]
    assert all(lock.try_acquire() for lock in locks)
    assert engine.pool.checkedout() == 0
    for lock in locks:
        lock.release()


def test_a_lock_ends_with_the_process_that_held_it(engine, database_url):
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    holder = context.Process(target=_hold, args=(database_url, held))
    holder.start()
    assert held.wait(60)
    with AdvisoryLock(engine, "b1") as mine:
        assert not mine.try_acquire()
        holder.kill()
        holder.join()
        wait_until(mine.try_acquire)


def test_a_key_is_a_signed_64_bit_number_that_stays_the_same():
    assert lock_key("migrate") == -757792358539603350
    assert all(-(2**63) <= lock_key(f"b{n}") < 2**63 for n in range(100))


def test_a_database_that_is_down_is_no_lock_held_by_another(tmp_path):
    with (
        AdvisoryLock(create_engine(f"postgresql+psycopg://me@/ocrlty?host={tmp_path}"), "b1") as lock,
        pytest.raises(StorageUnavailableError),
    ):
        lock.try_acquire()


def _hold(url, held):
    with AdvisoryLock(create_engine(url), "b1") as lock:
        assert lock.try_acquire()
        held.set()
        multiprocessing.Event().wait()
