"""Lists of jobs, and whose jobs they are."""

import pytest

from tests.support.job_requests import EXTRACT, accepted, ended_job
from tests.support.openai_answers import refusal
from tests.support.requests import error_of, extract_body, finished, succeeded


def test_jobs_are_listed_newest_first_and_paged(alice, model):
    made = [accepted(alice.post(EXTRACT, json=extract_body())) for _ in range(5)]
    for job_id in made:
        finished(alice, job_id)
    found, cursor = [], None
    while len(found) < 5:
        page = succeeded(alice.get("/v1/jobs", params={"limit": 2, **({"cursor": cursor} if cursor else {})}))
        assert page["limit"] == 2
        found += [job["job_id"] for job in page["items"]]
        cursor = page["next_cursor"]
    assert found[:5] == made[::-1]
    listed = succeeded(alice.get("/v1/jobs", params={"limit": 1}))["items"][0]
    assert set(listed) < set(succeeded(alice.get(f"/v1/jobs/{listed['job_id']}")))
    model.script(refusal(400, "Failed to load image"))
    broken = ended_job(alice, alice.post(EXTRACT, json=extract_body()))["job_id"]
    failed = succeeded(alice.get("/v1/jobs?status=failed"))["items"]
    assert broken in {job["job_id"] for job in failed}
    assert {job["status"] for job in failed} == {"failed"}
    kinds = {job["kind"] for job in succeeded(alice.get("/v1/jobs?kind=extract&status=succeeded"))["items"]}
    assert kinds == {"extract"}


@pytest.mark.parametrize("cursor", ["garbage", "7f3c0b52-3d0e-4c6e-9a43-0d6b1c0f5a11", "a|b"])
def test_a_cursor_that_is_none_is_refused(alice, cursor):
    error_of(alice.get("/v1/jobs", params={"cursor": cursor}), 400, "bad_request")


def test_others_see_nothing_of_a_job(alice, bob, dora, root, nobody, model):
    job_id = accepted(alice.post(EXTRACT, json=extract_body()))
    finished(alice, job_id)
    for path in ("", "/result", "/error", "/events"):
        for stranger in (bob, dora):
            error_of(stranger.get(f"/v1/jobs/{job_id}{path}"), 404, "not_found")
        error_of(nobody.get(f"/v1/jobs/{job_id}{path}"), 401)
    error_of(bob.post(f"/v1/jobs/{job_id}/cancel"), 404)
    assert job_id not in {job["job_id"] for job in succeeded(bob.get("/v1/jobs?limit=200"))["items"]}
    assert succeeded(root.get(f"/v1/jobs/{job_id}"))["owner_key_id"] == "alice"
    assert job_id in {job["job_id"] for job in succeeded(root.get("/v1/jobs"))["items"]}


@pytest.mark.parametrize("job_id", ["nothing", "7f3c0b52-3d0e-4c6e-9a43-0d6b1c0f5a11", "..%2f..%2fetc", "x" * 200])
def test_an_unknown_job_is_not_found(alice, job_id):
    error_of(alice.get(f"/v1/jobs/{job_id}"), 404, "not_found")


def test_a_run_that_is_no_job_is_not_found(alice, stored, service, model, new_id):
    request_id = new_id()
    succeeded(alice.post("/v1/extract", json=extract_body(request_id=request_id)))
    dagster_run_id = stored.index.find("extract", request_id).dagster_run_id
    error_of(alice.get(f"/v1/jobs/{dagster_run_id}"), 404)
