"""The body of a chat completion, into a `Completion` or the typed error it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ocrlty_pipeline.backends.base import Completion
from ocrlty_pipeline.backends.vllm.errors import Failures, truncated, without_content

_USAGE = ("prompt_tokens", "completion_tokens", "total_tokens")


def read_completion(content: bytes, failures: Failures, meta: Mapping[str, Any]) -> Completion:
    """Read the body of a 200.

    Raises:
        BackendError: cut short, no completion at all, truncated, refused or empty; of the kind `errors` decides.
    """
    body = _parsed(content)
    try:
        choice = body["choices"][0]
        message, finish_reason = choice["message"], choice.get("finish_reason")
        text, refusal = message.get("content"), message.get("refusal")
    except (TypeError, LookupError, AttributeError):
        raise failures.of_body(content, body) from None
    usage = _usage(body.get("usage"))
    if finish_reason == "length":
        raise truncated(text or "", usage)
    if not text:
        raise without_content(refusal, finish_reason)
    return Completion(text, finish_reason, usage, meta)


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _usage(reported: Any) -> dict[str, int] | None:
    if not isinstance(reported, dict):
        return None
    counts = {name: reported.get(name) for name in _USAGE}
    return {name: count for name, count in counts.items() if isinstance(count, int)} or None
