"""What a job made, as clients fetch it."""

from tests.support.job_requests import UPLOAD, ended_job
from tests.support.requests import succeeded, upload


def test_a_batch_comes_piece_by_piece_as_its_run_does(alice, model):
    job = ended_job(alice, alice.post(UPLOAD, **upload()))
    with alice.stream("GET", f"/v1/jobs/{job['job_id']}/result") as answer:
        # Who announces no length has not put the whole answer together.
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert "content-length" not in answer.headers
        answer.read()
    run = succeeded(alice.get(f"/v1/runs/{job['result_meta']['run_id']}"))
    assert answer.json() == run
    assert len(run["items"]) == 2
