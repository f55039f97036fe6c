"""An operator's day against the whole stack, on disk and on S3.

Over GraphQL goes what is done in Dagster's UI, the rest over `ocrlty`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from ocrlty_pipeline.orchestration import run_tags
from tests.support.dagster_ui import BACKFILL_ENDED, ENDED, DagsterUi, partition_tags
from tests.support.openai_server import openai_server
from tests.support.receipts import tiny_images
from tests.support.service import ROOT, Service, running_service
from tests.support.waiting import wait_until

TASK, OTHER_TASK = "receipt_fields_v1", "receipt_header_v1"
COUNT = 6
POOL, AT_ONCE = "vllm", 2


@pytest.fixture(scope="module")
def model():
    with openai_server(latency_ms=100) as server:
        yield server


@dataclass(frozen=True)
class Storage:
    """Where the service keeps its artifacts, by the variables that say so; and how all of them get lost.

    Attributes:
        sets: image sets of the backfill, of two tasks each; of the second storage fewer, for the clock's sake.
    """

    variables: dict[str, str]
    lose_all: Callable[[Service], None]
    sets: int


@pytest.fixture(scope="module", params=["disk", "s3"])
def storage(request):
    if request.param == "disk":
        return Storage({}, lambda service: shutil.rmtree(service.home / "artifacts"), sets=20)
    server = request.getfixturevalue("s3_server")
    server.create_bucket("day")
    return Storage({**server.environment, "S3_BUCKET": "day"}, lambda _service: server.empty("day"), sets=10)


@pytest.fixture(scope="module")
def service(postgres_url, tmp_path_factory, model, storage):
    variables = {**model.environment, **storage.variables, "WARM_WORKERS": "4"}
    with running_service(postgres_url, tmp_path_factory.mktemp("day"), **variables) as service:
        yield service


@pytest.fixture(scope="module")
def ui(service):
    ui = DagsterUi(service.webserver_url)
    yield ui
    ui.close()


@pytest.fixture(scope="module")
def command(service):
    """Run a command in the service's environment; answers what it printed."""

    def command(*words, module="ocrlty_pipeline.cli"):
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            env=service.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return command


@pytest.fixture(scope="module")
def image_set(service, command):
    """Image set `march`, imported with ground truth for every image."""
    folder = tiny_images(service.data / "march", COUNT)
    truth = service.data / "march.json"
    truth.write_text(json.dumps({file.name: {"total": "12.00"} for file in folder.iterdir()}))
    command("import", str(folder), "--name", "march", "--gt", str(truth))
    return "march"


@pytest.fixture(scope="module")
def first(ui, image_set, model):
    """The first batch run, launched in the UI with nothing typed; answers its id."""
    before = model.calls().calls
    tags = ui.await_end(ui.launch("batch_extract", partition_tags(image_set, TASK)))
    assert model.calls().calls - before == COUNT
    return tags[run_tags.RUN_ID]


def rerun(ui, image_set, source, overrides=None):
    """Launch `batch_rerun` in the UI; answers the new run's id."""
    config = {"source_run_id": source} | ({"overrides": json.dumps(overrides)} if overrides else {})
    ops = {"extractions": config} | ({"evaluation": {"overrides": json.dumps(overrides)}} if overrides else {})
    return ui.await_end(ui.launch("batch_rerun", partition_tags(image_set, TASK), ops))[run_tags.RUN_ID]


def test_a_run_is_watched_and_evaluated_where_its_asset_is(ui, image_set, first):
    partition = f"{image_set}|{TASK}"
    extracted, scored = ui.metadata("extractions", partition), ui.metadata("evaluation", partition)
    assert (extracted["run_id"], extracted["images"], extracted["ok"]) == (first, COUNT, COUNT)
    assert (scored["run_id"], scored["images_scored"]) == (first, COUNT)
    found = ui.runs(tags=[{"key": run_tags.RUN_ID, "value": first}])
    assert [run["status"] for run in found] == ["SUCCESS"]


def test_a_rerun_pays_only_for_what_changed_and_is_compared(ui, image_set, first, model, command):
    before = model.calls().calls
    same = rerun(ui, image_set, first)
    assert model.calls().calls == before
    other = rerun(ui, image_set, first, {"prompt": "Read this receipt; answer with JSON."})
    assert model.calls().calls == before + COUNT
    compared = json.loads(command("compare", same, other, "--json"))
    assert {compared["a"]["run_id"], compared["b"]["run_id"]} == {same, other}
    command("baseline", "set", image_set, TASK, other)
    assert other in command("baseline", "show", image_set, TASK)


