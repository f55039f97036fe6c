"""What active Dagster runs work on, which pruning must leave alone."""

from __future__ import annotations

import dagster as dg
import pytest

from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.retention import in_use

PARTITION = {"dagster/partition": "receipts|receipt_header_v1"}


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def add(instance, status=dg.DagsterRunStatus.STARTING, *, config=None, tags=PARTITION):
    run = dg.DagsterRun(job_name="job", run_config={"ops": config or {}}, status=status, tags=tags)
    instance.add_run(run)


@pytest.mark.parametrize("op", ["extractions", "extraction_in_shards"])
def test_a_run_that_begins_uses_its_set_and_the_runs_that_its_config_names(instance, op):
    add(instance, config={op: {"config": {"source_run_id": "monday", "run_id": "tuesday"}}, "evaluation": {}})
    used = in_use(instance)
    assert used.runs == {"monday", "tuesday"}
    assert used.image_sets == {"receipts"}


def test_the_run_that_is_being_scored_is_used(instance):
    add(instance, config={"evaluation": {"config": {"run_id": "monday"}}})
    assert in_use(instance).runs == {"monday"}


def test_a_running_run_uses_what_its_tags_name(instance):
    add(instance, dg.DagsterRunStatus.STARTED, tags={run_tags.RUN_ID: "monday", run_tags.IMAGE_SET: "receipts"})
    used = in_use(instance)
    assert (used.runs, used.image_sets) == ({"monday"}, {"receipts"})


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])
def test_a_run_that_ended_uses_nothing(instance, status):
    add(instance, status, config={"extractions": {"config": {"source_run_id": "monday"}}})
    used = in_use(instance)
    assert not used.runs
    assert not used.image_sets
