"""The remote commands: in this process where that is enough, and as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import pytest

from ocrlty_pipeline.cli.app import run
from tests.support.http_server import serving
from tests.support.service import INHERITED, ROOT


@dataclass
class Done:
    """A command that has ended, as `subprocess.run` would tell of it."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self):
        return json.loads(self.stdout)


@pytest.fixture
def ocrlty(service, tmp_path, monkeypatch, capsys):
    """Run a command in this process, as alice, in an empty folder; `variables` replace those of the environment."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def ocrlty(*arguments, **variables):
        for name, value in {"OCRLTY_URL": service.url, "OCRLTY_API_KEY": service.keys["alice"], **variables}.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    return ocrlty


@pytest.fixture
def start(service, tmp_path):
    """Start a command as a process that Ctrl-C reaches, whatever this one ignores."""
    processes = []

    def start(*arguments):
        inherited = {name: value for name, value in os.environ.items() if name in INHERITED}
        variables = {"OCRLTY_URL": service.url, "OCRLTY_API_KEY": service.keys["alice"], "PYTHONPATH": str(ROOT)}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "ocrlty_pipeline.cli", *map(str, arguments)],
                cwd=tmp_path,
                env=inherited | variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 -- no threads
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


@dataclass
class ScriptedService:
    """Gives the answers it is told to, in order, and remembers what it was sent."""

    url: str
    answers: list = field(default_factory=list)
    requests: list = field(default_factory=list)

    def script(self, *answers):
        """Answers as (status, document or bytes, headers)."""
        self.answers.extend((*answer, {})[:3] for answer in answers)


@pytest.fixture
def scripted():
    told = ScriptedService("")

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            told.requests.append((self.command, self.path, body))
            status, document, headers = told.answers.pop(0)
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer  # noqa: N815 -- the names that http.server looks for

    with serving(Handler) as told.url:
        yield told


@pytest.fixture
def pauses(monkeypatch):
    """The seconds that a command would have slept, had it slept."""
    slept = []
    monkeypatch.setattr("ocrlty_pipeline.cli.remote.client.time.sleep", slept.append)
    return slept
