"""The threads in which an application blocks: many for what waits, few for what computes.

Belongs here: how many there are, and running a computation in them. Does not: what is run. What waits for a database, a
disk or a file goes to `asyncio.to_thread`, whose threads `use_waiting_threads` makes enough of.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

# asyncio's own, of the number of processors and four, were all taken by as many requests that compute.
WAITING = 32
COMPUTING = 2

P = ParamSpec("P")
T = TypeVar("T")


def use_waiting_threads() -> None:
    """Give the running event loop its threads for `asyncio.to_thread`; they end with it."""
    threads = ThreadPoolExecutor(WAITING, thread_name_prefix="waiting")
    asyncio.get_running_loop().set_default_executor(threads)


class Computing:
    """Threads of their own for what keeps a processor busy for long, such as comparing two runs."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def run(self, computation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `computation` gives, once it had its turn; in the context of the caller, as `asyncio.to_thread`."""
        call = partial(contextvars.copy_context().run, computation, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


@contextmanager
def computing() -> Iterator[Computing]:
    """Threads for computations; at the end of the block, those that wait for their turn are given up."""
    threads = ThreadPoolExecutor(COMPUTING, thread_name_prefix="computing")
    try:
        yield Computing(threads)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
