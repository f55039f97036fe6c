"""What the benchmarks share: a stack of their own, processor time of process trees, percentiles."""

from __future__ import annotations

import asyncio
import hashlib
import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from PIL import Image

from ocrlty_pipeline.orchestration.stack import running_stack
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import Settings, load_settings


def photograph() -> bytes:
    """A JPEG of 800 x 1200 pixels and about 100 KB, of noise as a camera's."""
    noise = np.random.default_rng(7).normal(160, 30, (1200, 800)).clip(0, 255).astype("uint8")
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=18)
    return buffer.getvalue()


@contextmanager
def own_stack(**variables: str) -> Iterator[Settings]:
    """An embedded PostgreSQL and a local store in a temporary folder, which is also DATA_ROOT."""
    with TemporaryDirectory() as scratch:
        os.environ |= {"OCRLTY_HOME": f"{scratch}/home", "DATA_ROOT": scratch, **variables}
        with running_stack(load_settings()) as settings:
            yield settings


def stored_image(settings: Settings) -> str:
    """The key of a photograph in the store."""
    with open_services(settings) as services:
        data = photograph()
        return asyncio.run(services.store.put_input("local", data, ".jpg", hashlib.sha256(data).hexdigest()))


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process, its descendants, and those of them that have ended."""
    total = 0.0
    for process in family(pid):
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue  # its time goes to its parent's next reading
    return total


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def postgres_cpu_s(settings: Settings) -> float:
    """CPU seconds of the embedded server and its backends."""
    pid = (settings.home / "postgres" / "postmaster.pid").read_text().splitlines()[0]
    return tree_cpu_s(int(pid))


def median_ms(seconds: Sequence[float]) -> float:
    return statistics.median(seconds) * 1000


def percentile_ms(seconds: Sequence[float], percent: int) -> float:
    return sorted(seconds)[min(len(seconds) - 1, len(seconds) * percent // 100)] * 1000
