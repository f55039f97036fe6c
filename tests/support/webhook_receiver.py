"""A client's own server, which is called when jobs end: answers as a test says, and keeps what it is sent."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import orjson

from tests.support.http_server import serving


@dataclass(frozen=True)
class Call:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return orjson.loads(self.body)

    @property
    def id(self):
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """`answers` has the statuses to answer by path, in turn, then 200. Paths in `held` wait for `release`."""

    url: str
    calls: list[Call] = field(default_factory=list)
    answers: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    held: set[str] = field(default_factory=set)
    release: threading.Event = field(default_factory=threading.Event)

    def at(self, path):
        return self.url + path

    def calls_of(self, path):
        return [call for call in self.calls if call.path == path]


@contextmanager
def webhook_receiver():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.calls.append(Call(self.path, headers, body))
            if self.path in receiver.held:
                receiver.release.wait(60)
            answers = receiver.answers[self.path]
            self.send_response(answers.pop(0) if answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serving(Handler) as url:
        receiver = Receiver(url)
        try:
            yield receiver
        finally:
            receiver.release.set()