def test_what_is_old_is_pruned_and_what_is_lost_comes_back_from_the_backup(
    service, storage, ui, image_set, first, command, tmp_path
):
    client = service.client("root")
    kept = rerun(ui, image_set, first, {"prompt": "Read it once more; answer with JSON."})
    old = ui.await_end(ui.launch("batch_extract", partition_tags(image_set, OTHER_TASK)))[run_tags.RUN_ID]
    ui.await_end(ui.launch("batch_extract", partition_tags(image_set, OTHER_TASK)))
    age(service, "artifacts", 200)

    assert "batch runs" in command("prune", "--older-than", "90d")
    assert client.get(f"/v1/runs/{old}").status_code == 200
    command("prune", "--older-than", "90d", "--yes")
    assert client.get(f"/v1/runs/{old}").status_code == 404
    # The latest stays, and the run that it repeats.
    before = {run_id: client.get(f"/v1/runs/{run_id}").json() for run_id in (first, kept)}

    archive = tmp_path / "backup.tar.gz"
    command("backup", str(archive), "--inputs")
    storage.lose_all(service)
    assert client.get(f"/v1/runs/{kept}").status_code == 404
    command("restore", str(archive))
    assert {run_id: client.get(f"/v1/runs/{run_id}").json() for run_id in before} == before


def age(service, table, days):
    """Make a table's rows older."""
    url = make_url(service.database_url)
    with psycopg.connect(user=url.username, dbname=url.database, autocommit=True, **url.query) as connection:
        statement = "UPDATE ocrlty.{} SET created_at = created_at - make_interval(days => {})"
        connection.execute(sql.SQL(statement).format(sql.Identifier(table), sql.Literal(days)))


def test_a_set_is_scheduled_where_the_ui_shows_it(ui, image_set, first, command):
    command("schedule", "add", image_set, "--task", TASK, "--cron", "0 3 * * 1")
    assert f"{image_set}-{TASK}" in command("schedule", "list")
    query = """
    query ($selector: ScheduleSelector!) { scheduleOrError(scheduleSelector: $selector) {
      ... on Schedule { name scheduleState { status } } } }
    """
    selector = {"repositoryLocationName": "ocrlty_pipeline", "repositoryName": "__repository__"}
    schedule = ui.query(query, selector=selector | {"scheduleName": "scheduled_image_sets"})
    assert schedule["scheduleState"]["status"] == "RUNNING"
    assert first


@pytest.fixture(scope="module")
def many_sets(service, storage):
    """Image sets `set-00` and so on, registered; their names."""
    names = [f"set-{number:02}" for number in range(storage.sets)]
    folder = tiny_images(service.data / "small", 2)
    script = """
import asyncio, sys
from pathlib import Path
from ocrlty_pipeline.image_sets import FolderSource
from ocrlty_pipeline.orchestration.launch import register_image_set
from ocrlty_pipeline.orchestration.stack import dagster_instance
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import load_settings

folder, *names = sys.argv[1:]
with open_services(load_settings()) as services, dagster_instance() as instance:
    for name in names:
        source = FolderSource(Path(folder), services.settings.data_root_path, services.folder_limits)
        asyncio.run(services.image_sets.import_folder(name, source))
        register_image_set(instance, name)
"""
    subprocess.run([sys.executable, "-c", script, str(folder), *names], cwd=ROOT, env=service.environment, check=True)
    return names


def test_a_backfill_keeps_to_its_pool_and_goes_on_after_a_cancellation(ui, many_sets, model, command):
    command("instance", "concurrency", "set", POOL, str(AT_ONCE), module="dagster")
    model.reset()
    partitions = [f"{name}|{task}" for name in many_sets for task in (TASK, OTHER_TASK)]
    first = watched_backfill(ui, partitions, until=lambda done: len(done) >= 3)
    ui.cancel_backfill(first.id)
    wait_until(lambda: ui.backfill_status(first.id) in BACKFILL_ENDED, timeout_s=120)
    wait_until(lambda: all(run["status"] in ENDED for run in ui.backfill_runs(first.id)))
    done = first.done()
    assert AT_ONCE <= len(done) < len(partitions)
    missing = [partition for partition in partitions if partition not in done]
    second = watched_backfill(ui, missing, until=lambda done: len(done) == len(missing))
    assert wait_until(lambda: ui.backfill_status(second.id) in BACKFILL_ENDED, timeout_s=120)
    assert all(1 <= backfill.most <= AT_ONCE for backfill in (first, second))
    # Two images a set; a run that was cancelled let its calls come home, and kept what they gave. One that had all of
    # them by then was done: the second backfill made another of it.
    assert 2 * len(partitions) <= model.calls().calls <= 2 * (len(partitions) + AT_ONCE)


@dataclass
class WatchedBackfill:
    """A backfill, and the most of its runs that were seen at work at once."""

    ui: DagsterUi
    id: str
    most: int = 0

    def done(self):
        """Partitions whose run succeeded."""
        runs = self.ui.backfill_runs(self.id)
        self.most = max(self.most, sum(run["status"] in {"STARTING", "STARTED"} for run in runs))
        ended = [run for run in runs if run["status"] == "SUCCESS"]
        return {tag["value"] for run in ended for tag in run["tags"] if tag["key"] == "dagster/partition"}


def watched_backfill(ui, partitions, until):
    backfill = WatchedBackfill(ui, ui.backfill("batch_extract", partitions))
    wait_until(lambda: until(backfill.done()), timeout_s=300)
    return backfill
