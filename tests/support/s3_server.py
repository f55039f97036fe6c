"""An S3-shaped endpoint on a port of its own: moto in a process of its own, with a record of what arrived over HTTP.

Started by `running_s3()`; run as a script it is the server itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from xml.etree import ElementTree as ET

REQUESTS = "/_requests"
HEADERS = "/_headers"


@dataclass(frozen=True)
class S3Server:
    """The server seen from a test, spoken to without any S3 library."""

    url: str

    @property
    def environment(self):
        """The settings of the server but for the bucket, as environment variables; the key is not checked."""
        key = "not-checked"
        return {"S3_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": key}

    def create_bucket(self, name):
        self.call("PUT", f"/{name}", b"")

    def call(self, method, path, body=None, **headers):
        # moto asks for some signature and checks none.
        headers = {"Authorization": "AWS test-key:unchecked"} | headers
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers)  # noqa: S310  # http
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # our own server
            return answer.read()

    def requests(self):
        """Every request so far: method, path, If-None-Match header (None without), status."""
        return [tuple(entry) for entry in json.loads(self.call("GET", REQUESTS))]

    def headers(self):
        """Of every request so far: method, path, headers as WSGI names them."""
        return [tuple(entry) for entry in json.loads(self.call("GET", HEADERS))]

    def keys(self, bucket):
        """The first thousand keys of a bucket, in order."""
        listing = ET.fromstring(self.call("GET", f"/{bucket}?list-type=2"))  # noqa: S314  # our own server
        return [found.text for found in listing.iter() if found.tag.endswith("}Key")]

    def empty(self, bucket):
        """Delete all that is in a bucket."""
        while keys := self.keys(bucket):
            for key in keys:
                self.call("DELETE", f"/{bucket}/{key}")


@contextmanager
def running_s3() -> Iterator[S3Server]:
    # -P: a module beside this one must not stand in for a package that moto imports.
    command = [sys.executable, "-P", "-W", "ignore", __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield S3Server(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()


class Recorder:
    """Passes requests to moto one at a time, as a bucket orders its writes (moto takes no locks), and lists them."""

    def __init__(self, application):
        self._application = application
        self._lock = threading.Lock()
        self._requests = []
        self._headers = []

    def __call__(self, environ, start_response):
        with self._lock:
            told = {REQUESTS: self._requests, HEADERS: self._headers}.get(environ["PATH_INFO"])
            if told is not None:
                start_response("200 OK", [("Content-Type", "application/json")])
                return [json.dumps(told).encode()]
            entry = [environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_IF_NONE_MATCH")]

            sent = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
            self._headers.append([*entry[:2], sent])

            def record(status, *arguments):
                self._requests.append([*entry, int(status.split()[0])])
                return start_response(status, *arguments)

            return [b"".join(self._application(environ, record))]


def main():
    from moto.server import create_backend_app
    from werkzeug.serving import make_server

    application = Recorder(create_backend_app("s3"))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    print(server.server_port, flush=True)  # noqa: T201  # what the parent waits for
    server.serve_forever()


if __name__ == "__main__":
    main()
