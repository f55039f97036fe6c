"""The service as the remote commands see it: one HTTP client, and its refusals as errors in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx2

from ocrlty_pipeline.errors import ConfigError, OcrltyError
from ocrlty_pipeline.settings import Settings

# A sync extract takes as long as the model does.
TIMEOUT = httpx2.Timeout(30.0, read=300.0)
# What passes by itself: asked again so often, with a pause that doubles.
RETRIED = frozenset({429, 502, 503, 504})
ATTEMPTS = 5
FIRST_PAUSE_S = 0.5
SHOWN_CHARACTERS = 200


class ServiceError(OcrltyError):
    """The service cannot be reached, or refused; the message has its code and the request's id."""

    code = "service_error"


class Service:
    """Requests to one service with one key."""

    def __init__(self, http: httpx2.Client, url: str) -> None:
        self._http = http
        self._url = url
        # A service that never answered is more likely misnamed than away.
        self._answered = False

    def get(self, path: str, **query: str | int | None) -> dict[str, Any]:
        """A GET, tried again while the service is away or busy."""
        return self._answer("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A POST that may safely be sent again: everything of ours is submitted under an id."""
        return self._answer("POST", path, json=body)

    def send(self, path: str, body: Callable[[], Iterator[bytes]], headers: Mapping[str, str]) -> dict[str, Any]:
        """A POST, likewise, whose body is made anew for each time that it is sent."""
        return self._answer("POST", path, body, headers=dict(headers))

    def _answer(
        self, method: str, path: str, body: Callable[[], Iterator[bytes]] | None = None, **options: Any
    ) -> dict[str, Any]:
        pause = FIRST_PAUSE_S
        for _ in range(ATTEMPTS - 1):
            try:
                response = self._request(method, path, body, options)
            except ServiceError:
                if not self._answered:
                    raise
                time.sleep(pause)
            else:
                if response.status_code not in RETRIED:
                    return _read(response)
                asked = _asked_pause(response)
                time.sleep(pause if asked is None else asked)
            pause *= 2
        return _read(self._request(method, path, body, options))

    def _request(
        self, method: str, path: str, body: Callable[[], Iterator[bytes]] | None, options: Mapping[str, Any]
    ) -> httpx2.Response:
        try:
            response = self._http.request(method, path, content=body() if body else None, **options)
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise ServiceError(
                f"The service at {self._url} cannot be reached: {reason}. Start it with `ocrlty up`, or set OCRLTY_URL."
            ) from None
        self._answered = True
        return response


@contextmanager
def remote_service(settings: Settings) -> Iterator[Service]:
    """The service that `OCRLTY_URL` names, with the key of `OCRLTY_API_KEY` where one is set."""
    key = settings.ocrlty_api_key
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    try:
        http = httpx2.Client(base_url=settings.ocrlty_url, headers=headers, timeout=TIMEOUT)
    except UnicodeEncodeError:
        raise ConfigError("OCRLTY_API_KEY holds characters that no key has; copy it again.") from None
    except httpx2.InvalidURL as error:
        raise ConfigError(f"OCRLTY_URL is {settings.ocrlty_url!r}, which is no address: {error}.") from None
    with http:
        yield Service(http, settings.ocrlty_url)


def segment(text: str) -> str:
    """A text that a person gave, as one segment of a path."""
    return quote(text, safe="")


def _read(response: httpx2.Response) -> dict[str, Any]:
    if not response.is_success:
        raise ServiceError(_refusal(response))
    try:
        document: dict[str, Any] = response.json()
    except ValueError:
        raise ServiceError(_no_service(response)) from None
    return document


def _refusal(response: httpx2.Response) -> str:
    try:
        error = response.json()["error"]
        said = f"{error['message']} ({error['code']}, request {error['request_id']})"
    except (KeyError, TypeError, ValueError):
        said = _no_service(response)
    if response.status_code == httpx2.codes.UNAUTHORIZED:
        said += " Set OCRLTY_API_KEY to your key."
    return said


def _no_service(response: httpx2.Response) -> str:
    return (
        f"HTTP {response.status_code} from something that is no OCRlty service: {response.text[:SHOWN_CHARACTERS]!r}. "
        "Is OCRLTY_URL right?"
    )


def _asked_pause(response: httpx2.Response) -> float | None:
    asked = response.headers.get("Retry-After", "")
    return min(float(asked), 60.0) if asked.isdecimal() else None
