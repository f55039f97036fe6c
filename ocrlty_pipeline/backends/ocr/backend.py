"""The backend `ocr`: OCR in a thread, then the rules of the task.

Belongs here: threads and the table of rules. Does not: any rule.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from ocrlty_pipeline.backends.base import Completion, InferenceRequest
from ocrlty_pipeline.backends.ocr.engine import MODEL_ID, OcrEngine
from ocrlty_pipeline.backends.ocr.layout import Line, page_skew, printed_lines
from ocrlty_pipeline.backends.ocr.line_items import line_items
from ocrlty_pipeline.backends.ocr.pages import printed_page
from ocrlty_pipeline.backends.ocr.receipt_fields import receipt_fields
from ocrlty_pipeline.backends.ocr.receipt_header import receipt_header
from ocrlty_pipeline.errors import BackendMisconfiguredError
from ocrlty_pipeline.images import CheckedImage, reduced
from ocrlty_pipeline.plausibility.page import Page

Rules = Callable[[Sequence[Line]], Mapping[str, Any]]
# Rules for another task are one module and one line here.
RULES: Mapping[str, Rules] = {
    "receipt_fields_v1": receipt_fields,
    "receipt_header_v1": receipt_header,
    "items_light_v1": line_items,
}


class Readers:
    """Threads that read images, each with an engine of its own, loaded by its first image.

    Args:
        workers: how many images are read at the same time; the processor's cores are shared out among them.
    """

    def __init__(self, workers: int) -> None:
        self.executor = ThreadPoolExecutor(workers, thread_name_prefix="ocr")
        self._threads_per_worker = max(1, (os.cpu_count() or 1) // workers)
        self._local = threading.local()

    def engine(self) -> OcrEngine:
        """The calling thread's engine."""
        engine: OcrEngine | None = getattr(self._local, "engine", None)
        if engine is None:
            engine = self._local.engine = OcrEngine(threads=self._threads_per_worker)
        return engine


# Shared by all backends of a process: a warm worker loads the models, which takes seconds, for its first batch only.
readers = cache(Readers)


class OcrBackend:
    """Reads images on the CPU, `workers` at the same time."""

    name = "ocr"
    model_id = MODEL_ID

    def __init__(self, *, workers: int) -> None:
        self.max_concurrency = workers

    async def complete(self, request: InferenceRequest) -> Completion:
        """Read one image and apply the task's rules.

        Raises:
            BackendMisconfiguredError: the task has no rules, or the engine is not installed whole.
            BackendError: the engine failed on this image.
        """
        rules = rules_of(request.task.task_id)
        shared = readers(self.max_concurrency)
        return await asyncio.get_running_loop().run_in_executor(shared.executor, _complete, shared, request, rules)

    async def aclose(self) -> None:
        """Nothing to release: the readers are the process's, and what waits for them is cancelled with its caller."""


def _complete(shared: Readers, request: InferenceRequest, rules: Rules) -> Completion:
    image = reduced(request.image.upright(), request.scale)
    reading = shared.engine().read(image)
    lines = printed_lines(reading.boxes)
    meta = {
        "ocr_boxes": len(reading.boxes),
        "ocr_lines": len(lines),
        "ocr_skew_rad": round(page_skew(reading.boxes), 4),
    }
    answer = json.dumps(rules(lines), ensure_ascii=False)
    return Completion(answer, "stop", None, meta, printed_page(reading, lines, image.size))


async def read_page(image: CheckedImage, *, workers: int) -> Page:
    """What is printed on an image, for whoever wants to find another backend's answers there.

    Raises:
        BackendError: the engine failed on this image, or is not installed whole.
    """
    shared = readers(workers)
    return await asyncio.get_running_loop().run_in_executor(shared.executor, _read_page, shared, image)


def _read_page(shared: Readers, image: CheckedImage) -> Page:
    upright = image.upright()
    reading = shared.engine().read(upright)
    return printed_page(reading, printed_lines(reading.boxes), upright.size)


def rules_of(task_id: str) -> Rules:
    """The rules of a task.

    Raises:
        BackendMisconfiguredError: there are none.
    """
    try:
        return RULES[task_id]
    except KeyError:
        raise BackendMisconfiguredError(
            f"Backend `ocr` has rules for {', '.join(RULES)} only, not for task {task_id!r}: "
            "set INFERENCE_BACKEND=vllm for this task."
        ) from None
