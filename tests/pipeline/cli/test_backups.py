"""`ocrlty backup` and `ocrlty restore`, as a person uses them."""

from __future__ import annotations

import asyncio
import shutil

import orjson
import pytest

from ocrlty_pipeline.cli.app import run
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import Settings
from tests.support.stored_runs import store_run


@pytest.fixture
def services(tmp_path, database_url, monkeypatch):
    """Services over the folder and the database that the commands of this test use."""
    home = tmp_path / "home"
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    for name, value in {"DATABASE_URL": database_url, "OCRLTY_HOME": home}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(tmp_path)
    with open_services(Settings(_env_file=None, ocrlty_home=home, database_url=database_url)) as opened:
        yield opened


def test_a_backup_survives_the_loss_of_artifacts_and_index(services, tmp_path, capsys):
    store_run(services, "b1", {"a.jpg": {"total": "1"}})
    row = services.runs.find("b1")
    archive = tmp_path / "backup.tar.gz"
    assert run(["backup", str(archive)]) == 0
    assert [path.name for path in tmp_path.glob("backup*")] == ["backup.tar.gz"]
    shutil.rmtree(tmp_path / "home" / "artifacts")
    (tmp_path / "home" / "artifacts").mkdir()
    with services.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE ocrlty.artifacts, ocrlty.run_items")

    assert run(["restore", str(archive)]) == 0

    assert "2 artifacts and 0 rows restored, 2 index rows added" in capsys.readouterr().err
    assert services.runs.find("b1") == row
    [item] = asyncio.run(services.runs.items(row, limit=9)).items
    assert item.parsed == {"total": "1"}


def test_a_restoration_that_meets_other_content_says_so(services, tmp_path, capsys):
    store_run(services, "b1", {"a.jpg": {"total": "1"}})
    rel = services.runs.find("b1").rel_ref
    archive = tmp_path / "backup.tar.gz"
    run(["backup", str(archive)])
    other = orjson.dumps({"run_id": "b1", "created_at": "2026-11-24T00:00:00Z"})
    (tmp_path / "home" / "artifacts" / rel).write_bytes(other)
    assert run(["restore", str(archive)]) == 1
    assert rel in capsys.readouterr().err
    assert asyncio.run(services.store.get(rel)) == other


def test_files_that_cannot_be_used_are_refused(services, tmp_path, capsys):
    (tmp_path / "text.tar.gz").write_text("no archive")
    for command in (["backup", "no/such/folder/b.tar.gz"], ["restore", "missing.tar.gz"], ["restore", "text.tar.gz"]):
        assert run(command) == 1
        [sentence] = capsys.readouterr().err.splitlines()
        assert sentence.startswith("Error: ")
        assert command[1].rpartition("/")[2] in sentence or "archive" in sentence
