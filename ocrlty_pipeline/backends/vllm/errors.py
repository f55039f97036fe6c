"""What a failed call means: the one place where a status, a body or a network failure becomes a typed error.

    transient      408, 425, 429, 5xx; no connection, time-outs, dropped connections; an answer cut short
    misconfigured  401, 403; 404, 405, 3xx and web pages (wrong address); unknown model; refused schema; max_tokens over
                   the whole context
    context        400 in any wording of "the prompt does not fit"
    truncated      200 that ends with finish_reason=length
    permanent      every other answer: a refused image, a bad request, a refusal by the model

A `max_tokens` over the server's whole context is misconfigured, not too long: every image would fail alike, and the
shrinking of images that follows a context overflow would cost accuracy without helping. Likewise a page or an answer
of another shape under status 200 is another service's, and will not turn into a model; JSON cut short may come whole.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx2

from ocrlty_pipeline.backends.vllm.server_words import (
    MAX_SHOWN,
    is_web_page,
    retry_after_s,
    words_of_body,
    words_of_json,
)
from ocrlty_pipeline.errors import (
    BackendError,
    BackendMisconfiguredError,
    ContextTooLongError,
    OutputTruncatedError,
    TransientBackendError,
)

_TRANSIENT = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_BAD_REQUEST = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}

_CONTEXT = re.compile(
    r"maximum context length|longer than the maximum model length"
    r"|max_(?:completion_)?tokens must be at least 1, got (?:0|-\d+)",
    re.IGNORECASE,
)
_CONTEXT_LIMIT = re.compile(r"maximum (?:context|model) length(?: is| of)? \(?(\d+)")
_CONTEXT_INPUT = re.compile(
    r"(?:length \(|\(total length |\(length |prompt contains at least |request has |\()(\d+)\)?"
)
_BUDGET = re.compile(r"max_(?:completion_)?tokens=\d+ cannot be greater than max_model_len")
_SCHEMA = re.compile(r"grammar|json schema|structured output|response_format", re.IGNORECASE)
_IMAGE = re.compile(
    r"base64|failed to load image|data URL|image\(s\) may be provided|failed to apply \w*Processor|decompression bomb",
    re.IGNORECASE,
)


class Failures:
    """Reads the failures of calls to one server.

    Args:
        base_url: as configured; credentials in it are not shown.
        secret: the key, never repeated even when the server does.
    """

    def __init__(self, *, base_url: str, model: str, secret: str | None) -> None:
        self._base_url = str(httpx2.URL(base_url).copy_with(userinfo=b"")).rstrip("/")
        self._model = model
        self._secret = secret

    def of_response(self, response: httpx2.Response) -> BackendError:
        """The error that an answer with another status than 200 means."""
        if response.is_redirect:
            target = response.headers.get("location", "nowhere")[:MAX_SHOWN]
            return self._wrong_address(
                f"HTTP {response.status_code}", f"it redirects to {target}; name that server itself"
            )
        return self._of_status(
            response.status_code, words_of_body(response.content), retry_after=response.headers.get("retry-after")
        )

    def of_body(self, content: bytes, body: Any) -> BackendError:
        """The error that a 200 without a completion means; `body` is the parsed content, None when it is not JSON."""
        if body is None and not is_web_page(content):
            cut = f"not whole JSON ({len(content)} bytes): it was cut short"
            return TransientBackendError(f"The answer of VLLM_BASE_URL={self._base_url} is {cut}.")
        if isinstance(body, dict) and body.get("error"):
            # Some gateways put the failure of the server behind them into a 200.
            code = body["error"].get("code") if isinstance(body["error"], dict) else None
            return self._of_status(code if isinstance(code, int) else HTTPStatus.BAD_GATEWAY, words_of_json(body))
        if isinstance(body, dict) and "choices" in body:
            return BackendError("The server answered without a choice.", {"status": HTTPStatus.OK})
        return self._wrong_address("HTTP 200 with a web page" if body is None else 'HTTP 200 without "choices"')

    def of_transport(self, error: Exception) -> BackendError:
        """The error that a failure below HTTP means; names the cause in words."""
        causes = list(_causes(error))
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            hint = "add its authority to the file that SSL_CERT_FILE names"
            return BackendMisconfiguredError(
                f"VLLM_BASE_URL={self._base_url}: the certificate is not trusted ({causes[-1]}): {hint}."
            )
        if isinstance(error, (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol)):
            return BackendMisconfiguredError(f"VLLM_BASE_URL={self._base_url} cannot be called: {causes[-1]}.")
        detail = {"cause": type(error).__name__}
        return TransientBackendError(
            f"No answer from VLLM_BASE_URL={self._base_url}: {_in_words(error, causes)}.", detail
        )

    def _of_status(self, status: int, words: str, *, retry_after: str | None = None) -> BackendError:
        words = words.replace(self._secret, "***") if self._secret else words
        said = f'HTTP {status}: "{words}"' if words else f"HTTP {status} without a word"
        detail = {"status": int(status), "server": words}
        if _IMAGE.search(words) and (status in _BAD_REQUEST or status == HTTPStatus.INTERNAL_SERVER_ERROR):
            # vLLM answers a decompression bomb with 500, though the same image would fail again.
            return BackendError(f"The server refuses the image ({said}).", detail)
        if status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            message = f"The server at VLLM_BASE_URL={self._base_url} cannot answer now ({said})."
            return TransientBackendError(message, detail, retry_after_s=retry_after_s(retry_after))
        if status in _BAD_REQUEST:
            return _of_bad_request(said, words, detail)
        return self._of_refusal(status, said, words, detail)

    def _of_refusal(self, status: int, said: str, words: str, detail: dict[str, Any]) -> BackendError:
        match status:
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                way_out = "set VLLM_API_KEY to a key it accepts"
                message = f"The server at VLLM_BASE_URL={self._base_url} refuses the key ({said}): {way_out}."
                return BackendMisconfiguredError(message, detail)
            case HTTPStatus.NOT_FOUND if "model" in words.lower():
                message = (
                    f"The server does not serve VLLM_MODEL={self._model} ({said}): set VLLM_MODEL to one it serves."
                )
                return BackendMisconfiguredError(message, detail)
            case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
                return self._wrong_address(said)
            case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                way_out = "raise the limit on request bodies there"
                return BackendError(
                    f"The image is too large for the server or a proxy before it ({said}): {way_out}.", detail
                )
        return BackendError(f"The server refuses the request ({said}).", detail)

    def _wrong_address(self, said: str, hint: str | None = None) -> BackendMisconfiguredError:
        lacks_v1 = f"it probably lacks /v1: try {self._base_url}/v1"
        hint = hint or ("check host, port and path" if self._base_url.endswith("/v1") else lacks_v1)
        message = f"VLLM_BASE_URL={self._base_url} has no chat completions ({said}): {hint}."
        return BackendMisconfiguredError(message, {"server": said})


def truncated(text: str, usage: dict[str, int] | None) -> OutputTruncatedError:
    """The error that finish_reason=length means; the text so far goes with it."""
    spent = f" after {usage['completion_tokens']} tokens" if usage else ""
    message = f"The answer ended{spent} at the token budget (finish_reason=length)."
    return OutputTruncatedError(message, {"finish_reason": "length", "usage": usage}, text=text)


def without_content(refusal: str | None, finish_reason: str | None) -> BackendError:
    """The error that a completion without text means."""
    why = f'it refused: "{refusal[:MAX_SHOWN]}"' if refusal else "the text is empty"
    return BackendError(
        f"The model gave no answer: {why} (finish_reason={finish_reason}).", {"finish_reason": finish_reason}
    )


def _of_bad_request(said: str, words: str, detail: dict[str, Any]) -> BackendError:
    if _BUDGET.search(words):
        message = f"max_tokens is more than the server's whole context ({said}): lower VLLM_MAX_TOKENS."
        return BackendMisconfiguredError(message, detail)
    if _CONTEXT.search(words):
        return ContextTooLongError(
            f"Image and prompt do not fit the context ({said}).", detail | _context_figures(words)
        )
    if _SCHEMA.search(words):
        message = f"The server refuses the task's schema for structured output ({said}): simplify the schema."
        return BackendMisconfiguredError(message, detail)
    return BackendError(f"The server refuses the request ({said}).", detail)


def _context_figures(words: str) -> dict[str, int]:
    """`input_tokens` and `max_model_len`, as far as the server names them."""
    found = {"input_tokens": _CONTEXT_INPUT.search(words), "max_model_len": _CONTEXT_LIMIT.search(words)}
    return {name: int(figure[1]) for name, figure in found.items() if figure}


def _in_words(error: Exception, causes: list[BaseException]) -> str:
    match error:
        case httpx2.PoolTimeout():
            return "no connection of the pool became free within VLLM_POOL_TIMEOUT_S; raise VLLM_HTTP_MAX_CONNECTIONS"
        case httpx2.ConnectTimeout():
            return "no connection within VLLM_CONNECT_TIMEOUT_S"
        case httpx2.WriteTimeout():
            return "the request was not taken within VLLM_WRITE_TIMEOUT_S"
        case httpx2.ReadTimeout():
            return "no answer within VLLM_READ_TIMEOUT_S"
        case httpx2.NetworkError() | httpx2.RemoteProtocolError() if not isinstance(error, httpx2.ConnectError):
            return f"the connection was dropped ({str(error) or type(causes[-1]).__name__})"
    return str(causes[-1]) or type(causes[-1]).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it; the last is the operating system's own, where there is one."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.exceptions[0] if isinstance(found, BaseExceptionGroup) else found.__cause__ or found.__context__
