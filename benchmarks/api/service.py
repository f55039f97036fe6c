"""What the parts share: the whole service in a temporary folder, its clients, and what its API process takes."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import httpx2
import psutil

from ocrlty_pipeline.db.embedded import embedded_postgres
from ocrlty_pipeline.db.engine import create_engine, migrate
from tests.support.service import running_service

Call = Callable[[], Awaitable[object]]
SAMPLED_EVERY_S = 0.05


@contextmanager
def bench_service(**variables: str) -> Iterator[Any]:
    """PostgreSQL, Dagster's webserver and daemon, the API: everything in one folder that is gone afterwards."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "service"
        folder.mkdir()
        with embedded_postgres(Path(scratch) / "postgres") as url:
            engine = create_engine(url)
            migrate(engine)
            engine.dispose()
            with running_service(url, folder, API_FAILURE_LIMIT="1000000/second", **variables) as service:
                yield service


def async_client(service: Any, key_id: str = "alice") -> httpx2.AsyncClient:
    """Connections without bound: the service's bounds are what is measured."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=256)
    headers = {"Authorization": f"Bearer {service.keys[key_id]}"}
    return httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=120.0, limits=limits)


def rss_mb(pid: int) -> float:
    """Resident memory of one process, in MB."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


class PeakMemory:
    """The most that the API's process took while the block lasted, in MB."""

    def __init__(self, pid: int) -> None:
        self.mb = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLED_EVERY_S):
            self.mb = max(self.mb, rss_mb(self._pid))
