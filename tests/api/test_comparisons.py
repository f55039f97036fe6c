"""Run against run over HTTP: the verdict of `comparing`, for one's own runs only."""

import orjson
import pytest

from tests.support.openai_answers import completed
from tests.support.requests import error_of, new_image, succeeded, upload

FIELDS = ("total", "subtotal", "tax", "service", "discount", "cash", "card", "change")
COUNT = 12


def answers(total):
    return [completed(orjson.dumps(dict.fromkeys(FIELDS) | {"total": total}).decode())] * COUNT


@pytest.fixture
def runs(alice, model, new_id):
    """Two runs of alice's over the same images: in the first every total is wrong, in the second all are right."""
    images = {f"{number:02d}.png": new_image() for number in range(COUNT)}
    truth = orjson.dumps([{"file": file, "total": "8.20"} for file in images]).decode()
    ids = []
    for total in ("9.20", "8.20"):
        model.script(*answers(total))
        run_id = new_id()
        succeeded(alice.post("/v1/batch_extract_upload", **upload(images, run_id=run_id, gt_json=truth)))
        ids.append(run_id)
    return ids


def compare(client, a, b, **options):
    return client.get("/v1/runs/compare", params={"a": a, "b": b, **options})


def test_a_run_that_is_better_is_called_so_with_all_that_was_fixed(alice, runs):
    wrong, right = runs
    comparison = succeeded(compare(alice, wrong, right, intersection=True))
    assert (comparison["verdict"], comparison["paired"]) == ("better", COUNT)
    assert comparison["documents"]["fixed"] == COUNT
    assert [field["field"] for field in comparison["fields"] if field["verdict"] == "better"] == ["total"]
    leaf = comparison["samples"][0]["leaves"][0]
    assert (leaf["predicted_a"], leaf["predicted_b"], leaf["expected"]) == ("9.20", "8.20", "8.20")
    assert succeeded(compare(alice, right, wrong, intersection=True))["verdict"] == "worse"
    assert succeeded(compare(alice, right, right))["verdict"] == "no evidence of a difference"


def test_runs_over_other_images_are_refused_with_the_way_out(alice, model, runs, new_id):
    model.script(*answers("8.20"))
    other = new_id()
    truth = orjson.dumps([{"file": "a.png", "total": "8.20"}]).decode()
    succeeded(alice.post("/v1/batch_extract_upload", **upload(run_id=other, gt_json=truth)))
    error = error_of(compare(alice, runs[0], other), 400, "input_error")
    assert "intersection" in error["message"]


def test_others_runs_cannot_be_compared(alice, bob, root, nobody, runs, new_id):
    error_of(compare(bob, *runs), 404, "not_found")
    error_of(compare(alice, runs[0], new_id()), 404, "not_found")
    error_of(compare(nobody, *runs), 401)
    error_of(compare(alice, runs[0], "../x"), 400, "input_error")
    error_of(alice.get("/v1/runs/compare", params={"a": runs[0]}), 422)
    succeeded(compare(root, *runs, intersection=True))
