"""One image to one extract record: the only place where that happens, for batches and online requests alike.

Every outcome is a complete record: a broken image, a backend that refused, text that is not JSON, JSON that departs
from the schema. What the next attempt changes is decided in `attempts`, how text becomes a value in `answers`.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ocrlty_pipeline.answers import parse_answer, schema_violations
from ocrlty_pipeline.attempts import AttemptPlan, AttemptPolicy
from ocrlty_pipeline.backends.base import Backend, Completion, InferenceRequest, PageSource
from ocrlty_pipeline.errors import BackendError, ImageError, OcrltyError, OutputError, OutputTruncatedError
from ocrlty_pipeline.images import CheckedImage, ImageLimits, check_image
from ocrlty_pipeline.plausibility.checks import checks_block, findings
from ocrlty_pipeline.plausibility.findings import Finding
from ocrlty_pipeline.plausibility.grounding import grounding, grounding_findings
from ocrlty_pipeline.plausibility.leaves import leaves
from ocrlty_pipeline.records import Auth, ExtractRecord, RecordedError, SchemaViolation, Timings, utc_now
from ocrlty_pipeline.tasks.registry import Task

# Qwen's vision towers merge the image to one token per 28 x 28 pixels.
PIXELS_PER_TOKEN = 28 * 28


@dataclass(frozen=True, slots=True)
class ExtractionContext:
    """What all extractions of a batch, or of a service, share.

    Attributes:
        page_source: where the text comes from in which answers are looked for.
    """

    task: Task
    backend: Backend
    policy: AttemptPolicy
    limits: ImageLimits
    code_version: str
    auth: Auth
    run_id: str | None = None
    dagster_run_id: str | None = None
    page_source: PageSource = field(default_factory=PageSource)


@dataclass(frozen=True, slots=True)
class ExtractInput:
    """One image to extract.

    Attributes:
        data: the file's bytes, or the error that kept them from being read.
        described: the sanitized request for the record's `input`: names and references, never bytes.
    """

    request_id: str
    data: bytes | OcrltyError
    described: dict[str, Any]


@dataclass(slots=True)
class _Outcome:
    """What is known of one extraction so far."""

    image: CheckedImage | None = None
    completion: Completion | None = None
    raw: str | None = None
    parsed: Any = None
    violations: list[SchemaViolation] | None = None
    findings: list[Finding] = field(default_factory=list)
    grounding: dict[str, dict[str, Any]] | None = None
    grounding_error: BackendError | None = None
    error: OcrltyError | None = None
    notes: list[str] | None = None
    preprocess_s: float = 0.0
    backend_s: float = 0.0
    parse_s: float = 0.0


async def extract_image(given: ExtractInput, context: ExtractionContext) -> ExtractRecord:
    """Extract one image; never raises for what is wrong with the image, the call or the answer.

    Returns:
        The complete record: `error` is set when there is no JSON, `schema_errors` when it departs from the schema.
    """
    started = time.perf_counter()
    plan = AttemptPlan(context.policy)
    outcome = _Outcome()
    try:
        _check(given, context, outcome)
        await _infer(plan, context, outcome)
        _read_answer(context.task, outcome)
        await _ground(context, outcome)
    except (ImageError, BackendError, OutputError) as error:
        outcome.error = error
    except OcrltyError as error:
        # The bytes could not be had: the storage's error stands in the record like any other.
        if error is not given.data:
            raise
        outcome.error = error
    return _record(given, context, plan, outcome, total_s=time.perf_counter() - started)


def _check(given: ExtractInput, context: ExtractionContext, outcome: _Outcome) -> None:
    if isinstance(given.data, OcrltyError):
        raise given.data
    started = time.perf_counter()
    try:
        outcome.image = check_image(given.data, context.limits)
    finally:
        outcome.preprocess_s = time.perf_counter() - started


async def _infer(plan: AttemptPlan, context: ExtractionContext, outcome: _Outcome) -> None:
    """Call the backend until it answers or its error is final; time in the backend excludes the pauses."""
    assert outcome.image is not None  # noqa: S101 -- _check came first
    while True:
        request = InferenceRequest(context.task, outcome.image, plan.scale, plan.max_tokens, plan.temperature)
        started = time.perf_counter()
        try:
            outcome.completion = await context.backend.complete(request)
        except BackendError as error:
            if isinstance(error, OutputTruncatedError):
                outcome.raw = error.text
            delay = plan.after(error)
            if delay is None:
                raise
        else:
            outcome.raw = outcome.completion.text
            return
        finally:
            outcome.backend_s += time.perf_counter() - started
        await asyncio.sleep(delay)


def _read_answer(task: Task, outcome: _Outcome) -> None:
    started = time.perf_counter()
    try:
        outcome.parsed, outcome.notes = parse_answer(outcome.raw or "")
        outcome.violations = schema_violations(task, outcome.parsed)
        outcome.findings = findings(outcome.parsed, task.schema, datetime.now(UTC).date())
    finally:
        outcome.parse_s = time.perf_counter() - started


async def _ground(context: ExtractionContext, outcome: _Outcome) -> None:
    """Look for the answer on the image; that this could not be done is no fault of the answer."""
    assert outcome.image is not None  # noqa: S101 -- there is an answer
    assert outcome.completion is not None  # noqa: S101 -- likewise
    try:
        page = await context.page_source.page(outcome.completion, outcome.image)
    except BackendError as error:
        outcome.grounding_error = error
        return
    if page is not None:
        # A hundred line items on a long receipt take milliseconds: not in the event loop.
        found = leaves(outcome.parsed, context.task.schema)
        outcome.grounding = await asyncio.to_thread(grounding, found, page)
        outcome.findings += grounding_findings(outcome.grounding)


def _record(
    given: ExtractInput, context: ExtractionContext, plan: AttemptPlan, outcome: _Outcome, *, total_s: float
) -> ExtractRecord:
    completion = outcome.completion
    return ExtractRecord(
        request_id=given.request_id,
        created_at=utc_now(),
        task_id=context.task.task_id,
        run_id=context.run_id,
        dagster_run_id=context.dagster_run_id,
        auth=context.auth,
        input=_describe(given, outcome.image),
        backend=context.backend.name,
        model_id=context.backend.model_id,
        prompt_sha256=context.task.prompt_sha256,
        schema_sha256=context.task.schema_sha256,
        temperature=context.policy.temperature,
        max_tokens=context.policy.max_tokens,
        code_version=context.code_version,
        timings_ms=Timings(
            vllm=_ms(outcome.backend_s),
            parse_validate=_ms(outcome.parse_s),
            total=_ms(total_s),
            preprocess=_ms(outcome.preprocess_s),
        ),
        usage=dict(completion.usage) if completion and completion.usage else None,
        raw=outcome.raw,
        parsed=outcome.parsed,
        schema_valid=None if outcome.violations is None else not outcome.violations,
        schema_errors=outcome.violations or None,
        error=RecordedError.of(outcome.error) if outcome.error else None,
        error_history=plan.history or None,
        meta=_meta(plan, outcome),
    )


def _describe(given: ExtractInput, image: CheckedImage | None) -> dict[str, Any]:
    if isinstance(given.data, OcrltyError):
        return given.described
    if image is None:
        facts = {"image_sha256": hashlib.sha256(given.data).hexdigest(), "image_bytes": len(given.data)}
        return {**given.described, **facts}
    facts = {"mime_type": image.mime_type, "image_sha256": image.sha256, "image_bytes": len(image.data)}
    return {**given.described, **facts}


def _meta(plan: AttemptPlan, outcome: _Outcome) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "attempts": plan.attempts if outcome.image else 0,
        "resize_scale": round(plan.scale, 4),
        "max_tokens_effective": plan.max_tokens,
        "temperature_effective": plan.temperature,
    }
    if outcome.image:
        width, height = (round(side * plan.scale) for side in (outcome.image.width, outcome.image.height))
        meta |= {"image_size": [width, height], "image_tokens_est": math.ceil(width * height / PIXELS_PER_TOKEN)}
    if outcome.completion:
        meta |= {"finish_reason": outcome.completion.finish_reason, **outcome.completion.meta}
    if outcome.notes:
        meta["json_found_after"] = outcome.notes
    if outcome.grounding is not None:
        meta["grounding"] = outcome.grounding
    if outcome.grounding_error is not None:
        meta["grounding_error"] = RecordedError.of(outcome.grounding_error).model_dump(mode="json")
    if outcome.findings:
        meta["checks"] = checks_block(outcome.findings)
    return meta


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
