"""What a vLLM may answer to a chat completion, besides the plain truth: the entries of a test's script.

Belongs here: bodies as vLLM words them. Does not: when each is given (`openai_server`) or what is made of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

CONTEXT_TOO_LONG = {
    "text": "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input "
    "tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. "
    "(parameter=input_tokens, value=2049)",
    "huge text": "This model's maximum context length is 2048 tokens. However, your prompt contains 2000050 characters "
    "(more than 83968 characters, which is the upper bound for 2048 input tokens). Please reduce the length of the "
    "input prompt. (parameter=input_text, value=2000050)",
    "image": "Input length (4124) exceeds model's maximum context length (2048).",
    "prompt fills the context": "max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)",
    "prompt overfills the context": "max_tokens must be at least 1, got -1. (parameter=max_tokens, value=-1)",
    "older, prompt": "The prompt (total length 4124) is longer than the maximum model length of 2048. "
    "Make sure that `max_model_len` is no smaller than the number of text tokens plus multimodal tokens.",
    "older, decoder prompt": "The decoder prompt (length 4124) is longer than the maximum model length of 2048.",
    "older, with completion": "This model's maximum context length is 2048 tokens. However, you requested 2100 tokens "
    "(1900 in the messages, 200 in the completion). Please reduce the length of the messages or completion.",
    "older, max_tokens left": "'max_tokens' or 'max_completion_tokens' is too large: 1024. This model's maximum "
    "context length is 2048 tokens and your request has 1500 input tokens (1024 > 2048 - 1500).",
}
SCHEMA_REFUSED = {
    "guidance": "Grammar error: Unknown format: x-money",
    "xgrammar, feature": "The provided JSON schema contains features not supported by xgrammar.",
    "xgrammar, reference": "Failed to transform json schema into a grammar: <path>:4950: Cannot find field $defs",
    "outlines": "Regex uses unsupported feature for structured outputs: Look-Around assertion are unsupported.. Only "
    "basic matching constructs are supported—lookarounds, backreferences, and unicode boundaries are not.",
    "outlines, reference": "Failed to transform json schema into a regex: Invalid reference path: $defs",
}
IMAGE_REFUSED = {
    "base64": "Non-base64 digit found",
    "type": "Failed to load image: cannot identify image file <_io.BytesIO object>",
    "truncated": "Failed to load image: image file is truncated",
    "aspect": "Failed to apply Qwen2VLProcessor on data={'images': [<PIL.Image.Image image mode=RGB size=2000x4>]} "
    "with kwargs={'do_normalize': False, 'do_rescale': False, 'return_tensors': 'pt'}",
    "count": "At most 2 image(s) may be provided in one prompt. (parameter=image)",
}


@dataclass(frozen=True)
class Answer:
    """One scripted answer.

    Attributes:
        drop: close the connection before any byte, or in the middle of the body.
        delay_ms: pause before it, beside the server's own latency.
    """

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    drop: Literal["before", "middle"] | None = None
    delay_ms: float = 0.0


def refusal(status: int, message: str, *, kind: str = "BadRequestError", param: str | None = None) -> Answer:
    """An error in vLLM's envelope."""
    body = {"error": {"message": message, "type": kind, "param": param, "code": status}}
    return Answer(status, json.dumps(body))


def rate_limited(retry_after: str | None = None) -> Answer:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Answer(429, '{"error": {"message": "Too many requests", "code": 429}}', headers)


def server_error(status: int = 500, message: str = "EngineCore encountered an issue.") -> Answer:
    return refusal(status, message, kind="InternalServerError")


def page(status: int = 200, title: str = "Welcome") -> Answer:
    """A web page, as a proxy or another service gives."""
    return Answer(status, f"<!DOCTYPE html><html><title>{title}</title></html>", content_type="text/html")


def dropped(when: Literal["before", "middle"]) -> Answer:
    return Answer(drop=when)


def completed(content: str | None, *, finish_reason: str = "stop", refused: str | None = None) -> Answer:
    return Answer(body=json.dumps(completion(content, finish_reason, refused=refused)))


def completion(
    content: str | None, finish_reason: str, *, refused: str | None = None, prompt_tokens: int = 26, model: str = "test"
) -> dict[str, Any]:
    """The body of a chat completion."""
    tokens = len(content or "") // 4 + 1
    message = {"role": "assistant", "content": content, "refusal": refused, "reasoning": None}
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1795483924,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "total_tokens": prompt_tokens + tokens,
            "completion_tokens": tokens,
            "prompt_tokens_details": None,
        },
    }
