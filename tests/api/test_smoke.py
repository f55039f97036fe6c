"""The smoke scripts of examples/: they name every operation, and the one in bash passes against running services."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from ocrlty_api.app import create_app
from ocrlty_pipeline.settings import Settings
from tests.support.receipts import receipt
from tests.support.service import INHERITED, running_service

EXAMPLES = Path(__file__).parents[2] / "examples"
# Each worker that reads images loads the models for itself.
ONE_WORKER_EACH = {"WARM_WORKERS": "1", "ONLINE_BATCH_WORKERS": "1"}
STEP = re.compile(r"""\b[Ss]tep \S+ (GET|POST|PUT|DELETE) ["']?(/[^"'\s?]*)""")


def steps(script):
    """Method and path of each step of a script, in order, with {} for what it fills in."""
    found = STEP.findall((EXAMPLES / script).read_text())
    return [(method, re.sub(r"(?<=/)\$[^/]+", "{}", path)) for method, path in found]


def smoke(service, key_id="root", **variables):
    images = service.data / "receipts"
    if not images.exists():
        images.mkdir()
        for number in range(2):
            (images / f"{number}.png").write_bytes(receipt(["SUBTOTAL\t4.00", f"TOTAL\t{number}.50"]))
    inherited = {name: value for name, value in os.environ.items() if name in INHERITED}
    variables = {"SMOKE_IMAGES_DIR": images.name, "OCRLTY_API_KEY": service.keys[key_id], **variables}
    return subprocess.run(
        [EXAMPLES / "smoke.sh"],
        check=False,
        env=inherited | {"OCRLTY_URL": service.url, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("script", ["smoke.sh", "smoke.ps1"])
def test_a_script_walks_every_operation_of_the_document(script):
    paths = create_app(Settings(_env_file=None, auth_enabled=False)).openapi()["paths"]
    served = {(method.upper(), re.sub(r"{\w+}", "{}", path)) for path, methods in paths.items() for method in methods}
    assert set(steps(script)) == served | {("GET", "/docs"), ("GET", "/openapi.json")}


def test_both_scripts_take_the_same_steps():
    assert steps("smoke.ps1") == steps("smoke.sh")


def test_it_passes_on_mock_with_an_s3_endpoint(postgres_url, tmp_path, s3_server, s3_bucket):
    variables = {"INFERENCE_BACKEND": "mock", "DEBUG_MODE": "1", "S3_BUCKET": s3_bucket, **s3_server.environment}
    with running_service(postgres_url, tmp_path, **variables, **ONE_WORKER_EACH) as service:
        done = smoke(service)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        assert done.stdout.endswith("All of it works.\n")
        root = service.client("root")
        assert root.get("/v1/runs").json()["items"] == []
        assert root.get("/v1/ground_truths").json()["items"] == []
        # A key that may not do all of it is told at the step.
        done = smoke(service, "alice")
        assert done.returncode == 1
        assert done.stderr.startswith("FAILED: role is client, not admin")


def test_it_passes_on_ocr_with_local_disk_outside_debug_mode(postgres_url, tmp_path):
    with running_service(postgres_url, tmp_path, INFERENCE_BACKEND="ocr", **ONE_WORKER_EACH) as service:
        done = smoke(service)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        assert not list(service.artifact("batches").rglob("*.json"))


def test_it_says_at_which_step_it_failed(tmp_path):
    done = subprocess.run(
        [EXAMPLES / "smoke.sh"],
        check=False,
        env={"PATH": os.environ["PATH"], "OCRLTY_URL": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "FAILED: GET /v1/health: no answer" in done.stderr
