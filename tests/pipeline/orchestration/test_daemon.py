"""What this project's daemon does beyond Dagster's: it hears of events, and retries what its status says failed."""

import logging
import time

import dagster as dg
import pytest
from dagster._core.instance.config import ConcurrencyConfig
from dagster._core.run_coordinator.queued_run_coordinator import RunQueueConfig
from dagster._core.storage.tags import WILL_RETRY_TAG
from dagster._core.workspace.context import WorkspaceProcessContext

from ocrlty_pipeline.orchestration.daemon import (
    PromptQueueDaemon,
    RunEvents,
    SettledRunRetries,
    daemons_of,
    leaving_a_worker,
)
from tests.support.waiting import wait_until


def test_the_daemons_queue_and_retries_are_ours(instance):
    kinds = {type(daemon) for daemon in daemons_of(instance)}
    assert {PromptQueueDaemon, SettledRunRetries} <= kinds
    assert len(kinds) == len(instance.get_required_daemon_types())


@pytest.mark.parametrize(("configured", "workers", "limit"), [(4, 6, 4), (4, 4, 3), (4, 2, 1), (4, 1, 1), (None, 6, 5)])
def test_runs_over_image_sets_leave_a_worker_to_single_extracts(configured, workers, limit):
    other = {"key": "x", "limit": 2}
    limits = [other] if configured is None else [{"key": "dagster/partition", "limit": configured}, other]
    config = ConcurrencyConfig.from_concurrency_settings({"runs": {}}, RunQueueConfig(16, limits))
    queue = leaving_a_worker(config, workers).run_queue_config
    assert queue.max_concurrent_runs == 16
    assert queue.tag_concurrency_limits == [other, {"key": "dagster/partition", "limit": limit}]


def test_an_event_of_a_run_is_heard_at_once(instance, runs):
    run = runs.get(runs.create("pid"))
    with RunEvents(instance.event_log_storage) as events:
        assert not events.wait(0.3)
        # The listening connection may have been made only now.
        wait_until(lambda: instance.report_engine_event("something", run) and events.wait(0.2))
        started = time.monotonic()
        instance.report_engine_event("something", run)
        assert events.wait(60.0)
        assert time.monotonic() - started < 30


def test_a_failure_met_before_its_status_is_retried_once_the_status_is_there(instance, runs):
    run_id = runs.create("pid")
    met_early = instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))
    with WorkspaceProcessContext(instance, None) as context:
        (retry,) = SettledRunRetries().handle_updated_runs_fns
        working = retry(context, met_early, logging.getLogger("test"))
        assert next(working) is None  # it waits
        instance.report_run_failed(runs.get(run_id), "Its process is gone.")
        list(working)
    assert runs.get(run_id).tags[WILL_RETRY_TAG] == "true"
    # It came as far as a run can that no code location knows.
    assert any("unable to retry the run" in message for message in runs.messages(run_id))
