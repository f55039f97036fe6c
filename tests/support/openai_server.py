"""A real HTTP server shaped like vLLM, in a process of its own, for tests and benchmarks.

It answers each image with an instance of the sent schema that depends on the image's bytes, refuses what vLLM refuses,
follows a script of other answers when given one, and counts what it was asked, so that a test can prove what was (not)
sent twice:

    with openai_server(latency_ms=50) as server:
        server.script(rate_limited("1"), None)      # None: the plain answer
        ... VllmBackend(Settings(vllm_base_url=server.base_url)) ...
        assert server.calls().images == {sha256: 2}

By hand: `python -m tests.support.openai_server --port 0 --latency-ms 500` prints its base URL and serves until
interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import contextlib
import hashlib
import io
import json
import signal
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import httpx2
import orjson
from aiohttp import web
from PIL import Image, UnidentifiedImageError

from tests.support.openai_answers import Answer, completion, refusal
from tests.support.schema_instances import instance_of
from tests.support.schema_refusals import reason_to_refuse

ROOT = Path(__file__).parents[2]
MAX_BODY = 64 * 1024 * 1024
PIXELS_PER_TOKEN = 28 * 28


@dataclass(frozen=True)
class Behaviour:
    """How the server answers, beyond a script.

    Attributes:
        latency_ms: pause before every answer.
        max_pixels: a larger image is answered as too long for the context; None knows no bound.
        max_model_len: the context, in tokens; a larger max_tokens is refused.
        api_key: the key to require, if any.
    """

    latency_ms: float = 0.0
    max_pixels: int | None = None
    max_model_len: int = 8192
    model: str = "test-model"
    api_key: str | None = None


@dataclass(frozen=True)
class Calls:
    """What the server was asked for since its start or last reset.

    Attributes:
        calls: chat completions asked for, whatever the answer.
        images: the same, by the SHA-256 of the image.
        max_concurrency: the most calls that were under way at once.
        last: the latest request: `headers`, and `body` with the image replaced by its mime type and length.
    """

    calls: int = 0
    images: dict[str, int] = field(default_factory=dict)
    max_concurrency: int = 0
    last: dict[str, Any] = field(default_factory=dict)

    def of(self, images: Iterable[bytes]) -> list[int]:
        """How often each of these images was sent."""
        return [self.images.get(hashlib.sha256(image).hexdigest(), 0) for image in images]


class OpenAiServer:
    """Handle on a running server."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.root_url = base_url.removesuffix("/v1")

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a service whose model this is, as environment variables."""
        return {"INFERENCE_BACKEND": "vllm", "VLLM_BASE_URL": self.base_url, "VLLM_MODEL": "test-model"}

    def calls(self) -> Calls:
        return Calls(**httpx2.get(f"{self.root_url}/_calls").json())

    def script(self, *answers: Answer | None) -> None:
        """Give these answers next, one a call; None is the plain answer."""
        self._post("_script", [answer and asdict(answer) for answer in answers])

    def reset(self) -> None:
        """Forget the script and the counts."""
        self._post("_reset", None)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is answered while the block lasts."""
        self._post("_hold", True)
        try:
            yield
        finally:
            self._post("_hold", False)

    def _post(self, path: str, body: Any) -> None:
        httpx2.post(f"{self.root_url}/{path}", json=body).raise_for_status()


@contextlib.contextmanager
def openai_server(**behaviour: Any) -> Iterator[OpenAiServer]:
    """Run a server for the block's duration; keyword arguments are `Behaviour`'s.

    The server ends with this process, however that ends.
    """
    options = [f"--{name.replace('_', '-')}={value}" for name, value in asdict(Behaviour(**behaviour)).items() if value]
    command = [sys.executable, "-m", __name__, "--port=0", "--until-stdin-closes", *options]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            base_url = process.stdout.readline().strip()
            assert base_url, "the server did not start; its words are on stderr"
            yield OpenAiServer(base_url)
        finally:
            process.stdin.close()
            process.wait(timeout=10)


