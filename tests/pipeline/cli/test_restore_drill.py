"""The drill: all is backed up, all is lost, all is restored elsewhere, and work goes on where it was."""

import asyncio
import os
from dataclasses import replace

import pytest
from sqlalchemy import text

from ocrlty_api.auth.keys import KeyHasher, KeyTable
from ocrlty_api.auth.roles import Role
from ocrlty_pipeline.batches.execution import BatchRequest, finish_batch, open_batch
from ocrlty_pipeline.cli.app import run
from ocrlty_pipeline.comparing import changed_texts, compare_runs
from ocrlty_pipeline.image_sets import FolderSource
from ocrlty_pipeline.orchestration.partitions import IMAGE_SET
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.report.stored import report_of_run
from ocrlty_pipeline.scoring import save_evaluation, score_batch
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import load_settings
from tests.support.receipts import tiny_images

TASK = "receipt_header_v1"


@pytest.fixture(params=["local", "s3"])
def places(request, tmp_path, monkeypatch):
    """Calling it makes the next place to keep everything the one that the environment names: database and storage."""
    for name in list(os.environ):
        if name.startswith(("DAGSTER_", "OCRLTY_", "VLLM_", "S3_")):
            monkeypatch.delenv(name)
    databases = iter(("database_url", "second_database_url"))
    monkeypatch.chdir(tmp_path)

    def move(name):
        values = {"OCRLTY_HOME": tmp_path / name, "DATA_ROOT": tmp_path, "INFERENCE_BACKEND": "mock"}
        if request.param == "s3":
            server = request.getfixturevalue("s3_server")
            server.create_bucket(bucket := f"drill-{name}-{tmp_path.name[-20:].replace('_', '-').lower()}")
            values |= {**server.environment, "S3_BUCKET": bucket}
        values["DATABASE_URL"] = request.getfixturevalue(next(databases))
        for variable, value in values.items():
            monkeypatch.setenv(variable, str(value))

    return move


def extracted(services, run_id, **options):
    """Run the set, or a rerun of a run; answers the header."""
    request = BatchRequest("set", TASK, dagster_run_id=f"dagster-{run_id}", run_id=run_id)
    with open_batch(services, replace(request, **options)) as batch:
        outcome = batch.run(lambda _progress: None)
        finish_batch(services, outcome)
    return outcome.header


def made(services, tmp_path):
    """A project: a set with its ground truth, two runs and their evaluations, a baseline, a schedule, a key."""
    folder = tiny_images(tmp_path / "images", 3)
    source = FolderSource(folder, tmp_path, services.folder_limits)
    manifest = asyncio.run(services.image_sets.import_folder("set", source))
    truth = [{"file": item.file, "company": "ACME", "total": "1.00"} for item in manifest.items]
    asyncio.run(services.image_sets.attach_records("set", truth, source="gt", image_key="file"))
    for run_id in ("first", "second"):
        extracted(services, run_id, resume=False)
        save_evaluation(services, score_batch(services, services.runs.find(run_id)))
    services.baselines.set("set", TASK, "first", max_drop=0.01, blocking=True)
    services.rerun_schedules.add("nightly", image_set="set", task_id=TASK, cron="0 3 * * *", timezone="UTC")
    KeyTable(services.engine).create("alice", Role.CLIENT, None, KeyHasher("never used for anything"))


def facts(services):
    """All that a person would miss."""
    keys = KeyTable(services.engine)
    with services.engine.connect() as connection:
        journal = connection.execute(text("SELECT * FROM ocrlty.batch_runs ORDER BY run_id")).all()
    comparison = compare_runs(services, "first", "second")
    return {
        "runs": [replace(row, storage="", full_ref="") for row in services.index.page("batch", limit=9)],
        "documents": [asyncio.run(services.runs.document(services.runs.find(name))) for name in ("first", "second")],
        "items": asyncio.run(services.runs.items(services.runs.find("second"), limit=9)),
        "comparison": comparison,
        "texts": changed_texts(services, comparison),
        "ground truth": asyncio.run(services.image_sets.load_ground_truth("set")),
        "baselines": services.baselines.all(),
        "schedules": services.rerun_schedules.all(),
        "keys": (keys.all(), keys.active()),
        "journal": journal,
        "image set": asyncio.run(services.image_sets.load("set")),
    }


def test_what_was_lost_is_back_and_is_worked_on(places, tmp_path, capsys):
    places("first")
    with open_services(load_settings()) as services:
        made(services, tmp_path)
        before = facts(services)
    archive = str(tmp_path / "backup.tar.gz")
    assert run(["backup", archive, "--inputs"]) == 0

    places("second")
    assert run(["restore", archive]) == 0
    told = capsys.readouterr().err
    assert "and 5 rows restored" in told
    with running_stack(load_settings()), dagster_instance() as instance:
        assert instance.get_dynamic_partitions(IMAGE_SET) == ["set"]
    with open_services(load_settings()) as services:
        assert facts(services) == before
        rerun = extracted(services, "rerun", source_run_id="first")
        assert (rerun.ok_count, rerun.reused_count) == (3, 3)
        # The same id again is the same run, and a rerun without reuse finds its images.
        assert extracted(services, "second").created_at == before["documents"][1]["created_at"]
        assert extracted(services, "anew", source_run_id="first", reuse_results=False).ok_count == 3
        assert "reports/" in report_of_run(services, "first")
        assert asyncio.run(services.store.exists(report_of_run(services, "second")))
    assert run(["restore", archive]) == 0
    assert "and 0 rows restored, 0 index rows added" in capsys.readouterr().err
