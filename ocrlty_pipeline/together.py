"""Questions that many ask at the same time, answered together: one round trip to a database instead of one each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Together(Generic[Q, A]):
    """Makes one call at a time; what is asked meanwhile shares the next one. Of one event loop.

    Args:
        call: answers a list of questions, in their order.
    """

    def __init__(self, call: Callable[[list[Q]], Awaitable[Sequence[A]]]) -> None:
        self._call = call
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """The answer of a call that began after this; raises what the call raises."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._asking is None:
            # A task of its own: whoever asked first may be cancelled, and the others still wait.
            self._asking = asyncio.create_task(self._ask_all(), name="together")
        return await answer

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                shared, self._waiting = self._waiting, []
                await self._ask(shared)
        finally:
            self._asking = None

    async def _ask(self, shared: list[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            answers = await self._call([question for question, _ in shared])
        except Exception as error:  # noqa: BLE001 -- every one that waits raises it; none may wait for ever
            for _, awaited in shared:
                if not awaited.done():
                    awaited.set_exception(error)
            return
        for (_, awaited), answer in zip(shared, answers, strict=True):
            if not awaited.done():
                awaited.set_result(answer)
