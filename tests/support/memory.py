"""How much memory processes take while something happens."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress

import psutil

MIB = 2**20


@contextmanager
def bounded(service, most_mib, *, workers=False):
    """The API's process lives on and takes at most `most_mib` MiB more; `workers`: as does each of its workers."""
    api = psutil.Process(service.api.pid)
    growth = {}
    watched = {one: one.memory_info().rss for one in [api, *(api.children(recursive=True) if workers else [])]}
    over = threading.Event()

    def watch():
        while not over.wait(0.02):
            for process, before in watched.items():
                with suppress(psutil.NoSuchProcess):
                    growth[process] = max(growth.get(process, 0), process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    most = max(growth.values()) / MIB
    assert most < most_mib, f"{most:.0f} MiB more"
    assert service.api.running
