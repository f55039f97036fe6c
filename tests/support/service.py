"""The whole service as real processes: a database, Dagster's webserver and daemon, the API; and clients of it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import orjson
import psycopg
from psycopg import sql
from sqlalchemy import make_url

from ocrlty_api.auth.keys import KeyHasher, KeyTable
from ocrlty_api.auth.roles import Role
from ocrlty_pipeline.db.engine import create_engine, to_dagster_url
from ocrlty_pipeline.deployment import deployment_file
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PEPPER = "a pepper of the tests, and of nothing else"
KEYS = {"alice": Role.CLIENT, "bob": Role.CLIENT, "dora": Role.DEBUGGER, "root": Role.ADMIN}
START_TIMEOUT_S = 120.0
INHERITED = ("PATH", "HOME", "LANG", "XDG_RUNTIME_DIR", "TMPDIR")
# What uvicorn says in its own words, before the application has set up logging.
UVICORN_STARTS = re.compile(r"INFO: +(Started server process \[\d+\]|Waiting for application startup\.)")


@dataclass
class Process:
    """One process of the service; ends with the block that started it, and can be killed and started again before."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    ready_url: str | None = None
    _process: subprocess.Popen | None = None

    def start(self):
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def await_ready(self):
        wait_until(self._ready, START_TIMEOUT_S)

    def kill(self):
        """End it as a crash does."""
        self._process.kill()
        self._process.wait()

    def stop(self, timeout_s=60.0):
        """End it as an operator does; answers its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the {self.name} did not end: {self.log.read_text()[-4000:]}") from None

    def restart(self):
        if self.running:
            self.stop()
        self.start()
        self.await_ready()

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self):
        return self._process.pid

    def _ready(self):
        assert self.running, f"the {self.name} ended: {self.log.read_text()[-4000:]}"
        if self.ready_url is None:
            return True
        try:
            return httpx2.get(self.ready_url, timeout=5.0).is_success
        except httpx2.TransportError:
            return False


@dataclass
class Service:
    """Handles on a running service.

    Attributes:
        keys: API keys by key id: alice and bob (clients), dora (debugger), root (admin).
        home: OCRLTY_HOME; artifacts lie in `home/artifacts`, what processes print in `home/logs`.
        data: DATA_ROOT.
    """

    url: str
    webserver_url: str
    database_url: str
    home: Path
    data: Path
    environment: dict[str, str]
    keys: dict[str, str]
    api: Process
    webserver: Process
    daemon: Process
    clients: list = field(default_factory=list)

    def client(self, key_id=None, **options):
        """A client with the key of `key_id`, or without any."""
        headers = {"Authorization": f"Bearer {self.keys[key_id]}"} if key_id else {}
        client = httpx2.Client(base_url=self.url, headers=headers, timeout=90.0, **options)
        self.clients.append(client)
        return client

    def artifact(self, rel):
        return self.home / "artifacts" / rel

    def api_log(self):
        return self.api.log.read_text()

    def api_log_entries(self):
        """What the API logged as JSON, a line each; a line that is none fails."""
        return [
            orjson.loads(line) for line in self.api_log().split("\n") if line and not UVICORN_STARTS.fullmatch(line)
        ]


@contextmanager
def running_service(postgres_url, folder, *, dagster=True, **variables):
    """Start all of it on free ports, with `variables` in every process's environment.

    Args:
        postgres_url: the test session's server; the service gets a database of its own.
        folder: an empty folder for everything.
        dagster: whether to start webserver and daemon, which only jobs need.
    """
    with ExitStack() as stack:
        database_url = stack.enter_context(_database(postgres_url))
        ports = dict(zip(("api", "webserver"), free_ports(2), strict=True))
        environment = _environment(folder, database_url, ports["webserver"]) | variables
        service = _service(folder, database_url, environment, ports)
        stack.callback(lambda: [client.close() for client in service.clients])
        processes = [service.api, *([service.webserver, service.daemon] if dagster else [])]
        for process in processes:
            stack.callback(_end, process)
            process.start()
        for process in processes:
            process.await_ready()
        yield service


def free_port():
    return free_ports(1)[0]


def free_ports(count):
    """So many different ones."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _service(folder, database_url, environment, ports):
    logs = folder / "home" / "logs"
    logs.mkdir(parents=True)
    url, webserver_url = (f"http://127.0.0.1:{ports[name]}" for name in ("api", "webserver"))
    workspace = str(deployment_file("workspace.yaml"))

    def process(name, *module_and_arguments, ready_url=None):
        command = [sys.executable, "-m", *module_and_arguments]
        return Process(name, command, environment, logs / f"{name}.log", ready_url)

    web = ("dagster_webserver", "-h", "127.0.0.1", "-p", str(ports["webserver"]), "-w", workspace)
    api = ("uvicorn", "ocrlty_api.main:app", "--port", str(ports["api"]), "--timeout-graceful-shutdown", "30")
    return Service(
        url=url,
        webserver_url=webserver_url,
        database_url=database_url,
        home=folder / "home",
        data=folder / "data",
        environment=environment,
        keys=make_keys(database_url),
        api=process("api", *api, ready_url=f"{url}/v1/health"),
        webserver=process("webserver", *web, ready_url=f"{webserver_url}/server_info"),
        daemon=process("daemon", "ocrlty_pipeline.orchestration.daemon"),
    )


def _environment(folder, database_url, webserver_port):
    data, dagster_home = folder / "data", folder / "home" / "dagster"
    data.mkdir(parents=True)
    dagster_home.mkdir(parents=True)
    (dagster_home / "dagster.yaml").write_text(deployment_file("dagster.yaml").read_text())
    inherited = {name: value for name, value in os.environ.items() if name in INHERITED}
    return inherited | {
        "PYTHONPATH": str(ROOT),
        "OCRLTY_HOME": str(folder / "home"),
        "DATA_ROOT": str(data),
        "DATABASE_URL": database_url,
        "DAGSTER_HOME": str(dagster_home),
        "DAGSTER_POSTGRES_URL": to_dagster_url(database_url),
        "DAGSTER_WEBSERVER_URL": f"http://127.0.0.1:{webserver_port}",
        "API_KEY_PEPPER": PEPPER,
        "INFERENCE_BACKEND": "mock",
        "ONLINE_WORKERS": "1",
        "WARM_WORKERS": "2",
    }


def make_keys(database_url):
    engine = create_engine(database_url)
    try:
        table, hasher = KeyTable(engine), KeyHasher(PEPPER)
        return {key_id: table.create(key_id, role, None, hasher) for key_id, role in KEYS.items()}
    finally:
        engine.dispose()


@contextmanager
def _database(postgres_url):
    server = make_url(postgres_url)
    name = f"service_{uuid.uuid4().hex}"

    def execute(statement):
        with psycopg.connect(user=server.username, dbname="postgres", autocommit=True, **server.query) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))

    execute("CREATE DATABASE {} TEMPLATE ocrlty")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        execute("DROP DATABASE {} WITH (FORCE)")


def _end(process):
    if process.running:
        process.stop()
