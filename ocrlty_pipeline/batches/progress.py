"""How far a batch is, told at a bounded rate, and the request to stop it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import orjson


@dataclass(slots=True)
class Progress:
    """Counts of items; `current` is the file taken up last."""

    stage: str
    total: int
    done: int = 0
    ok: int = 0
    err: int = 0
    current: str | None = None

    def to_json(self) -> str:
        return orjson.dumps(asdict(self)).decode()


# Told the progress; answers whether somebody asked to cancel. Called in a thread: it may block.
ProgressSink = Callable[[Progress], bool]


@dataclass(slots=True)
class Stop:
    """A batch's reason to end early; the first one given stands."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    canceled: bool = False
    reason: str | None = None

    def cancel(self, reason: str = "Cancelled on request.") -> None:
        if not self.event.is_set():
            self.canceled, self.reason = True, reason
            self.event.set()

    def give_up(self, reason: str) -> None:
        if not self.event.is_set():
            self.reason = reason
            self.event.set()


async def report(progress: Progress, sink: ProgressSink, stop: Stop, every_s: float) -> None:
    """Tell `sink` every `every_s` seconds, until cancelled; pass its request to cancel on to `stop`."""
    while True:
        if await asyncio.to_thread(sink, progress):
            stop.cancel()
        await asyncio.sleep(every_s)
