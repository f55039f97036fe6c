"""The container files: parsed, their commands started dry, their names held against the settings and the API.

No engine runs here; what needs one (building, starting) is not shown by these tests.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ocrlty_pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("${OCRLTY_IMAGE")}
MANIFEST = list(yaml.safe_load_all((ROOT / "deploy/k8s/api.yaml").read_text()))
DEPLOYMENT = next(document for document in MANIFEST if document["kind"] == "Deployment")
POD = DEPLOYMENT["spec"]["template"]["spec"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


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


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_exists_with_its_options(command):
    if command == ("python", "-m", "ocrlty_pipeline.orchestration.daemon"):
        compile((ROOT / "ocrlty_pipeline/orchestration/daemon.py").read_text(), "daemon.py", "exec")
        return  # it has no options and no help; tests/pipeline/orchestration/test_daemon.py runs it
    told = dry(command).stdout
    for option in (word for word in command if word.startswith("--")):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", told), f"{command[0]} knows no {option}"


def test_what_has_no_login_is_published_on_this_machine_only():
    assert SERVICES["webserver"]["ports"] == ["127.0.0.1:3000:3000"]
    published = {name for name, service in SERVICES.items() if "ports" in service}
    assert published == {"webserver", "api"}
    assert SERVICES["api"]["ports"][0].startswith("${API_BIND:-127.0.0.1}:")


def test_runs_processes_keep_their_host_names_and_logs_are_rotated():
    assert SERVICES["daemon"]["hostname"] == "daemon"
    assert SERVICES["api"]["hostname"] == "api"
    for name, service in SERVICES.items():
        assert service["logging"]["options"]["max-file"], name


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


def test_every_file_that_the_image_copies_is_there():
    for line in re.findall(r"^COPY (?!--from)(?:--\S+ )?(.*)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            top = source.split("/")[0]
            assert f"!{top}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_example_names_settings_only_and_holds_no_secret():
    of_compose = {"POSTGRES_PASSWORD", "API_BIND", "DATA_DIR"}
    for name, value in re.findall(r"^#?([A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE):
        assert name.lower() in Settings.model_fields or name in of_compose, name
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
