"""`WarmRunLauncher`: the warm pool as Dagster's run launcher, named in `dagster.yaml`.

The pool lives in the process that launches, which is the daemon's. Everything else any process can do: a request to
terminate is the run's status, and who executes a run stands in its tags.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from ocrlty_pipeline.orchestration.warm.health import ask_to_end, health_of, worker_of
from ocrlty_pipeline.orchestration.warm.pool import PoolOptions, WarmPool
from ocrlty_pipeline.settings import load_settings


class WarmRunLauncher(RunLauncher[dg.DagsterInstance], ConfigurableClass):
    """Executes runs in warm worker processes of this machine; their number and age are settings (`WARM_*`)."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Dagster left it untyped
        self._inst_data = inst_data
        self._pool: WarmPool | None = None
        self._lock = threading.Lock()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:  # noqa: ARG003 -- Dagster's signature
        return cls(inst_data)

    def warm_up(self) -> None:
        """Start the pool before the first run asks for it."""
        self._opened_pool()

    def holds(self, run_id: str) -> bool:
        """Whether a run waits or executes in the pool of this process."""
        return self._pool is not None and self._pool.alive and self._pool.holds(run_id)

    def launch_run(self, context: LaunchRunContext) -> None:
        self._opened_pool().submit(context.dagster_run.run_id)

    def terminate(self, run_id: str) -> bool:
        """Ask a run to end; false when it has ended already.

        Whichever process this is, the pool that holds the run sees its status within a second.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if self._pool is None:
            ask_to_end(self._instance, run)
        else:
            self._instance.report_run_canceling(run)
            self._pool.cancel(run_id)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        return health_of(worker_of(self._instance, run))

    def dispose(self) -> None:
        if self._pool is not None:
            self._pool.close()

    def join(self, timeout: int = 30) -> None:
        """Wait until nothing waits or executes here, for `timeout` seconds at most."""
        deadline = time.monotonic() + timeout
        while self._pool is not None and not self._pool.idle and time.monotonic() < deadline:
            time.sleep(0.05)

    def _opened_pool(self) -> WarmPool:
        with self._lock:
            if self._pool is None or not self._pool.alive:
                self._pool = WarmPool(self._instance.get_ref(), PoolOptions.from_settings(load_settings()))
            return self._pool
