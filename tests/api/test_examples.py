"""Bodies that clients parse already: their names and nesting are the contract (`examples.json`), values are not.

Further names may be added. What single values mean is tested beside the route.
"""

import json
from pathlib import Path

import pytest

from tests.support.job_requests import accepted, slow
from tests.support.requests import extract_body, finished, upload

EXAMPLES = json.loads(Path(__file__).with_name("examples.json").read_text())


@pytest.fixture(scope="module")
def answers(alice, root, nobody, model_server):
    """What the running service answers, by the name of the example."""
    model_server.reset()
    model_server.script(*slow(6, 0))
    job = alice.post("/v1/extract_async", json=extract_body())
    job_id = finished(alice, accepted(job))["job_id"]
    alice.post("/v1/batch_extract_upload", **upload())
    return {
        "GET /v1/health": nobody.get("/v1/health"),
        "GET /v1/me": alice.get("/v1/me"),
        "GET /v1/tasks": alice.get("/v1/tasks"),
        "POST /v1/extract": alice.post("/v1/extract", json=extract_body()),
        "POST /v1/batch_extract_upload": alice.post("/v1/batch_extract_upload", **upload()),
        "POST /v1/extract_async": job,
        "GET /v1/jobs/{job_id}": alice.get(f"/v1/jobs/{job_id}"),
        "GET /v1/runs": alice.get("/v1/runs", params={"limit": 1}),
        "POST /v1/jobs/{job_id}/cancel": alice.post(f"/v1/jobs/{job_id}/cancel"),
        "GET /v1/debug/artifacts": root.get("/v1/debug/artifacts"),
        "without a key": nobody.get("/v1/tasks"),
        "without a task": alice.post("/v1/extract", json={"image_base64": "x"}),
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_answer_has_the_names_and_the_nesting_of_its_example(answers, name):
    answer, example = answers[name], EXAMPLES[name]
    assert answer.status_code == example["status"]
    assert list(lacking(example["body"], answer.json())) == []


def test_a_refusal_that_has_no_details_says_so(answers):
    error = answers["without a key"].json()["error"]
    assert (error["details"], set(error)) == (None, {"code", "message", "request_id", "details"})


def lacking(example, real, where="body"):
    """Where a real answer lacks a name of the example, or is nested in another way; null stands for anything."""
    if isinstance(example, dict) and isinstance(real, dict):
        for name, value in example.items():
            if name in real:
                yield from lacking(value, real[name], f"{where}.{name}")
            else:
                yield f"{where}.{name}"
    elif isinstance(example, list) and isinstance(real, list):
        if not real:
            yield f"{where}[]"
        for number, item in enumerate(real):
            yield from lacking(example[0], item, f"{where}[{number}]")
    elif example is not None and (isinstance(example, dict | list) or isinstance(real, dict | list)):
        yield f"{where}: {type(real).__name__}"


def test_a_name_that_lacks_and_another_nesting_are_told():
    example = {"a": {"b": 1}, "c": [{"d": 1}], "e": None}
    assert list(lacking(example, {"a": {"b": 2, "x": 3}, "c": [{"d": 4}], "e": {}})) == []
    assert list(lacking(example, {"a": [], "c": [], "e": 1})) == ["body.a: list", "body.c[]"]
    assert list(lacking(example, {"a": {"b": {}}, "c": [{}]})) == ["body.a.b: dict", "body.c[0].d", "body.e"]
