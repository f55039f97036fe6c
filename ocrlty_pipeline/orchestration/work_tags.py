"""Values of the run tags that say what a run works on, for whom, and with what: what the UI's list of runs filters by.

Belongs here: making them from what is known at each point. Does not: their names (`run_tags`).
"""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from ocrlty_pipeline.errors import OcrltyError
from ocrlty_pipeline.extraction import ExtractionContext
from ocrlty_pipeline.extracts import ExtractRequest
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.partitions import split_batch_key
from ocrlty_pipeline.records import BatchHeader
from ocrlty_pipeline.services import Services

PROMPT_CHARACTERS = 12


def image_set_tags(partition_key: str) -> dict[str, str]:
    """Of a run over an image set: known when it is launched."""
    return {run_tags.IMAGE_SET: partition_key}


def batch_tags(partition_key: str | dg.MultiPartitionKey) -> dict[str, str]:
    """Of a run over an image set and a task: known when it is launched."""
    image_set, task_id = split_batch_key(partition_key)
    return {run_tags.IMAGE_SET: image_set, run_tags.TASK_ID: task_id}


def question_tags(context: ExtractionContext) -> dict[str, str]:
    """With what a batch extracts: known once its task and its backend are."""
    backend = context.backend
    return _made_with(context.auth.key_id, backend.name, backend.model_id, context.task.prompt_sha256)


def header_tags(header: BatchHeader) -> dict[str, str]:
    """With what a finished batch was extracted."""
    return _made_with(header.auth.key_id, header.backend, header.model_id, header.prompt_sha256)


def _made_with(key_id: str, backend: str, model_id: str, prompt_sha256: str) -> dict[str, str]:
    return {
        run_tags.KEY_ID: key_id,
        run_tags.BACKEND: backend,
        run_tags.MODEL: model_id,
        run_tags.PROMPT: prompt_sha256[:PROMPT_CHARACTERS],
    }


def extract_tags(services: Services, requests: Iterable[ExtractRequest]) -> dict[str, str]:
    """Of a run of `extract`: what can be said of all its requests."""
    found: dict[str, set[str | None]] = {}
    for request in requests:
        for name, value in _request_tags(services, request).items():
            found.setdefault(name, set()).add(value)
    only = {name: next(iter(values)) for name, values in found.items() if len(values) == 1}
    return {name: value for name, value in only.items() if value is not None}


def _request_tags(services: Services, request: ExtractRequest) -> dict[str, str | None]:
    backend = request.backend or services.settings.inference_backend
    model = request.overrides.of_settings(services.settings).vllm_model if backend == "vllm" else None
    return {
        run_tags.TASK_ID: request.task_id,
        run_tags.KEY_ID: request.auth.key_id,
        run_tags.REQUEST_ID: request.request_id,
        run_tags.BACKEND: backend,
        run_tags.MODEL: model,
        run_tags.PROMPT: _prompt(services, request),
    }


def _prompt(services: Services, request: ExtractRequest) -> str | None:
    try:
        task = request.overrides.of_task(services.tasks[request.task_id])
    except OcrltyError:
        return None  # The request says so itself when it is carried out.
    return task.prompt_sha256[:PROMPT_CHARACTERS]
