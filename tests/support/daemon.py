"""Dagster's daemon as a real process, and runs that go through its queue."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget

from ocrlty_pipeline.deployment import deployment_file
from ocrlty_pipeline.image_sets import FolderSource
from ocrlty_pipeline.orchestration.code_location import CODE_LOCATION, resolved_job
from ocrlty_pipeline.orchestration.launch import register_image_set
from ocrlty_pipeline.orchestration.partitions import batch_partition_key, batch_partitions
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import Settings
from tests.support.receipts import tiny_images

START_TIMEOUT_S = 60.0
QUEUE = "QUEUED_RUN_COORDINATOR"


@contextmanager
def running_daemon(instance, log, **variables):
    """The daemon of the instance that DAGSTER_HOME names, ready to take runs from the queue."""
    began = time.time()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ocrlty_pipeline.orchestration.daemon"],
            env={**os.environ, **variables},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        while not _beats(instance, since=began):
            assert process.poll() is None, log.read_text()
            assert time.time() < began + START_TIMEOUT_S, log.read_text()
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _beats(instance, since):
    heartbeat = instance.get_daemon_heartbeats().get(QUEUE)
    return heartbeat is not None and heartbeat.timestamp >= since


@dataclass
class Queue:
    """Submits runs of this project's jobs as the webserver does."""

    instance: Any
    workspace: Any

    def submit(self, job: str, ops: dict[str, Any], tags: dict[str, str] | None = None) -> str:
        """Submit a run of `job` with the config of its ops; answers its id."""
        location = self.workspace.get_code_location(CODE_LOCATION)
        remote = location.get_repository("__repository__").get_full_job(job)
        run = self.instance.create_run_for_job(
            resolved_job(job),
            run_config={"ops": {op: {"config": config} for op, config in ops.items()}},
            tags=tags or {},
            remote_job_origin=remote.get_remote_origin(),
            job_code_origin=remote.get_python_origin(),
        )
        return self.instance.submit_run(run.run_id, self.workspace).run_id


@contextmanager
def open_queue(instance):
    target = WorkspaceFileTarget([str(deployment_file("workspace.yaml"))])
    with WorkspaceProcessContext(instance, target) as process:
        yield Queue(instance, process.create_request_context())
        servers = process._grpc_server_registry
    servers.wait_for_processes()


def import_images(settings: Settings, instance: Any, count: int, task_id: str) -> dict[str, str]:
    """Register so many tiny images as the image set `s`; answers the tags of its partition with the task."""
    root = settings.data_root_path
    with open_services(settings) as services:
        source = FolderSource(tiny_images(root / "images", count), root, services.folder_limits)
        asyncio.run(services.image_sets.import_folder("s", source))
        partitions = batch_partitions(services.tasks.ids)
    register_image_set(instance, "s")
    return dict(partitions.get_tags_for_partition_key(batch_partition_key("s", task_id)))
