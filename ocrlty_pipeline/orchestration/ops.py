"""The op `extract_images`: single images, one or several in one run, each with its own artifact and materialization.

A request whose image was handed over to this process is in the works already, and only recorded here; any other is
extracted here. A request that fails never fails its neighbours: the run fails when nothing came out of it.
"""

import asyncio
import hashlib
import uuid
from collections.abc import Iterator
from concurrent.futures import Future

import dagster as dg
import orjson
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata
from pydantic import Field

from ocrlty_pipeline.errors import OcrltyError
from ocrlty_pipeline.extracts import ExtractRequest, Extracts, StoredExtract
from ocrlty_pipeline.orchestration import descriptions
from ocrlty_pipeline.orchestration.launch_defaults import trial_image
from ocrlty_pipeline.orchestration.metadata import token_metadata
from ocrlty_pipeline.orchestration.resources import process_services
from ocrlty_pipeline.orchestration.work_tags import extract_tags
from ocrlty_pipeline.overrides import Overrides
from ocrlty_pipeline.records import Auth, RecordedError

EXTRACTS = dg.AssetKey("extracts")
GROUP = "extraction"
TRIAL_TASK = "receipt_fields_v1"

extracts_spec = dg.AssetSpec(
    EXTRACTS,
    group_name=GROUP,
    kinds={"python", "json"},
    description=descriptions.EXTRACTS,
)

Outcome = StoredExtract | OcrltyError
# Request id -> its outcome to come, of requests whose images were handed over to this process.
handed_over: dict[str, Future[Outcome]] = {}


class RequestConfig(dg.Config):
    """One image."""

    task_id: str = Field(description="What to extract, for example receipt_fields_v1.")
    image_ref: str | None = Field(default=None, description="Key of the image in the artifact store, inputs/...")
    request_id: str | None = Field(default=None, description="Id of the record; null derives one from the run.")
    backend: str | None = Field(default=None, description="mock, vllm or ocr; null takes INFERENCE_BACKEND.")
    overrides: str = Field(
        default="{}", description="JSON object with some of prompt, schema, temperature, max_tokens and model."
    )
    key_id: str = Field(default=Auth().key_id, description="Whose extract it is, as its artifact says.")
    role: str = Field(default=Auth().role, description="Role of that key.")
    scopes: list[str] = Field(default=[], description="Scopes of that key.")
    described: str = Field(default="{}", description="JSON object of further facts for the record's `input`.")
    request: str | None = Field(default=None, description="What the API was asked, as it shows it again.")


class ExtractConfig(dg.Config):
    """The images of one run."""

    requests: list[RequestConfig] = Field(
        default=[], description="One entry for each image; none tries the backend on a small receipt that is drawn."
    )


@dg.op(out=dg.Out(dg.Nothing), description="Extract single images.")
def extract_images(context: dg.OpExecutionContext, config: ExtractConfig) -> None:
    wanted = config.requests or [_trial(context)]
    requests = [_request(context, number, request) for number, request in enumerate(wanted)]
    failures = []
    for done in _outcomes(context, requests):
        _materialize(context, [outcome for _, outcome in done if isinstance(outcome, StoredExtract)])
        for request, outcome in done:
            failure = RecordedError.of(outcome) if isinstance(outcome, OcrltyError) else outcome.record.error
            if failure is not None:
                failures.append(failure)
                context.log.error("Request %s: %s", request.request_id, failure.message)
    if failures and len(failures) == len(requests):
        metadata: dict[str, int | str] = {"failed_requests": len(failures), "code": failures[0].code}
        raise dg.Failure(failures[0].message, metadata=metadata, allow_retries=False)


def derived_request_id(dagster_run_id: str, number: int) -> str:
    """Request id of an image that nobody named: a run executed again finds what it has done."""
    return hashlib.sha256(f"{dagster_run_id}\n{number}".encode()).hexdigest()[:32]


def _trial(context: dg.OpExecutionContext) -> RequestConfig:
    context.log.info("No requests given: a small receipt is drawn, and extracted with task %s.", TRIAL_TASK)
    return RequestConfig(task_id=TRIAL_TASK, image_ref=trial_image(process_services()))


def _request(context: dg.OpExecutionContext, number: int, config: RequestConfig) -> ExtractRequest:
    root = context.run.root_run_id or context.run_id
    return ExtractRequest(
        request_id=config.request_id or derived_request_id(root, number),
        task_id=config.task_id,
        image_ref=config.image_ref,
        backend=config.backend,
        auth=Auth(key_id=config.key_id, role=config.role, scopes=config.scopes),
        described=orjson.loads(config.described),
        overrides=Overrides.from_json(config.overrides),
    )


def _outcomes(
    context: dg.OpExecutionContext, requests: list[ExtractRequest]
) -> Iterator[list[tuple[ExtractRequest, Outcome]]]:
    """In the order of the requests, as many together as are done.

    Those handed over are awaited, the others extracted, all at the same time.
    """
    pending = {request.request_id: handed_over.pop(request.request_id, None) for request in requests}
    here = [request for request in requests if pending[request.request_id] is None]
    extracted = _extract_here(context, here) if here else {}
    done: list[tuple[ExtractRequest, Outcome]] = []
    for request in requests:
        future = pending[request.request_id]
        if done and future is not None and not future.done():
            yield done
            done = []
        done.append((request, extracted[request.request_id] if future is None else future.result()))
    yield done


def _extract_here(context: dg.OpExecutionContext, requests: list[ExtractRequest]) -> dict[str, Outcome]:
    # Whoever hands images over has tagged the run already.
    context.instance.add_run_tags(context.run_id, extract_tags(process_services(), requests))
    return asyncio.run(_extract_all(requests, context.run_id))


async def _extract_all(requests: list[ExtractRequest], dagster_run_id: str) -> dict[str, Outcome]:
    services = process_services()
    extracts = Extracts(services)
    slots = asyncio.Semaphore(services.settings.jobs_max_concurrency)

    async def one(request: ExtractRequest) -> Outcome:
        async with slots:
            try:
                return await extracts.extract(request, dagster_run_id)
            except OcrltyError as error:
                return error

    try:
        outcomes = await asyncio.gather(*map(one, requests))
    finally:
        await extracts.aclose()
    return {request.request_id: outcome for request, outcome in zip(requests, outcomes, strict=True)}


def _materialize(context: dg.OpExecutionContext, extracts: list[StoredExtract]) -> None:
    """Log a materialization each; in one write where the process has DAGSTER_EVENT_BATCH_SIZE set.

    One by one they were half of what a busy worker did.
    """
    step, batch_id = context.get_step_execution_context(), uuid.uuid4().hex
    for number, stored in enumerate(extracts, 1):
        batch = DagsterEventBatchMetadata(batch_id, is_end=number == len(extracts))
        DagsterEvent.asset_materialization(step, _materialization(stored), batch)


def _materialization(stored: StoredExtract) -> dg.AssetMaterialization:
    record = stored.record
    return dg.AssetMaterialization(
        EXTRACTS,
        description=f"{record.task_id} of request {record.request_id}",
        metadata={
            "request_id": record.request_id,
            "task_id": record.task_id,
            "artifact_rel": stored.rel,
            "backend": record.backend,
            "model_id": record.model_id,
            "ok": record.ok,
            "schema_valid": bool(record.schema_valid),
            "latency_ms": record.timings_ms.total,
            "reused": stored.reused,
            **token_metadata(record.usage or {}, process_services().settings),
            **({"error_code": record.error.code} if record.error else {}),
        },
    )
