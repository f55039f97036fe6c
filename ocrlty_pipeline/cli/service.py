"""Commands over the running service: `up`, `env`, `dagster`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx2
import typer

from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.cli.interrupts import interrupts
from ocrlty_pipeline.cli.output import results, say
from ocrlty_pipeline.deployment import deployment_file
from ocrlty_pipeline.errors import OcrltyError
from ocrlty_pipeline.orchestration.stack import STACK_VARIABLES, running_stack
from ocrlty_pipeline.settings import load_settings

STOP_TIMEOUT_S = 20.0
# The webserver has no login: it listens where nobody but this machine can reach it.
HOST = "127.0.0.1"


class ServiceDiedError(OcrltyError):
    """A process of the service ended by itself."""

    code = "service_died"


def up(port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Dagster's UI.")] = 3000) -> None:
    """Start the database, Dagster's webserver and its daemon, and keep them running until Ctrl-C."""
    with running_stack(load_settings()) as settings, interrupts() as told:
        workspace = str(deployment_file("workspace.yaml"))
        log_dir, url = settings.log_dir, f"http://{HOST}:{port}"
        with (
            _process("webserver", ["dagster_webserver", "-h", HOST, "-p", str(port), "-w", workspace], log_dir) as web,
            _process("daemon", ["ocrlty_pipeline.orchestration.daemon"], log_dir) as daemon,
        ):
            processes = [web, daemon]
            while not _ready(url) and not told.count:
                _refuse_dead(processes)
                time.sleep(0.5)
            say(f"Dagster's UI: {url}")
            say(f"Artifacts: {ArtifactStore.from_settings(settings).location}")
            say(f"Logs: {log_dir}")
            say("Ctrl-C stops all of it.")
            while not told.wait(1.0):
                _refuse_dead(processes)


def env() -> None:
    """Print the variables that `dagster` needs beside a running `ocrlty up`, for `eval "$(ocrlty env)"`."""
    with running_stack(load_settings()):
        for name in STACK_VARIABLES:
            results.print(f"export {name}={shlex.quote(os.environ[name])}", markup=False, soft_wrap=True)


def dagster(context: typer.Context) -> None:
    """Run the `dagster` command with the database up: `ocrlty dagster job backfill ...`."""
    with running_stack(load_settings()):
        code = subprocess.call([sys.executable, "-m", "dagster", *context.args])  # noqa: S603 -- the person's own words
    raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class _Service:
    name: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def _process(name: str, module_and_args: list[str], log_dir: Path) -> Iterator[_Service]:
    """A process of the service, ended with the block."""
    log_dir.mkdir(parents=True, exist_ok=True)
    log = log_dir / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter
            [sys.executable, "-m", *module_and_args],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C reaches us alone, and we end them in order.
            start_new_session=True,
        )
    try:
        yield _Service(name, process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _refuse_dead(services: list[_Service]) -> None:
    for service in services:
        code = service.process.poll()
        if code is not None:
            raise ServiceDiedError(f"The {service.name} ended with exit code {code}; its log is {service.log}.")


def _ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/server_info", timeout=2.0).is_success
    except httpx2.TransportError:
        return False  # It is still starting; a dead process is noticed apart from this.
