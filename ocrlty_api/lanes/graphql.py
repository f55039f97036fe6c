"""Dagster's webserver over GraphQL: launching runs into the queue.

Belongs here: the call and what its answers mean. Does not: reading runs, which the shared instance does faster.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx2

from ocrlty_api.errors import DagsterUnavailableError, LaunchUnknownError
from ocrlty_api.http_failures import reason_of
from ocrlty_pipeline.orchestration.code_location import CODE_LOCATION

_log = logging.getLogger(__name__)

TIMEOUT_S = 30.0
NEVER_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
REPOSITORY = "__repository__"
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PythonError { message }
    ... on Error { message }
  }
}
"""


class LaunchRefusedError(RuntimeError):
    """Dagster does not take what the API made of a request: a fault of ours, not of the client's."""


class Webserver:
    """A client of one webserver; an async context manager that keeps its connections."""

    def __init__(self, url: str) -> None:
        # What is logged and told must not hold a password.
        self._url = str(httpx2.URL(url).copy_with(userinfo=b""))
        self._http = httpx2.AsyncClient(base_url=url, timeout=TIMEOUT_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def launch(self, job: str, run_config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Put a run of a job into the queue; answers its id.

        Raises:
            DagsterUnavailableError: the webserver or its code location cannot be reached; nothing happened.
            LaunchUnknownError: it did not say what it did.
            LaunchRefusedError: it refuses the run.
        """
        params = {
            "selector": {"repositoryLocationName": CODE_LOCATION, "repositoryName": REPOSITORY, "jobName": job},
            "runConfigData": dict(run_config),
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        answer = (await self._query(LAUNCH, {"params": params}))["launchRun"]
        match answer["__typename"]:
            case "LaunchRunSuccess":
                run_id: str = answer["run"]["runId"]
                return run_id
            case "RunConfigValidationInvalid":
                raise LaunchRefusedError("; ".join(error["message"] for error in answer["errors"]))
            # The code location is loading, or broken.
            case "PipelineNotFoundError":
                raise _not_loaded(DagsterUnavailableError, job, answer["message"])
            # The same, or what broke once the run was made.
            case "PythonError":
                raise _not_loaded(LaunchUnknownError, job, answer["message"])
            case other:
                raise LaunchRefusedError(f"{other}: {answer.get('message')}")

    async def _query(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            response = await self._http.post("/graphql", json={"query": query, "variables": variables})
            response.raise_for_status()
            answer = response.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise self._unavailable(reason_of(error), asked=_was_asked(error)) from error
        match answer:
            case {"errors": [_, *_] as errors}:
                raise LaunchRefusedError("; ".join(str(error["message"]) for error in errors))
            case {"data": dict(data)}:
                return data
            case _:
                raise self._unavailable("what answers there is no webserver of Dagster", asked=True)

    def _unavailable(self, reason: str, *, asked: bool) -> DagsterUnavailableError:
        """Where it should be stands in the log: clients can do nothing with an address of the service's network."""
        _log.error(
            "Dagster's webserver at %s cannot be used: %s; check DAGSTER_WEBSERVER_URL, and that it runs "
            "(`ocrlty up` starts it)",
            self._url,
            reason,
        )
        if asked:
            return LaunchUnknownError(
                "Dagster's webserver broke off: the job may be in its queue. Send the request again shortly; with a "
                "run_id, a request_id or an Idempotency-Key it is not done twice."
            )
        return DagsterUnavailableError(
            "Dagster's webserver does not answer: jobs cannot be submitted until it does. Send the request again "
            "shortly, or to the endpoint of this name without _async."
        )


def _not_loaded(kind: type[DagsterUnavailableError], job: str, message: str) -> DagsterUnavailableError:
    _log.warning("Dagster cannot launch %s: %s", job, message)
    return kind("Dagster has not loaded the service's jobs: try again in a minute.")


def _was_asked(error: Exception) -> bool:
    """Whether the webserver may have heard the question, and done what it says."""
    if isinstance(error, httpx2.HTTPStatusError):
        return error.response.is_server_error
    return not isinstance(error, NEVER_CONNECTED)
