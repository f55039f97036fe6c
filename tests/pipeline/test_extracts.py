"""Index rows of single extracts share transactions, and with them a failure."""

import asyncio
import time

import pytest

from ocrlty_pipeline.errors import StorageUnavailableError
from ocrlty_pipeline.extracts import _IndexWriter


class SlowIndex:
    """Counts transactions; each takes a moment, and fails with `failure` where one is given."""

    def __init__(self, failure=None):
        self.transactions = []
        self.failure = failure

    def add(self, rows):
        time.sleep(0.02)
        self.transactions.append(list(rows))
        if self.failure is not None:
            raise self.failure


def written(index, rows):
    async def go():
        writer = _IndexWriter(index)
        async with asyncio.timeout(10):
            return await asyncio.gather(*map(writer.add, rows), return_exceptions=True)

    return asyncio.run(go())


def test_rows_that_come_during_a_transaction_share_the_next_one():
    index = SlowIndex()
    assert written(index, range(20)) == [None] * 20
    assert sorted(row for rows in index.transactions for row in rows) == list(range(20))
    assert len(index.transactions) < 20


@pytest.mark.parametrize("failure", [StorageUnavailableError("down"), RuntimeError("a fault")])
def test_a_failed_transaction_fails_every_row_in_it_and_none_waits_for_ever(failure):
    assert written(SlowIndex(failure), range(5)) == [failure] * 5
