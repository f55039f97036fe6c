"""Ctrl-C and SIGTERM as something to look at, instead of an exception wherever the program happens to be.

An exception raised in a destructor or a callback of a library is swallowed there, and the person's word with it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupts:
    """How often the person said stop."""

    def __init__(self) -> None:
        self.count = 0
        self._told = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait for the first one, for so long at most; answers whether it came."""
        return self._told.wait(seconds)

    def add(self, *_: object) -> None:
        self.count += 1
        self._told.set()


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Count them as long as the block lasts."""
    counted = Interrupts()
    before = {number: signal.signal(number, counted.add) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield counted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
