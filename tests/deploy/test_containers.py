"""The container files: parsed, their commands started dry, their names held against the settings and the API.

No engine runs here; what needs one (building, starting) is not shown by these tests.
"""

import asyncio
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
import uvicorn
import yaml
from dotenv import dotenv_values

from ocrlty_api.readiness import TIMEOUT_S
from ocrlty_pipeline.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("env_file") == ".env"}
MANIFEST = list(yaml.safe_load_all((ROOT / "deploy/k8s/api.yaml").read_text()))
DEPLOYMENT = next(document for document in MANIFEST if document["kind"] == "Deployment")
POD = DEPLOYMENT["spec"]["template"]["spec"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
OF_COMPOSE = set(re.findall(r"\$\{(\w+)", COMPOSE))
OF_UVICORN = {"FORWARDED_ALLOW_IPS"}


def commands():
    """Every command line of ours in the files, once."""
    in_dockerfile = yaml.safe_load(re.search(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[1])
    in_compose = [service["command"] for service in OURS.values()]
    checks = [service["healthcheck"]["test"][1:] for service in OURS.values() if "healthcheck" in service]
    in_pods = [container["command"] for container in POD["containers"] + POD["initContainers"]]
    every = {tuple(map(str, command)) for command in [in_dockerfile, *in_compose, *checks, *in_pods]}
    return sorted(command for command in every if command[1] != "-c")


def dry(command):
    """The help of a command: its subcommand exists, and so must every option."""
    words = [word for word in command[1:] if not word.startswith("-")]
    known = {"code-server", "start", "api", "grpc-health-check", "liveness-check", "init-db", "worker"}
    subcommands = [word for word in words if word in known]
    if command[0] == "python":
        program = [sys.executable, "-m", command[2]]
    elif command[0] == "celery":
        program = [shutil.which("celery", path=Path(sys.executable).parent), "-A", command[2]]
    else:
        program = [shutil.which(command[0], path=Path(sys.executable).parent)]
    assert program[0], f"{command[0]} is not installed with the project"
    return subprocess.run([*program, *subcommands, "--help"], capture_output=True, text=True, timeout=120, check=True)


def refusal_of_the_daemon():
    """What it says where no instance is named: it has no options and no help, and comes as far as opening that."""
    without = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_")}
    command = [sys.executable, "-m", "ocrlty_pipeline.orchestration.daemon"]
    done = subprocess.run(command, env=without, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_exists_with_its_options(command):
    if command == ("python", "-m", "ocrlty_pipeline.orchestration.daemon"):
        assert "DAGSTER_HOME" in refusal_of_the_daemon()
        return
    told = dry(command).stdout
    for option in (word for word in command if word.startswith("--")):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", told), f"{command[0]} knows no {option}"


def test_what_has_no_login_is_published_on_this_machine_only():
    assert SERVICES["webserver"]["ports"] == ["127.0.0.1:3000:3000"]
    published = {name for name, service in SERVICES.items() if "ports" in service}
    assert published == {"webserver", "api"}
    assert SERVICES["api"]["ports"][0].startswith("${COMPOSE_API_BIND:-127.0.0.1}:")


def test_runs_processes_keep_their_host_names_and_logs_are_rotated():
    assert SERVICES["daemon"]["hostname"] == "daemon"
    assert SERVICES["api"]["hostname"] == "api"
    for name, service in SERVICES.items():
        assert service["logging"]["options"]["max-file"], name


def test_behind_a_proxy_on_the_same_machine_the_api_knows_its_clients_apart(monkeypatch):
    """The proxy adds the address that it sees to what the client claims; Docker hands on from its network's gateway."""
    seen = []

    async def app(scope, _receive, _send):
        seen.append(scope["client"][0])

    def ask():
        config = uvicorn.Config(app, log_config=None)
        config.load()
        headers = [(b"x-forwarded-for", b"203.0.113.9, 198.51.100.7")]
        asyncio.run(
            config.loaded_app({"type": "http", "client": ("172.18.0.1", 50000), "headers": headers}, None, None)
        )

    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    ask()
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", re.search(r"^#FORWARDED_ALLOW_IPS=(.*)$", EXAMPLE, re.MULTILINE)[1])
    ask()
    assert seen == ["172.18.0.1", "198.51.100.7"]


def test_what_others_wait_for_says_when_it_is_ready():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for {other}"


def test_the_image_runs_as_nobody_in_particular():
    assert re.search(r"^USER ocrlty$", DOCKERFILE, re.MULTILINE)
    for container in POD["containers"] + POD["initContainers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert POD["securityContext"]["runAsNonRoot"] is True


def test_the_pods_are_not_told_of_services_whose_variables_look_like_settings():
    assert POD["enableServiceLinks"] is False


def test_every_file_that_the_image_copies_is_there():
    for line in re.findall(r"^COPY (?!--from)(?:--\S+ )?(.*)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            top = source.split("/")[0]
            assert f"!{top}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_example_names_settings_only_and_holds_no_secret():
    for name, value in re.findall(r"^#?([A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE):
        assert name.lower() in Settings.model_fields or name in OF_COMPOSE | OF_UVICORN, name
        if any(word in name for word in ("PASSWORD", "PEPPER", "KEY")):
            assert not value, name


def test_variables_of_the_containers_are_settings():
    ours = {
        name
        for name in SERVICES["api"]["environment"]
        if not name.startswith(("CELERY_", "DAGSTER_POSTGRES", "PYTHON"))
    }
    assert {name.lower() for name in ours} <= Settings.model_fields.keys()


def test_probes_ask_for_paths_that_the_api_has():
    from ocrlty_api.app import create_app

    paths = create_app(Settings(_env_file=None, auth_enabled=False)).openapi()["paths"]
    container = POD["containers"][0]
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["path"] in paths
        assert container[probe]["timeoutSeconds"] > TIMEOUT_S


def filled_in(*, whole):
    """A `.env` as the example says; whole, with the lines that are commented out and all that compose reads too."""
    text = EXAMPLE
    if whole:
        text = re.sub(r"^#(?=[A-Z0-9_]+=)", "", text, flags=re.MULTILINE)
        text += "".join(f"{name}=x\n" for name in sorted(OF_COMPOSE) if f"{name}=" not in text)
    return re.sub(
        r"^(?:POSTGRES_PASSWORD|API_KEY_PEPPER)=$",
        lambda line: line[0] + secrets.token_hex(32),
        text,
        flags=re.MULTILINE,
    )


def environment_of(service, variables):
    """What a container has in its environment: from its image, from `.env` and from compose, which wins."""
    lines = re.search(r"^ENV (.*?[^\\])$", DOCKERFILE, re.MULTILINE | re.DOTALL)[1].replace("\\\n", " ")
    image = dict(word.split("=", 1) for word in lines.split()) | {"PYTHON_VERSION": "3.11.9", "HOSTNAME": "api"}
    own = {
        name: re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: variables[found[1]], value)
        for name, value in service["environment"].items()
    }
    return image | variables | own


@pytest.mark.parametrize("whole", [False, True], ids=["as it is", "whole"])
def test_every_container_starts_with_the_example_filled_in(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(filled_in(whole=whole))
    variables = dotenv_values(tmp_path / ".env")
    for name, service in OURS.items():
        with patch.dict(os.environ, environment_of(service, variables), clear=True):
            settings = load_settings()
        assert variables["POSTGRES_PASSWORD"] in settings.database_url.get_secret_value(), name
        assert settings.api_key_pepper.get_secret_value() == variables["API_KEY_PEPPER"]
        assert settings.artifacts_path == Path("/var/lib/ocrlty/artifacts")
        assert settings.inference_backend == "ocr"
