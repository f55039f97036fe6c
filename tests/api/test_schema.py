"""Schemathesis over the whole OpenAPI document: every answer is one that the document tells of, and none is a 5xx.

Run as the command: within pytest, a test that fails elsewhere has made its plugin fall over.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.receipts import tiny_images
from tests.support.requests import extract_body, new_image, succeeded, upload
from tests.support.service import running_service

CONFIG = Path(__file__).with_name("schemathesis.toml")
# Far beyond what it takes: a run that goes on so long is stuck.
TIMEOUT_S = 600
SEEDS, SEEDS_WITH_TRUTH = 12, 8
TRUTH = '[{"file": "cord_0001.jpg", "total": "82.50"}]'


@pytest.fixture(scope="module")
def service(postgres_url, tmp_path_factory):
    """A service of its own, which answers at once, refuses nobody for asking much, and has what `CONFIG` names."""
    variables = {"DEBUG_MODE": "1", "API_FAILURE_LIMIT": "1000000/second", "INFERENCE_BACKEND": "mock"}
    with running_service(postgres_url, tmp_path_factory.mktemp("schema"), **variables) as service:
        tiny_images(service.data / "receipts", 2)
        root = service.client("root")
        succeeded(root.post("/v1/extract", json=extract_body(request_id="seed-extract")))
        config = CONFIG.read_text()
        # The name that the document's examples of ground truths have.
        for number in range(SEEDS):
            run_id, images = f"seed-{number}", {"cord_0001.jpg": new_image()}
            truth = {"gt_json": TRUTH} if number < SEEDS_WITH_TRUTH else {}
            batch = succeeded(root.post("/v1/batch_extract_upload", **upload(images, run_id=run_id, **truth)))
            image_set = batch["image_set"]
            config = config.replace(f'"upload-{run_id}"', f'"{image_set}"')
            if truth:
                succeeded(root.post(f"/v1/ground_truths/{image_set}/draft", json={"run_id": run_id}), 201)
        (service.home / CONFIG.name).write_text(config)
        yield service


@pytest.fixture
def asked(service, tmp_path):
    """Run Schemathesis, which must find nothing; answers the statuses that each operation gave."""

    def ask(*options, key_id=None):
        report = tmp_path / "report.ndjson"
        header = ["-H", f"Authorization: Bearer {service.keys[key_id]}"] if key_id else []
        place = ["--report-ndjson-path", str(report), *header, *options, f"{service.url}/openapi.json"]
        arguments = ["--config-file", str(service.home / CONFIG.name), "run", "--no-color", *place]
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", *arguments],
            check=False,
            cwd=tmp_path,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-4000:]}"
        return statuses(report.read_text().splitlines())

    return ask


def statuses(lines):
    found = defaultdict(set)
    for event in map(json.loads, lines):
        recorder = event.get("ScenarioFinished", {}).get("recorder", {})
        for case_id, interaction in recorder.get("interactions", {}).items():
            case = recorder["cases"][case_id]["value"]
            found[case["method"], case["path"]].add(interaction["response"]["status_code"])
    return found


@pytest.fixture(scope="module")
def operations(service):
    paths = service.client().get("/openapi.json").json()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_with_an_admins_key_every_answer_is_as_documented(asked, operations):
    answered = asked(key_id="root")
    assert operations <= answered.keys()
    # Not all that was asked was refused: some bodies that fit what is there are hard to come by at random.
    refused = {operation for operation in operations if all(status >= 300 for status in answered[operation])}
    assert len(refused) < len(operations) / 4, refused


def test_without_a_key_every_answer_is_as_documented(asked, operations):
    answered = asked("--phases=examples,coverage,fuzzing", "--max-examples=3")
    assert operations <= answered.keys()
    let_in = {path for (_, path), given in answered.items() if any(status < 300 for status in given)}
    assert let_in == {"/metrics", "/v1/health", "/v1/health/ready"}
