"""Following a job by long polls and events."""

import threading
import time

import orjson

from tests.support.job_requests import EXTRACT, UPLOAD, accepted, images, slow
from tests.support.requests import error_of, extract_body, succeeded, upload


def test_a_long_poll_answers_when_the_job_changes(alice, model):
    model.script(*slow(1, 1500))
    job_id = accepted(alice.post(EXTRACT, json=extract_body()))
    statuses = []
    for _ in range(20):
        job = succeeded(alice.get(f"/v1/jobs/{job_id}", params={"wait": 20}))
        statuses.append(job["status"])
        if job["status"] == "succeeded":
            break
    assert statuses[-1] == "succeeded"
    assert len(statuses) <= 4
    begun = time.monotonic()
    succeeded(alice.get(f"/v1/jobs/{job_id}", params={"wait": 30}))
    assert time.monotonic() - begun < 10
    for bad in ("-1", "61", "soon", "nan"):
        error_of(alice.get(f"/v1/jobs/{job_id}", params={"wait": bad}), 422)


def events_of(client, job_id, last_id=None):
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        text = response.read().decode()
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


def test_events_tell_a_job_to_its_end(alice, model, new_id):
    model.script(*slow(4, 700))
    job_id = accepted(alice.post(UPLOAD, **upload(images(4), run_id=new_id(), concurrency="1")))
    events = events_of(alice, job_id)
    assert [event["event"] for event in events[:-1]] == ["progress"] * (len(events) - 1)
    assert (events[-1]["event"], orjson.loads(events[-1]["data"])["status"]) == ("end", "succeeded")
    done = [orjson.loads(event["data"])["progress"]["done"] or 0 for event in events]
    assert done == sorted(done)
    assert len(set(done)) >= 3
    assert len({event["id"] for event in events}) == len(events)
    [again] = events_of(alice, job_id, last_id=events[0]["id"])
    assert again == events[-1]


def test_many_may_follow_one_job_and_leave_when_they_like(alice, model):
    model.script(*slow(1, 1500))
    job_id = accepted(alice.post(EXTRACT, json=extract_body()))
    with alice.stream("GET", f"/v1/jobs/{job_id}/events") as left:
        assert next(left.iter_lines()).startswith("id: ")
    ends = []
    threads = [threading.Thread(target=lambda: ends.append(events_of(alice, job_id)[-1]["event"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == ["end"] * 8
