"""Jobs that a test executes in its own process: the services they use, and how they failed."""

from __future__ import annotations

from contextlib import contextmanager

from ocrlty_pipeline.orchestration.resources import process_services


@contextmanager
def own_services():
    """The services that jobs of this process use: made from the environment as it is now, closed after the block."""
    process_services.cache_clear()
    services = process_services()
    try:
        yield services
    finally:
        services.close()
        process_services.cache_clear()


def failure(result):
    """What the first step that failed says."""
    return next(event.step_failure_data.user_failure_data.description for event in result.get_step_failure_events())
