"""How many Dagster runs there are by status: the queue's depth and the outcomes, for `/metrics`."""

from __future__ import annotations

import asyncio
import logging
import time

import dagster as dg

from ocrlty_api.lanes.instance import SharedInstance

# Each count is a query, and anybody may ask for metrics.
FRESH_S = 5.0
TIMEOUT_S = 3.0

_log = logging.getLogger(__name__)


class RunCounts:
    """Counts at most every FRESH_S seconds; while the database is away, those last seen."""

    def __init__(self, shared: SharedInstance) -> None:
        self._instance = shared.instance
        self._counts: dict[str, int] = {}
        self._counting = asyncio.Lock()
        self._counted_at = -FRESH_S

    async def look(self) -> dict[str, int]:
        """Number of runs by status, such as QUEUED, STARTED, SUCCESS and FAILURE."""
        async with self._counting:
            if time.monotonic() - self._counted_at >= FRESH_S:
                self._counted_at = time.monotonic()
                await self._count()
        return self._counts

    async def _count(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self._counts = await asyncio.to_thread(_counts, self._instance)
        except Exception as error:  # noqa: BLE001  # metrics of everything else must not fail with it
            _log.warning("Runs cannot be counted: %s", error or "no answer in time")


def _counts(instance: dg.DagsterInstance) -> dict[str, int]:
    statuses = (status for status in dg.DagsterRunStatus if status is not dg.DagsterRunStatus.MANAGED)
    return {status.value: instance.get_runs_count(dg.RunsFilter(statuses=[status])) for status in statuses}
