"""`ocrlty prune`, as a person uses it, with Dagster's own history."""

from contextlib import ExitStack

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id
from sqlalchemy import text

from ocrlty_pipeline.cli.app import run
from ocrlty_pipeline.orchestration import pruning, run_tags
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import load_settings
from tests.support.environment import set_only
from tests.support.stored_runs import ANSWER, store_run


@dg.asset
def printed() -> None:
    print("to be captured")  # noqa: T201


@pytest.fixture
def services(tmp_path, database_url, monkeypatch):
    set_only(monkeypatch, OCRLTY_HOME=str(tmp_path / "home"), DATABASE_URL=database_url)
    monkeypatch.chdir(tmp_path)
    with running_stack(load_settings()) as settings, open_services(settings) as opened:
        yield opened


@pytest.fixture
def instance(services):
    with dagster_instance() as opened:
        yield opened


@pytest.fixture
def exits():
    with ExitStack() as stack:
        yield stack


def materialized(instance):
    return dg.materialize([printed], instance=instance).run_id


def age(services):
    """Make all that is there a hundred days old."""
    with services.engine.begin() as connection:
        for table, column in (("runs", "update_timestamp"), ("ocrlty.artifacts", "created_at")):
            connection.execute(text(f"UPDATE {table} SET {column} = {column} - interval '100 days'"))  # noqa: S608


def folders(tmp_path):
    return {path.name for path in (tmp_path / "home" / "dagster" / "storage").iterdir() if len(path.name) == 36}


def test_nothing_goes_without_yes_and_then_with_it_all_that_was_told(services, instance, tmp_path, capsys):
    made_kept, old, shown = (materialized(instance) for _ in range(3))
    store_run(services, "b1", {"a.jpg": ANSWER})
    store_run(services, "b2", {"a.jpg": ANSWER}, dagster_run_id=made_kept)
    failed = instance.add_run(dg.DagsterRun("failed", run_id=make_new_run_id())).run_id
    instance.report_run_failed(instance.get_run_by_id(failed))
    age(services)
    young = materialized(instance)
    assert folders(tmp_path) == {made_kept, old, shown, young}

    assert run(["prune", "--older-than", "90d"]) == 0
    told = capsys.readouterr()
    lines = dict(line.strip().rsplit(maxsplit=2)[0:2] for line in told.out.splitlines() if "Dagster" in line)
    assert lines == {"Dagster runs": "3"}
    assert "--yes" in told.err
    assert services.index.find("batch", "b1") is not None
    assert instance.get_runs_count() == 5

    assert run(["prune", "--older-than", "90d", "--yes"]) == 0
    assert "Removed: 1 batch runs" in capsys.readouterr().err
    assert services.index.find("batch", "b1") is None
    assert services.index.find("batch", "b2") is not None
    assert {one.run_id for one in instance.get_runs()} == {made_kept, young}
    assert folders(tmp_path) == {made_kept, young}
    assert instance.get_latest_materialization_event(printed.key).run_id == young
    with services.engine.connect() as connection:
        left = connection.scalars(text("SELECT DISTINCT run_id FROM event_logs"))
        assert set(left) == {made_kept, young}


def test_the_run_that_made_what_dagster_shows_stays_and_so_do_active_ones_and_their_sources(services, instance):
    old, shown = materialized(instance), materialized(instance)
    store_run(services, "source", {"a.jpg": ANSWER})
    store_run(services, "queued", {"a.jpg": ANSWER})
    store_run(services, "latest", {"a.jpg": ANSWER})
    config = {"ops": {"extractions": {"config": {"source_run_id": "source"}}}}
    run_id = make_new_run_id()
    instance.add_run(dg.DagsterRun("batch_rerun", run_id=run_id, run_config=config, tags={run_tags.RUN_ID: "queued"}))
    age(services)
    assert run(["prune", "--older-than", "12w", "--yes"]) == 0
    assert {one.run_id for one in instance.get_runs()} == {shown, run_id}
    assert old not in {one.run_id for one in instance.get_runs()}
    assert [row.artifact_id for row in services.index.page("batch", limit=9)] == ["latest", "queued", "source"]


def test_dagsters_job_tells_and_its_schedule_removes(services, instance, monkeypatch, exits):
    monkeypatch.setenv("PRUNE_OLDER_THAN_DAYS", "30")
    fresh = exits.enter_context(open_services(load_settings()))
    monkeypatch.setattr(pruning, "process_services", lambda: fresh)
    for run_id in ("b1", "b2"):
        store_run(services, run_id, {"a.jpg": ANSWER})
    age(services)
    told = pruning.prune_job.execute_in_process(instance=instance)
    [event] = [one for one in told.all_events if one.is_successful_output]
    assert event.step_output_data.metadata["batch runs"].value == 1
    assert services.index.find("batch", "b1") is not None
    context = dg.build_schedule_context(instance=instance)
    request = pruning.nightly_prune(context)
    assert request.run_config["ops"]["remove_old"]["config"]["older_than_days"] == 30
    assert pruning.prune_job.execute_in_process(instance=instance, run_config=request.run_config).success
    assert services.index.find("batch", "b1") is None
    assert services.index.find("batch", "b2") is not None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["--older-than", "90"], "90d"), (["--older-than", "0d"], "0d"), (["--older-than", "9d", "--keep", "no"], "'no'")],
)
def test_an_age_that_is_none_or_a_run_that_is_not_there_is_refused(services, capsys, arguments, named):
    assert run(["prune", *arguments]) == 1
    assert named in capsys.readouterr().err
