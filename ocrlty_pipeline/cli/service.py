"""Commands over the running service: `up`, `env`, `dagster`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import httpx2
import typer

from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.cli.interrupts import interrupts
from ocrlty_pipeline.cli.output import results, say
from ocrlty_pipeline.deployment import deployment_file
from ocrlty_pipeline.errors import ConfigError, OcrltyError
from ocrlty_pipeline.orchestration.stack import STACK_VARIABLES, running_stack
from ocrlty_pipeline.settings import Settings, load_settings

STOP_TIMEOUT_S = 20.0
# Within STOP_TIMEOUT_S, so that what the API is doing is finished rather than killed.
API_GRACE_S = 15
# The webserver has no login, and the API may have none: they listen where nobody but this machine can reach them.
HOST = "127.0.0.1"
OWN_HOSTS = (HOST, "localhost")

Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of Dagster's UI.")]
ApiPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of the HTTP API.")]


class ServiceDiedError(OcrltyError):
    """A process of the service ended by itself."""

    code = "service_died"


def up(port: Port = 3000, api_port: ApiPort = 8000) -> None:
    """Start the database, Dagster's webserver and daemon, and the HTTP API; keep them running until Ctrl-C.

    Without API_KEY_PEPPER, and unless AUTH_ENABLED says otherwise, the API asks for no key: it is reachable from this
    machine only.
    """
    asked = load_settings()
    _refuse_own_address(asked, api_port)
    with running_stack(asked) as settings, interrupts() as told, ExitStack() as stack:
        url, api_url = f"http://{HOST}:{port}", f"http://{HOST}:{api_port}"
        services = [
            stack.enter_context(_process(command, settings.log_dir)) for command in _commands(settings, port, api_port)
        ]
        while not told.count and not (_ready(f"{url}/server_info") and _ready(f"{api_url}/v1/health")):
            _refuse_dead(services)
            told.wait(0.5)
        _announce(settings, url, api_url)
        while not told.wait(1.0):
            _refuse_dead(services)


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


def _commands(settings: Settings, port: int, api_port: int) -> Iterator[_Command]:
    workspace = str(deployment_file("workspace.yaml"))
    yield _Command("webserver", ["dagster_webserver", "-h", HOST, "-p", str(port), "-w", workspace])
    yield _Command("daemon", ["ocrlty_pipeline.orchestration.daemon"])
    arguments = ["ocrlty_api.main:app", "--host", HOST, "--port", str(api_port)]
    variables = {"DAGSTER_WEBSERVER_URL": f"http://{HOST}:{port}"}
    if _asks_for_no_key(settings):
        variables["AUTH_ENABLED"] = "0"
    yield _Command("api", ["uvicorn", *arguments, "--timeout-graceful-shutdown", str(API_GRACE_S)], variables)


def _asks_for_no_key(settings: Settings) -> bool:
    """Whether nobody has said who may ask: then whoever is at this machine may."""
    if "auth_enabled" in settings.model_fields_set:
        return not settings.auth_enabled
    return settings.api_key_pepper is None


def _refuse_own_address(settings: Settings, api_port: int) -> None:
    """
    Raises:
        ConfigError: the model would be looked for where the API listens; both have port 8000 by default.
    """
    model = httpx2.URL(settings.vllm_base_url)
    port = model.port or (443 if model.scheme == "https" else 80)
    if settings.inference_backend == "vllm" and port == api_port and model.host in OWN_HOSTS:
        raise ConfigError(
            f"VLLM_BASE_URL={settings.vllm_base_url} is the API's own address: have it name the model server, or start "
            f"the API on another port with --api-port {api_port + 1}."
        )


def _announce(settings: Settings, url: str, api_url: str) -> None:
    say(f"API: {api_url}/docs")
    if _asks_for_no_key(settings):
        say("EVERYBODY ON THIS MACHINE IS AN ADMIN OF THE API: it asks for no key. Set API_KEY_PEPPER to change that.")
    say(f"Dagster's UI: {url}")
    say(f"Artifacts: {ArtifactStore.from_settings(settings).location}")
    say(f"Logs: {settings.log_dir}")
    say("Ctrl-C stops all of it.")


@dataclass(frozen=True, slots=True)
class _Command:
    """A module to run, with its arguments, and what its environment has beside ours."""

    name: str
    module_and_args: list[str]
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Service:
    name: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def _process(command: _Command, log_dir: Path) -> Iterator[_Service]:
    """A process of the service, ended with the block."""
    log_dir.mkdir(parents=True, exist_ok=True)
    log = log_dir / f"{command.name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter
            [sys.executable, "-m", *command.module_and_args],
            env={**os.environ, **command.variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C reaches us alone, and we end them in order.
            start_new_session=True,
        )
    try:
        yield _Service(command.name, process, log)
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
        return httpx2.get(url, timeout=2.0).is_success
    except httpx2.TransportError:
        return False  # It is still starting; a dead process is noticed apart from this.
