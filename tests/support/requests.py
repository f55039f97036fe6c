"""Requests to the API as tests make them."""

from __future__ import annotations

import base64
import itertools
import uuid

from tests.support.receipts import tiny_image
from tests.support.waiting import wait_until

_numbers = itertools.count(uuid.uuid4().int % 2**23)
TASK = "receipt_fields_v1"


def new_id(prefix="t"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def new_image():
    """A small image that no other call of this session gave."""
    return tiny_image(next(_numbers))


def extract_body(image=None, **changes):
    """The body of `POST /v1/extract`, with a new image unless one is given; a change to None leaves the field out."""
    data = new_image() if image is None else image
    body = {"task_id": TASK, "image_base64": base64.b64encode(data).decode(), **changes}
    return {name: value for name, value in body.items() if value is not None}


def upload(images=None, **fields):
    """Keyword arguments of a multipart request: `client.post(path, **upload({"a.png": data}, task_id=...))`."""
    images = {"a.png": new_image(), "b.png": new_image()} if images is None else images
    files = [("files", (name, data, "application/octet-stream")) for name, data in images.items()]
    return {"files": files, "data": {"task_id": TASK, **fields}}


def error_of(response, status, code=None):
    """The error of a refusal, once it is in the envelope, with the request's id."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"code", "message", "request_id", "details"}
    assert error["request_id"] == response.headers["X-Request-ID"]
    assert code is None or error["code"] == code, error
    return error


def succeeded(response, status=200):
    assert response.status_code == status, response.text
    assert response.headers["X-Request-ID"]
    return response.json()


def finished(client, job_id, timeout_s=120.0):
    """The job once it has ended."""
    job = {}

    def ended():
        job.update(succeeded(client.get(f"/v1/jobs/{job_id}")))
        return job["status"] in {"succeeded", "failed", "canceled"}

    wait_until(ended, timeout_s)
    return job
