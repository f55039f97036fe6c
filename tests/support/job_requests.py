"""Jobs of the API as tests submit and follow them."""

from __future__ import annotations

from dataclasses import replace

import orjson

from tests.support.openai_answers import completed
from tests.support.requests import finished, new_image, succeeded
from tests.support.waiting import wait_until

EXTRACT, UPLOAD, FOLDER, RERUN = (
    "/v1/extract_async",
    "/v1/batch_extract_upload_async",
    "/v1/batch_extract_async",
    "/v1/batch_extract_rerun_async",
)
# An answer that fits the schema of `requests.TASK`.
EMPTY = orjson.dumps(
    dict.fromkeys(("total", "subtotal", "tax", "service", "discount", "cash", "card", "change"))
).decode()


def slow(count, delay_ms):
    """So many answers of a model that takes its time, for `OpenAiServer.script`."""
    return [replace(completed(EMPTY), delay_ms=delay_ms)] * count


def images(count):
    """So many new images by file name, in order."""
    return {f"{number:03d}.png": new_image() for number in range(count)}


def accepted(response):
    """The id of the job that an answer 202 tells of."""
    answer = succeeded(response, 202)
    assert response.headers["Location"] == answer["poll_url"] == f"/v1/jobs/{answer['job_id']}"
    return answer["job_id"]


def ended_job(client, response):
    """The job that an answer 202 tells of, once it has ended."""
    return finished(client, accepted(response))


def await_running(client, job_id):
    wait_until(lambda: client.get(f"/v1/jobs/{job_id}").json()["status"] == "running")
