"""The body of a chat completion request, built with as few copies of the image as can be.

A body is `head + mime type + base64 + tail + settings`: head and tail are a task's and are made once, so that of a call
only the base64 and one concatenation remain.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import orjson

from ocrlty_pipeline.backends.vllm.wire_schema import wire_schema
from ocrlty_pipeline.tasks.registry import Task

# Longer than any debugging session's list of overridden prompts, shorter than a leak.
MAX_CACHED = 64
_IMAGE_GOES_HERE = "data:image"


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The parts of a body that all images of one task share."""

    head: bytes
    tail: bytes

    def body(self, data: bytes, mime_type: str, *, temperature: float, max_tokens: int) -> bytes:
        """The request's JSON for an image as sent."""
        settings = b',"temperature":%s,"max_tokens":%d}' % (orjson.dumps(temperature), max_tokens)
        return b"".join(
            (self.head, b"data:", mime_type.encode(), b";base64,", base64.b64encode(data), self.tail, settings)
        )


class ChatTemplates:
    """Templates by what they are made of; kept while few."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._made: dict[tuple[str, str, str], ChatTemplate] = {}

    def of(self, task: Task) -> ChatTemplate:
        key = (task.task_id, task.prompt_sha256, task.schema_sha256)
        if key not in self._made:
            if len(self._made) >= MAX_CACHED:
                self._made.clear()
            self._made[key] = _template(self._model, task)
        return self._made[key]


def _template(model: str, task: Task) -> ChatTemplate:
    content = [
        {"type": "text", "text": task.prompt},
        {"type": "image_url", "image_url": {"url": _IMAGE_GOES_HERE}},
    ]
    schema = {"name": task.task_id, "schema": wire_schema(task.schema), "strict": True}
    call: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    # A prompt cannot hold this marker: its quotes are escaped.
    head, tail = orjson.dumps(call).split(f'"url":"{_IMAGE_GOES_HERE}'.encode(), 1)
    return ChatTemplate(head + b'"url":"', tail.removesuffix(b"}"))
