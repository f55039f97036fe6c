"""Which process executes a run, as a run tag that tells a live run from an orphan.

A process is named by host, process id and start time: a process id alone is given away again.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Self

import psutil

# Process start times are read from clocks that may be set meanwhile.
TOLERANCE_S = 10.0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process on one host; `started` is in seconds since the epoch."""

    host: str
    pid: int
    started: float

    @classmethod
    def current(cls) -> Self:
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    @classmethod
    def from_tag(cls, tag: str) -> Self | None:
        """The identity that `to_tag` wrote; None for any other text."""
        host, _, rest = tag.rpartition("@")
        pid, _, started = rest.partition("/")
        try:
            return cls(host, int(pid), float(started))
        except ValueError:
            return None

    def to_tag(self) -> str:
        return f"{self.host}@{self.pid}/{self.started:.2f}"

    @property
    def is_local(self) -> bool:
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Whether the process lives; only its own host can tell."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < TOLERANCE_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
