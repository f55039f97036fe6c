"""Dagster's launcher for Celery beside the online lane, named in `deploy/celery/dagster.yaml`; needs the extra."""

from __future__ import annotations

from dagster_celery.launcher import CeleryRunLauncher

from ocrlty_pipeline.orchestration.warm.health import WithWarmRuns


class CeleryLauncher(WithWarmRuns, CeleryRunLauncher):
    """Each run is a task of Celery, but for those of warm workers."""
