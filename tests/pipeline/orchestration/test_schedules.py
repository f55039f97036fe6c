"""Image sets that are run again by the clock, evaluated as Dagster's daemon evaluates them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.cron import check_cron
from ocrlty_pipeline.orchestration.partitions import IMAGE_SET
from ocrlty_pipeline.orchestration.schedules import due_at, scheduled_image_sets
from ocrlty_pipeline.rerun_schedules import RerunSchedule, RerunSchedules
from tests.support.in_process import own_services

MONDAY = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
WEEKLY = RerunSchedule(
    "w", "march", "receipt_fields_v1", "0 3 * * 1", "UTC", active=True, since=MONDAY - timedelta(days=3)
)


@pytest.fixture
def services(settings):
    with own_services() as services:
        yield services


@pytest.fixture
def tick(instance, services):
    instance.add_dynamic_partitions(IMAGE_SET, ["march"])

    def tick(at):
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
        found = scheduled_image_sets(context)
        return found.skip_message if isinstance(found, dg.SkipReason) else found

    return tick


@pytest.mark.parametrize(
    ("entry", "now", "due"),
    [
        (WEEKLY, MONDAY - timedelta(minutes=1), None),
        (WEEKLY, MONDAY, MONDAY),
        (WEEKLY, MONDAY + timedelta(hours=5), MONDAY),
        (WEEKLY, MONDAY + timedelta(hours=25), None),
        (replace(WEEKLY, since=MONDAY + timedelta(seconds=1)), MONDAY + timedelta(hours=5), None),
        (replace(WEEKLY, timezone="Asia/Jakarta"), MONDAY - timedelta(hours=7), MONDAY - timedelta(hours=7)),
    ],
)
def test_a_run_is_due_from_its_time_on_for_a_day(entry, now, due):
    assert due_at(entry, now) == due


def test_a_due_run_is_asked_for_until_it_is_there(services, instance, tick):
    services.rerun_schedules.add(
        "nightly", image_set="march", task_id="receipt_fields_v1", cron="0 3 * * *", timezone="UTC"
    )
    at = datetime.now(UTC).replace(hour=3, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert tick(at - timedelta(minutes=1)) == f"Nothing is due; next is nightly at {at:%Y-%m-%d} 03:00 UTC."
    [request] = tick(at)
    assert (request.partition_key, request.tags[run_tags.SCHEDULE]) == ("march|receipt_fields_v1", "nightly")
    [again] = tick(at + timedelta(minutes=1))
    assert again.run_key == request.run_key
    instance.create_run_for_job(dg.GraphDefinition("g", node_defs=[]).to_job(), tags=request.tags)
    assert "next is nightly" in tick(at + timedelta(minutes=2))


def test_an_entry_whose_image_set_or_task_is_gone_holds_up_no_other(services, tick):
    for name, image_set, task_id in (
        ("no-set", "gone", "receipt_fields_v1"),
        ("no-task", "march", "gone_v1"),
        ("good", "march", "receipt_fields_v1"),
    ):
        services.rerun_schedules.add(name, image_set=image_set, task_id=task_id, cron="* * * * *", timezone="UTC")
    soon = datetime.now(UTC) + timedelta(minutes=2)
    assert [request.tags[run_tags.SCHEDULE] for request in tick(soon)] == ["good"]
    services.rerun_schedules.remove("good")
    reason = tick(soon)
    assert "no-set is due, but there is no image set 'gone' any more" in reason
    assert (
        "no-task is due, but there is no task 'gone_v1' any more: `ocrlty schedule remove no-task` ends it." in reason
    )


def test_a_paused_schedule_starts_nothing_and_makes_up_for_nothing(services, tick):
    schedules = services.rerun_schedules
    schedules.add("nightly", image_set="march", task_id="receipt_fields_v1", cron="* * * * *", timezone="UTC")
    schedules.set_active("nightly", False)
    soon = datetime.now(UTC) + timedelta(minutes=2)
    assert tick(soon) == "No image set is scheduled; `ocrlty schedule add` does that."
    schedules.set_active("nightly", True)
    assert len(tick(soon)) == 1
    schedules.remove("nightly")
    assert schedules.all() == []


def test_what_cannot_be_scheduled_is_refused_in_words(engine):
    schedules = RerunSchedules(engine)
    entry = {"image_set": "s", "task_id": "t", "cron": "0 3 * * *", "timezone": "UTC"}
    schedules.add("a", **entry)
    with pytest.raises(InputError, match="'a' exists"):
        schedules.add("a", **entry)
    with pytest.raises(InputError, match="no schedule named 'b'"):
        schedules.remove("b")
    with pytest.raises(InputError, match="cron '61 \\* \\* \\* \\*' is no schedule"):
        check_cron("61 * * * *", "UTC")
    with pytest.raises(InputError, match="'Mars/Base' is unknown"):
        check_cron("0 3 * * *", "Mars/Base")
