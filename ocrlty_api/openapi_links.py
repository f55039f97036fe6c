"""What follows from an answer: OpenAPI links, by which tools and people go from one request to the next.

Belongs here: which answer names what of which other operation. Does not: the operations themselves.
"""

from __future__ import annotations

from typing import Any

Operation = tuple[str, str]

JOB = "/v1/jobs/{job_id}"
RUN = "/v1/runs/{run_id}"
TRUTH = "/v1/ground_truths/{image_set}"
DRAFT = f"{TRUTH}/draft"
WEBHOOK = "/v1/webhooks/{webhook_id}"
SYNC = ("/v1/batch_extract", "/v1/batch_extract_upload", "/v1/batch_extract_rerun")
ASYNC = tuple(f"{path}_async" for path in ("/v1/extract", *SYNC))

_OF_JOB: tuple[Operation, ...] = (
    ("get", JOB),
    ("get", f"{JOB}/result"),
    ("get", f"{JOB}/error"),
    ("get", f"{JOB}/events"),
    ("post", f"{JOB}/cancel"),
)
_OF_RUN: tuple[Operation, ...] = (("get", RUN), ("get", f"{RUN}/items"), ("delete", RUN))
_OF_EXTRACT: tuple[Operation, ...] = (
    ("get", "/v1/runs/item/{request_id}"),
    ("get", "/v1/debug/artifacts/{request_id}"),
    ("get", "/v1/debug/artifacts/{request_id}/raw"),
)
_OF_TRUTH: tuple[Operation, ...] = (("get", TRUTH), ("put", TRUTH), ("delete", TRUTH))
_OF_DRAFT: tuple[Operation, ...] = (("get", DRAFT), ("put", DRAFT), ("delete", DRAFT), ("post", f"{DRAFT}/confirm"))

_OF_WEBHOOK: tuple[Operation, ...] = (("get", WEBHOOK), ("delete", WEBHOOK), ("post", f"{WEBHOOK}/test"))


def add_links(document: dict[str, Any]) -> None:
    """Add them to the answers of a complete document."""
    for path in ASYNC:
        _link(document, ("post", path), "202", _OF_JOB, job_id="job_id")
    _link(document, ("get", "/v1/jobs"), "200", _OF_JOB, job_id="items/0/job_id")
    for path in SYNC:
        _link(document, ("post", path), "200", _OF_RUN, run_id="run_id")
        _link(document, ("post", path), "200", _OF_EXTRACT, request_id="items/0/request_id")
        _link_bodies(document, ("post", path))
    _link(document, ("get", "/v1/runs"), "200", _OF_RUN, run_id="items/0/run_id")
    _link(document, ("get", RUN), "200", (("get", "/v1/runs/eval"),), artifact_rel="eval/eval_artifact_rel")
    _link(document, ("get", RUN), "200", (("get", "/v1/reports/{rel}"),), rel="eval/report_rel")
    _link(document, ("get", RUN), "200", (("get", "/v1/runs/compare"),), a="run_id", b="run_id")
    _link(document, ("post", "/v1/extract"), "200", _OF_EXTRACT, request_id="request_id")
    for operation, status in ((("post", "/v1/ground_truths"), "201"), (("post", f"{DRAFT}/confirm"), "200")):
        _link(document, operation, status, _OF_TRUTH, image_set="image_set")
    _link(document, ("post", DRAFT), "201", _OF_DRAFT, image_set="image_set")
    _link(document, ("post", "/v1/webhooks"), "201", _OF_WEBHOOK, webhook_id="webhook_id")


def _link(
    document: dict[str, Any], source: Operation, status: str, targets: tuple[Operation, ...], **pointers: str
) -> None:
    """Link an answer to `targets`, whose parameters are at these JSON pointers of its body."""
    links = _links_of(document, source, status)
    for target in targets:
        name = _operation(document, target)["operationId"]
        parameters = {parameter: f"$response.body#/{pointer}" for parameter, pointer in pointers.items()}
        links[name] = {"operationId": name, "parameters": parameters}


def _link_bodies(document: dict[str, Any], source: Operation) -> None:
    """Link a batch to what takes its run_id in the body."""
    links = _links_of(document, source, "200")
    for path in ("/v1/batch_extract_rerun", "/v1/debug/eval/batch_vs_gt"):
        name = _operation(document, ("post", path))["operationId"]
        links[name] = {"operationId": name, "requestBody": {"run_id": "$response.body#/run_id"}}


def _links_of(document: dict[str, Any], source: Operation, status: str) -> dict[str, Any]:
    links: dict[str, Any] = _operation(document, source)["responses"][status].setdefault("links", {})
    return links


def _operation(document: dict[str, Any], operation: Operation) -> dict[str, Any]:
    method, path = operation
    found: dict[str, Any] = document["paths"][path][method]
    return found
