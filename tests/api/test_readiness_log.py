"""What the log says of a part that is not ready: why, and no password."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ocrlty_api import readiness
from ocrlty_pipeline.settings import Settings


@pytest.fixture(scope="module")
def refusing():
    """The address of a server that answers everything with 502."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(502)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://operator:hidden@127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def of_webserver(url):
    return readiness._ask_webserver(url)


def of_model(url):
    settings = Settings(_env_file=None, inference_backend="vllm", vllm_base_url=url, vllm_model="m")
    return readiness._ask_model(settings)


@pytest.mark.parametrize("ask", [of_webserver, of_model])
def test_an_address_that_answers_with_an_error_is_not_logged_with_its_password(ask, refusing, caplog):
    async def go():
        return await readiness._part("part", ask(refusing))

    assert asyncio.run(go()).status == "error"
    assert "Not ready: part: it answered with status 502" in caplog.messages
    assert "hidden" not in caplog.text
