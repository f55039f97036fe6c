"""Whether a launch that failed can have launched anything: what was sent with it depends on that."""

import asyncio
import socket
import threading
from contextlib import contextmanager

import pytest

from ocrlty_api.errors import DagsterUnavailableError, LaunchUnknownError
from ocrlty_api.lanes.graphql import Webserver
from tests.api.lanes.test_graphql import answering, launched
from tests.support.service import free_port


def outcome_of(address):
    async def launch():
        async with Webserver(f"http://{address}") as webserver:
            await webserver.launch("extract", {"ops": {}}, {})

    with pytest.raises(DagsterUnavailableError) as failed:
        asyncio.run(launch())
    return failed.value


@contextmanager
def hanging_up():
    """The address of a server that hears a request and ends the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)

        thread = threading.Thread(target=hang_up)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_where_no_connection_was_made_nothing_was_launched():
    assert not isinstance(outcome_of(f"127.0.0.1:{free_port()}"), LaunchUnknownError)


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 401), (launched({"__typename": "PipelineNotFoundError", "message": "none"}), 200)]
)
def test_where_it_was_refused_nothing_was_launched(body, status):
    with answering(body, status) as (address, _):
        assert not isinstance(outcome_of(address), LaunchUnknownError)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 502),
        (b"cut o", 200),
        (b'{"data": null}', 200),
        (launched({"__typename": "PythonError", "message": "once it was made"}), 200),
    ],
)
def test_where_the_answer_says_nothing_it_may_have_been_launched(body, status):
    with answering(body, status) as (address, _):
        assert isinstance(outcome_of(address), LaunchUnknownError)


def test_where_the_connection_broke_it_may_have_been_launched():
    with hanging_up() as address:
        failed = outcome_of(address)
    assert isinstance(failed, LaunchUnknownError)
    assert "Idempotency-Key" in failed.message
