"""Coroutines run to their end by code that is not one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def result_of(coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` for results that may be large.

    `asyncio.run` restores the handler of SIGINT through `signal`, which writes out the finished task with its whole
    result on the way: for a run of 10,000 images half a second, thrown away. Here the task has no result.
    """
    results: list[T] = []

    async def keep() -> None:
        results.append(await coroutine)

    asyncio.run(keep())
    return results[0]