class FakeVllm:
    """The server's state and handlers."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._free = asyncio.Event()
        self._free.set()
        self._forget()

    def _forget(self) -> None:
        self._script: deque[Answer | None] = deque()
        self._images: Counter[str] = Counter()
        self._calls = self._active = self._max_active = 0
        self._last: dict[str, Any] = {}

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY, middlewares=[_disconnects, _not_found_like_fastapi])
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", lambda _: _empty())
        app.router.add_get("/_calls", self._report)
        app.router.add_post("/_script", self._take_script)
        app.router.add_post("/_reset", self._reset)
        app.router.add_post("/_hold", self._hold)
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self._calls += 1
        self._active += 1
        self._max_active = max(self._max_active, self._active)
        try:
            body = await request.read()
            answer = self._next_answer(request, body)
            await asyncio.sleep((self._behaviour.latency_ms + answer.delay_ms) / 1000)
            await self._free.wait()
            return await _give(answer, request)
        finally:
            self._active -= 1

    def _next_answer(self, request: web.Request, body: bytes) -> Answer:
        wants_key = self._behaviour.api_key
        if wants_key and request.headers.get("Authorization") != f"Bearer {wants_key}":
            return Answer(401, '{"error": "Unauthorized"}')
        call = orjson.loads(body)
        mime_type, encoded = _take_image(call)
        try:
            image = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            return refusal(400, "Non-base64 digit found")
        sha256 = hashlib.sha256(image).hexdigest()
        self._images[sha256] += 1
        self._last = {"headers": dict(request.headers), "body": call, "image": [mime_type, len(image)]}
        scripted = self._script.popleft() if self._script else None
        return scripted or self._plain_answer(call, image, sha256)

    def _plain_answer(self, call: dict[str, Any], image: bytes, sha256: str) -> Answer:
        schema = call["response_format"]["json_schema"]["schema"]
        refused = self._refuse(call) or reason_to_refuse(schema)
        if refused:
            return refused if isinstance(refused, Answer) else refusal(400, refused)
        try:
            with Image.open(io.BytesIO(image)) as opened:
                tokens = opened.width * opened.height // PIXELS_PER_TOKEN
                too_large = self._behaviour.max_pixels and opened.width * opened.height > self._behaviour.max_pixels
        except UnidentifiedImageError:
            return refusal(400, "Failed to load image: cannot identify image file <_io.BytesIO object>")
        if too_large:
            limit = self._behaviour.max_model_len
            return refusal(400, f"Input length ({limit + tokens}) exceeds model's maximum context length ({limit}).")
        content = json.dumps(instance_of(schema, sha256.encode()))
        body = completion(content, "stop", prompt_tokens=26 + tokens, model=self._behaviour.model)
        return Answer(body=orjson.dumps(body).decode())

    def _refuse(self, call: dict[str, Any]) -> Answer | None:
        known, limit, tokens = self._behaviour.model, self._behaviour.max_model_len, call["max_tokens"]
        if call["model"] != known:
            message = f"The model `{call['model']}` does not exist. Valid aliases: {known}."
            return refusal(404, message, kind="NotFoundError", param="model")
        if tokens > limit:
            asked = f"max_tokens={tokens} cannot be greater than max_model_len={limit}."
            hint = f"Please request fewer output tokens. (parameter=max_tokens, value={tokens})"
            return refusal(400, f"{asked} {hint}", param="max_tokens")
        return None

    async def _models(self, _: web.Request) -> web.Response:
        await self._free.wait()
        return web.json_response({"object": "list", "data": [{"id": self._behaviour.model, "object": "model"}]})

    async def _report(self, _: web.Request) -> web.Response:
        return web.json_response(asdict(Calls(self._calls, dict(self._images), self._max_active, self._last)))

    async def _take_script(self, request: web.Request) -> web.Response:
        self._script.extend(entry and Answer(**entry) for entry in await request.json())
        return web.Response()

    async def _reset(self, _: web.Request) -> web.Response:
        self._forget()
        return web.Response()

    async def _hold(self, request: web.Request) -> web.Response:
        if await request.json():
            self._free.clear()
        else:
            self._free.set()
        return web.Response()


def _take_image(call: dict[str, Any]) -> tuple[str, str]:
    """Cut the image out of the call; its mime type and base64."""
    part = call["messages"][0]["content"][1]["image_url"]
    mime_type, _, encoded = part.pop("url").removeprefix("data:").partition(";base64,")
    return mime_type, encoded


async def _give(answer: Answer, request: web.Request) -> web.StreamResponse:
    if request.transport is None:
        return web.Response()  # the client has gone
    if answer.drop == "before":
        request.transport.abort()
        return web.Response()
    if answer.drop == "middle":
        cut = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": answer.content_type})
        await cut.prepare(request)
        await cut.write(b'{"id": "chatcmpl-0", "choices": [{"mess')
        request.transport.close()
        return cut
    return web.Response(
        status=answer.status, text=answer.body, headers=answer.headers, content_type=answer.content_type
    )


async def _empty() -> web.Response:
    return web.Response()


@web.middleware
async def _disconnects(request: web.Request, handler: Any) -> web.StreamResponse:
    """A client that leaves while it sends or is answered is no error."""
    try:
        return await handler(request)
    except ConnectionResetError:
        return web.Response()


@web.middleware
async def _not_found_like_fastapi(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response({"detail": error.reason}, status=error.status)


async def _serve(port: int, behaviour: Behaviour, *, until_stdin_closes: bool) -> None:
    runner = web.AppRunner(FakeVllm(behaviour).app(), access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, bound_port = runner.addresses[0][:2]
    print(f"http://{host}:{bound_port}/v1", flush=True)  # noqa: T201 -- how its starter learns the port
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if until_stdin_closes:
        threading.Thread(target=_when_stdin_closes, args=(loop, stopped), daemon=True).start()
    await stopped.wait()
    await runner.cleanup()


def _when_stdin_closes(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    sys.stdin.read()
    loop.call_soon_threadsafe(stopped.set)


def main() -> None:
    parser = argparse.ArgumentParser(description="An HTTP server shaped like vLLM.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--until-stdin-closes", action="store_true")
    for option in fields(Behaviour):
        kind = {"latency_ms": float, "max_pixels": int, "max_model_len": int}.get(option.name, str)
        parser.add_argument(f"--{option.name.replace('_', '-')}", type=kind, default=option.default)
    given = vars(parser.parse_args())
    port, until_stdin_closes = given.pop("port"), given.pop("until_stdin_closes")
    asyncio.run(_serve(port, Behaviour(**given), until_stdin_closes=until_stdin_closes))


if __name__ == "__main__":
    main()
