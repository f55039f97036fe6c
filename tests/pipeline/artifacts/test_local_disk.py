"""What only a folder does: staging files, permissions, the path in the reference."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import StorageUnavailableError
from tests.support.storage import local_settings, not_root

REL = "extracts/2026-11-24/r1.json"
ROOT = Path(__file__).parents[3]
WRITER = """
import asyncio, sys
from pathlib import Path
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.settings import Settings

async def main():
    store = ArtifactStore.from_settings(Settings(_env_file=None, s3_bucket=None, artifacts_dir=Path(sys.argv[1])))
    for n in range(1_000_000):
        await store.put(f"extracts/2026-11-24/r{n}.json", b"x" * 200_000)
        print(n, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "my artifacts"


@pytest.fixture
def local(folder):
    return ArtifactStore.from_settings(local_settings(folder))


def test_an_artifact_is_the_file_its_reference_names(local, folder):
    asyncio.run(local.put(REL, b"{}"))
    assert local.kind == "local"
    assert local.location == str(folder)
    assert Path(local.full_ref(REL)).read_bytes() == b"{}"


def test_left_over_staging_files_and_strangers_are_not_artifacts(local, folder):
    async def scenario():
        await local.put(REL, b"{}")
        for stranger in ("r2.json#1", "my notes.txt", "r%.json"):
            (folder / "extracts/2026-11-24" / stranger).write_text("half")
        return [rel async for rel in local.iter_keys("")]

    assert asyncio.run(scenario()) == [REL]


def test_a_writer_killed_at_any_moment_leaves_only_whole_artifacts(local, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
        for _ in range(20):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)

    async def sizes():
        return {len(await local.get(rel)) async for rel in local.iter_keys("")}

    assert asyncio.run(sizes()) == {200_000}


def test_a_put_after_a_crash_in_mid_write_succeeds(local, folder):
    staged = folder / f"{REL}#1"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"ha")
    asyncio.run(local.put(REL, b"whole"))
    assert asyncio.run(local.get(REL)) == b"whole"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailableError, match=r"The artifacts folder .*file/artifacts cannot .* ARTIFACTS_DIR"):
        ArtifactStore.from_settings(local_settings(tmp_path / "file" / "artifacts"))


def test_a_folder_that_vanished_fails_the_check(local, folder):
    folder.rmdir()
    with pytest.raises(StorageUnavailableError, match="No such file or directory"):
        asyncio.run(local.check())


def test_a_folder_that_may_not_be_written_is_named(open_folder):
    local = ArtifactStore.from_settings(local_settings(open_folder))
    open_folder.chmod(0o555)
    with not_root():
        with pytest.raises(StorageUnavailableError, match="Permission denied"):
            asyncio.run(local.check())
        with pytest.raises(StorageUnavailableError, match=r"Permission denied.*ARTIFACTS_DIR"):
            asyncio.run(local.put(REL, b"{}"))
    open_folder.chmod(0o777)
