"""Commands over runs: `run`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import dagster as dg
import typer

from ocrlty_pipeline.cli.following import RunFailedError, follow
from ocrlty_pipeline.cli.output import print_json, print_run
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.jobs import BATCH_EXTRACT, BATCH_EXTRACT_SHARDED, IN_SHARDS
from ocrlty_pipeline.orchestration.launch import RunRequest, register_image_set, single_worker
from ocrlty_pipeline.orchestration.partitions import batch_partition_key
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.pool import WarmPool
from ocrlty_pipeline.orchestration.warm.processes import warm_up
from ocrlty_pipeline.services import Services, open_services
from ocrlty_pipeline.settings import load_settings


def run(  # noqa: PLR0913 -- one parameter an option
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the image set.")],
    task: Annotated[str, typer.Option(help="What to extract, for example receipt_fields_v1.")],
    *,
    backend: Annotated[str | None, typer.Option(help="mock, vllm or ocr; the default is INFERENCE_BACKEND.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Calls in flight.")] = None,
    run_id: Annotated[str | None, typer.Option(help="Id of the run; the same id again gives the same run.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not continue an unfinished run.")] = False,
    sharded: Annotated[
        bool, typer.Option("--sharded", help="In shards, spread over processes: for large image sets.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the run as one JSON document.")] = False,
) -> None:
    """Extract an image set with a task, and score the result where there is ground truth."""
    warm_up()
    config = {"backend": backend, "limit": limit, "concurrency": concurrency, "run_id": run_id, "resume": not fresh}
    with (
        running_stack(load_settings()) as settings,
        open_services(settings) as services,
        dagster_instance() as instance,
    ):
        _check(services, name, task)
        register_image_set(instance, name)
        with single_worker(instance, settings) as pool:
            launcher = _Launcher(instance, pool, services, name, task)
            failure = launcher.extract(
                {key: value for key, value in config.items() if value is not None}, sharded=sharded
            )
        document = launcher.document()
        location = services.store.location
    if document is not None:
        print_json(document) if json else print_run(document, location)
    if failure is not None:
        raise failure


def _check(services: Services, name: str, task: str) -> None:
    """Refuse what the run would refuse, before it is launched."""
    _ = services.tasks[task]
    asyncio.run(services.image_sets.load(name))


class _Launcher:
    """The Dagster run of one `ocrlty run`."""

    def __init__(self, instance: dg.DagsterInstance, pool: WarmPool, services: Services, name: str, task: str) -> None:
        self._instance = instance
        self._pool = pool
        self._services = services
        self._name = name
        self._task = task
        self._run_id: str | None = None

    def extract(self, config: dict[str, Any], *, sharded: bool) -> RunFailedError | None:
        """Extract, and score where there is ground truth; answers why it came no further."""
        job, op = (BATCH_EXTRACT_SHARDED, IN_SHARDS) if sharded else (BATCH_EXTRACT, "extractions")
        request = RunRequest(job, batch_partition_key(self._name, self._task), {op: config})
        failure = None
        try:
            run = follow(self._instance, self._pool, request, title=f"Extracting {self._name}")
        except RunFailedError as error:
            run, failure = error.run, error
        self._run_id = run.tags.get(run_tags.RUN_ID)
        return failure

    def document(self) -> dict[str, Any] | None:
        """The batch run as far as it came; None when it did not begin."""
        row = self._services.index.find("batch", self._run_id) if self._run_id else None
        return None if row is None else asyncio.run(self._services.runs.document(row))
