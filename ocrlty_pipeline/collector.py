"""The garbage collector, where it does more harm than good."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_cycle_collection() -> Iterator[None]:
    """Make millions of small objects without the collector walking all of them over and over in search of cycles.

    For work that leaves no cycles behind and is done in seconds: reading and evaluating a large run takes a third less.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
