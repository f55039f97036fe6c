"""A batch sent again: after its client timed out, after it was deleted, after its job was retried."""

import httpx2
import pytest

from tests.support.job_requests import ended_job, images, slow
from tests.support.requests import error_of, succeeded, upload

SYNC, ASYNC = "/v1/batch_extract_upload", "/v1/batch_extract_upload_async"


@pytest.mark.parametrize("kept", ["true", "false"])
def test_a_client_that_timed_out_and_sends_again_at_once_gets_all_of_it(alice, model, new_id, kept):
    model.script(*slow(2, 1500))
    request = upload(images(4), run_id=new_id(), concurrency="1", persist_inputs=kept)
    with pytest.raises(httpx2.TimeoutException):
        alice.post(SYNC, **request, timeout=2.0)
    answer = succeeded(alice.post(SYNC, **request))
    assert (answer["status"], answer["ok_count"], answer["item_count"]) == ("succeeded", 4, 4)
    assert model.calls().calls == 4  # what was under way came home and was kept


def test_the_id_of_a_deleted_batch_can_be_used_again(alice, root, model, new_id):
    request = upload(images(2), run_id=new_id())
    for _ in range(2):
        answer = succeeded(alice.post(SYNC, **request))
        assert answer["ok_count"] == 2
        succeeded(root.delete(f"/v1/runs/{answer['run_id']}"))
    assert model.calls().calls == 4


def test_a_job_whose_batch_was_deleted_says_so_and_is_done_again(alice, root, model, new_id):
    request = upload(images(1), run_id=new_id())
    first = ended_job(alice, alice.post(ASYNC, **request))
    succeeded(root.delete(f"/v1/runs/{first['result_meta']['run_id']}"))
    gone = error_of(alice.get(f"/v1/jobs/{first['job_id']}/result"), 404, "not_found")
    assert "deleted" in gone["message"]
    again = ended_job(alice, alice.post(ASYNC, **request))
    assert again["job_id"] != first["job_id"]
    assert (again["status"], again["result_meta"]["ok_count"]) == ("succeeded", 1)
