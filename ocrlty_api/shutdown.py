"""The service's end: told as soon as the signal comes, and bounded.

A server that is told to end takes no new connections and waits for its requests; only then does it close the
application. Whoever holds an answer back (a long poll, a stream of events) must hear of it before.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], Any]


class Shutdown:
    """One application's.

    Args:
        grace_s: seconds that requests under way have, from the signal on; then they are cancelled.

    Attributes:
        closing: set once the service is told to end.
    """

    def __init__(self, grace_s: float) -> None:
        self.closing = asyncio.Event()
        self._grace_s = grace_s
        self._under_way: set[asyncio.Task[Any]] = set()

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request that the running task serves."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- the server runs each request in one
        self._under_way.add(task)
        try:
            yield
        finally:
            self._under_way.discard(task)

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """While the block lasts, signals to end are noticed, and handled by who handled them before."""
        if threading.current_thread() is not threading.main_thread():
            yield  # No signal comes here; a server in a thread is ended otherwise.
            return
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in SIGNALS}

        def notice(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.begin)
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        for number in SIGNALS:
            signal.signal(number, notice)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def begin(self) -> None:
        """The service is told to end."""
        if not self.closing.is_set():
            self.closing.set()
            asyncio.get_running_loop().call_later(self._grace_s, self._cancel)

    def _cancel(self) -> None:
        for task in self._under_way:
            task.cancel()
