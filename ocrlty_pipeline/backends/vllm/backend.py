"""One chat completion call to an OpenAI-compatible server: image in, completion or typed error out.

Belongs here: the HTTP client and the order of a call. Does not: repeating calls, or what an answer means (`errors`,
`completion`).
"""

from __future__ import annotations

import asyncio

import httpx2

from ocrlty_pipeline.backends.base import Completion, InferenceRequest
from ocrlty_pipeline.backends.vllm.chat_request import ChatTemplates
from ocrlty_pipeline.backends.vllm.completion import read_completion
from ocrlty_pipeline.backends.vllm.errors import Failures
from ocrlty_pipeline.errors import ConfigError
from ocrlty_pipeline.settings import Settings

# vLLM closes an idle connection after 5 s; ours go first, so that no request meets a closing one.
KEEPALIVE_EXPIRY_S = 4.0


class VllmBackend:
    """Backend `vllm`. Connections are opened on demand and kept; one instance serves one event loop.

    Raises:
        ConfigError: VLLM_BASE_URL or VLLM_API_KEY cannot be used in a request at all.
    """

    name = "vllm"

    def __init__(self, settings: Settings) -> None:
        key = settings.vllm_api_key.get_secret_value() if settings.vllm_api_key else None
        self.model_id = settings.vllm_model
        self.max_concurrency = settings.vllm_http_max_connections
        self.max_concurrency = settings.vllm_http_max_connections
        self._url = _completions_url(settings.vllm_base_url)
        self._failures = Failures(base_url=settings.vllm_base_url, model=settings.vllm_model, secret=key)
        self._templates = ChatTemplates(settings.vllm_model)
        self._client = _client(settings, key)

    async def complete(self, request: InferenceRequest) -> Completion:
        """Make one call; see `Backend.complete`."""
        data, mime_type = await _encoded(request)
        body = self._templates.of(request.task).body(
            data, mime_type, temperature=request.temperature, max_tokens=request.max_tokens
        )
        try:
            response = await self._client.post(self._url, content=body)
        except httpx2.RequestError as error:
            raise self._failures.of_transport(error) from error
        if response.status_code != httpx2.codes.OK:
            raise self._failures.of_response(response)
        meta = {"sent_mime_type": mime_type, "sent_bytes": len(data)}
        return read_completion(response.content, self._failures, meta)

    async def aclose(self) -> None:
        await self._client.aclose()


async def _encoded(request: InferenceRequest) -> tuple[bytes, str]:
    """The image as sent; pixels are worked on outside the event loop, a file sent as it is costs nothing."""
    image = request.image
    if request.scale == 1.0 and image.sendable_as_is:
        return image.encoded()
    return await asyncio.to_thread(image.encoded, request.scale)


def _completions_url(base_url: str) -> httpx2.URL:
    if base_url.endswith("/completions"):
        raise ConfigError(f"VLLM_BASE_URL={base_url} names an endpoint: give the part before /chat/completions.")
    try:
        return httpx2.URL(f"{base_url}/chat/completions")
    except httpx2.InvalidURL as error:
        raise ConfigError(f"VLLM_BASE_URL={base_url} is not a URL: {error}.") from None


def _client(settings: Settings, key: str | None) -> httpx2.AsyncClient:
    headers = {"Content-Type": "application/json", "User-Agent": "ocrlty"}
    if key:
        if not (key.isascii() and key.isprintable()):
            raise ConfigError("VLLM_API_KEY holds a character that no HTTP header may: copy the key again.")
        headers["Authorization"] = f"Bearer {key}"
    timeout = httpx2.Timeout(
        connect=settings.vllm_connect_timeout_s,
        read=settings.vllm_read_timeout_s,
        write=settings.vllm_write_timeout_s,
        pool=settings.vllm_pool_timeout_s,
    )
    limits = httpx2.Limits(
        max_connections=settings.vllm_http_max_connections,
        max_keepalive_connections=settings.vllm_http_max_keepalive,
        keepalive_expiry=KEEPALIVE_EXPIRY_S,
    )
    return httpx2.AsyncClient(headers=headers, timeout=timeout, limits=limits)
