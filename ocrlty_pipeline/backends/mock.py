"""The `mock` backend: no model. Answers with the schema's first example, or with a small instance of the schema.

Belongs here: the backend. Finding an instance is `schema_instance`'s.
"""

from __future__ import annotations

import json

from ocrlty_pipeline.backends.base import Completion, InferenceRequest
from ocrlty_pipeline.backends.schema_instance import minimal_instance
from ocrlty_pipeline.errors import BackendError
from ocrlty_pipeline.tasks.registry import Task

# Of a process that sees many overridden schemas, only so many answers are kept.
MAX_CACHED = 64


class MockBackend:
    """Backend `mock`: the same answer for every image of a task, at once."""

    name = "mock"
    model_id = "mock"
    # An answer takes no time, yet a batch reads and writes around it: as many at once as those can use.
    max_concurrency = 64

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}

    async def complete(self, request: InferenceRequest) -> Completion:
        """Answer without looking at the image; see `Backend.complete`."""
        key = request.task.schema_sha256
        if key not in self._answers:
            if len(self._answers) >= MAX_CACHED:
                self._answers.clear()
            self._answers[key] = json.dumps(_answer(request.task), ensure_ascii=False)
        return Completion(self._answers[key], finish_reason="stop")

    async def aclose(self) -> None:
        """Nothing to release."""


def _answer(task: Task) -> object:
    examples = task.schema.get("examples")
    if isinstance(examples, list) and examples:
        return examples[0]
    try:
        return minimal_instance(task.schema)
    except LookupError as error:
        raise BackendError(
            f'mock cannot answer task {task.task_id}: {error.args[0]}; add an instance to the schema\'s "examples".'
        ) from None
