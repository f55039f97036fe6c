"""Every route and every field that names something, tried by who may not: no content, no file beyond the roots.

What belongs to one part alone (keys, bodies, URLs, uploads) is tested beside it.
"""

from urllib.parse import quote

import orjson
import psycopg
import pytest
from sqlalchemy import make_url

from ocrlty_api.app import create_app
from ocrlty_pipeline.settings import Settings
from tests.support.requests import error_of, extract_body, finished, new_image, succeeded, upload

RUN, DEBUG, RAW, DELETE = "extract:run", "debug:run", "debug:read_raw", "runs:delete"
# By path: its methods' scope; None needs no key, "any" any.
SCOPES = {
    "/v1/health": {"get": None},
    "/v1/health/ready": {"get": None},
    "/metrics": {"get": None},
    "/v1/me": {"get": "any"},
    "/v1/tasks": {"get": RUN},
    "/v1/extract": {"post": RUN},
    "/v1/extract_async": {"post": RUN},
    "/v1/batch_extract": {"post": RUN},
    "/v1/batch_extract_async": {"post": RUN},
    "/v1/batch_extract_rerun": {"post": RUN},
    "/v1/batch_extract_rerun_async": {"post": RUN},
    "/v1/batch_extract_upload": {"post": RUN},
    "/v1/batch_extract_upload_async": {"post": RUN},
    "/v1/jobs": {"get": RUN},
    "/v1/jobs/{job_id}": {"get": RUN},
    "/v1/jobs/{job_id}/result": {"get": RUN},
    "/v1/jobs/{job_id}/error": {"get": RUN},
    "/v1/jobs/{job_id}/events": {"get": RUN},
    "/v1/jobs/{job_id}/cancel": {"post": RUN},
    "/v1/runs": {"get": RUN},
    "/v1/runs/compare": {"get": RUN},
    "/v1/runs/eval": {"get": RUN},
    "/v1/runs/item/{request_id}": {"get": RUN},
    "/v1/runs/{run_id}": {"get": RUN, "delete": DELETE},
    "/v1/runs/{run_id}/items": {"get": RUN},
    "/v1/runs/{run_id}/artifact": {"get": RUN},
    "/v1/reports/{rel}": {"get": RUN},
    "/v1/webhooks": {"get": RUN, "post": RUN},
    "/v1/webhooks/secret": {"get": RUN},
    "/v1/webhooks/{webhook_id}": {"get": RUN, "delete": RUN},
    "/v1/webhooks/{webhook_id}/test": {"post": RUN},
    "/v1/ground_truths": {"get": DEBUG, "post": DEBUG},
    "/v1/ground_truths/{image_set}": {"get": DEBUG, "put": DEBUG, "delete": DEBUG},
    "/v1/ground_truths/{image_set}/draft": {"get": DEBUG, "post": DEBUG, "put": DEBUG, "delete": DEBUG},
    "/v1/ground_truths/{image_set}/draft/confirm": {"post": DEBUG},
    "/v1/debug/artifacts": {"get": RAW},
    "/v1/debug/artifacts/backup.tar.gz": {"get": RAW},
    "/v1/debug/artifacts/{request_id}": {"get": RAW},
    "/v1/debug/artifacts/{request_id}/raw": {"get": RAW},
    "/v1/debug/eval/batch_vs_gt": {"post": DEBUG},
}
OUTSIDE = "a line that stands outside every root"
AWAY = (
    "../secret.txt",
    "..%2f..%2fsecret.txt",
    "/etc/passwd",
    "....//secret.txt",
    "..\\secret.txt",
    "x\0y",
    "x\ny",
    "x" * 300,
)


def operations():
    return [(method, path, scope) for path, methods in SCOPES.items() for method, scope in methods.items()]


def filled(path):
    return path.format(job_id="j", run_id="r", request_id="q", image_set="s", rel="reports/x", webhook_id="w")


def test_the_table_names_every_operation():
    document = create_app(Settings(_env_file=None, auth_enabled=False)).openapi()
    assert {path: set(methods) for path, methods in document["paths"].items()} == {
        path: set(methods) for path, methods in SCOPES.items()
    }


def test_without_a_key_every_operation_is_refused_but_the_open_ones(nobody):
    for method, path, scope in operations():
        response = nobody.request(method, filled(path), **({"json": {}} if method in {"post", "put"} else {}))
        if scope is None:
            assert response.status_code in {200, 503}, path
        else:
            error_of(response, 401, "unauthorized")
            assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_without_its_scope_an_operation_is_forbidden_and_says_which(alice, dora):
    for method, path, scope in operations():
        if scope in {DEBUG, RAW, DELETE}:
            client = alice if scope == DEBUG else dora
            response = client.request(method, filled(path), **({"json": {}} if method in {"post", "put"} else {}))
            assert error_of(response, 403, "forbidden")["details"]["missing_scope"] == scope


@pytest.fixture(scope="module")
def alices(alice, model_server):
    """One of everything, alice's: ids by what they name, and texts that no other key may see."""
    model_server.reset()
    run_id, request_id = "security-run", "security-extract"
    truth = orjson.dumps([{"file": "a.png", "total": "77.77"}]).decode()
    batch = succeeded(alice.post("/v1/batch_extract_upload", **upload(run_id=run_id, gt_json=truth)))
    extract = succeeded(alice.post("/v1/extract", json=extract_body(request_id=request_id)))
    job_id = succeeded(alice.post("/v1/extract_async", json=extract_body(request_id="security-job")), 202)["job_id"]
    job = finished(alice, job_id)
    return {
        "run_id": run_id,
        "request_id": request_id,
        "job_id": job_id,
        "image_set": batch["image_set"],
        "image_ref": job["request"]["image_ref"],
        "eval": batch["eval"]["eval_artifact_rel"],
        "report": batch["eval"]["report_rel"],
        "shown": [batch["items"][0]["request_id"], extract["artifact_rel"], job["result_rel"]],
    }


def test_what_is_anothers_is_not_found_on_every_route(alices, bob, dora):
    run, job, extract = alices["run_id"], alices["job_id"], alices["request_id"]
    paths = [
        f"/v1/jobs/{job}", f"/v1/jobs/{job}/result", f"/v1/jobs/{job}/error", f"/v1/jobs/{job}/events",
        f"/v1/runs/{run}", f"/v1/runs/{run}/items", f"/v1/runs/item/{extract}", f"/v1/runs/compare?a={run}&b={run}",
        f"/v1/runs/{run}/artifact",
        f"/v1/runs/eval?artifact_rel={alices['eval']}", f"/v1/reports/{alices['report']}",
    ]  # fmt: skip
    for client in (bob, dora):
        for path in paths:
            response = client.get(path)
            error_of(response, 404, "not_found")
            assert not any(text in response.text for text in alices["shown"]), path
        error_of(client.post(f"/v1/jobs/{job}/cancel"), 404)
        error_of(client.post("/v1/batch_extract_rerun", json={"run_id": run}), 404)
        error_of(client.post("/v1/batch_extract_rerun_async", json={"run_id": run}), 404)
        by_ref = {"task_id": "receipt_fields_v1", "image_ref": alices["image_ref"]}
        for path in ("/v1/extract", "/v1/extract_async"):
            error_of(client.post(path, json=by_ref), 404)
    for path in (f"/v1/ground_truths/{alices['image_set']}", f"/v1/ground_truths/{alices['image_set']}/draft"):
        error_of(dora.get(path), 404)
    error_of(dora.post("/v1/debug/eval/batch_vs_gt", json={"run_id": run}), 404)
    listed = bob.get("/v1/runs?limit=200").text + bob.get("/v1/jobs?limit=200").text
    assert run not in listed
    assert job not in listed


def test_no_name_leads_out_of_its_root(alice, dora, root, service, alices):
    (service.home.parent / "secret.txt").write_text(OUTSIDE)
    before = files_of(service)
    bodies = []
    for away in AWAY:
        bodies += [
            ("/v1/extract", extract_body(image_base64=None, image_ref=away)),
            ("/v1/extract", extract_body(request_id=away)),
            ("/v1/extract_async", extract_body(request_id=away)),
            ("/v1/batch_extract", {"task_id": "receipt_fields_v1", "images_dir": away}),
            ("/v1/batch_extract", {"task_id": "receipt_fields_v1", "images_dir": ".", "glob": f"{away}*"}),
            ("/v1/batch_extract_async", {"task_id": "receipt_fields_v1", "images_dir": ".", "gt_path": away}),
            ("/v1/batch_extract_rerun", {"run_id": away}),
            ("/v1/debug/eval/batch_vs_gt", {"run_id": alices["run_id"], "gt_path": away}),
            ("/v1/ground_truths", {"image_set": away, "content": [{"file": "a.png"}]}),
        ]
    for path, body in bodies:
        refused(root.post(path, json=body), path, body)
    for away in AWAY:
        refused(alice.post("/v1/batch_extract_upload", **upload(run_id=away)), "upload", away)
        for path in (
            "/v1/jobs/",
            "/v1/runs/",
            "/v1/runs/item/",
            "/v1/reports/",
            "/v1/debug/artifacts/",
            "/v1/ground_truths/",
        ):
            refused(root.get(path + quote(away, safe="")), path, away)
        refused(root.get("/v1/runs/eval", params={"artifact_rel": away}), "eval", away)
    assert files_of(service) - before == set()
    assert (service.home.parent / "secret.txt").read_text() == OUTSIDE


def files_of(service):
    """Every file at or beside the service's folders, but for its processes' own and images that alice uploaded."""
    own = {service.home / "logs", service.home / "dagster", service.artifact("inputs/alice")}
    found = service.home.parent.rglob("*")
    return {path for path in found if path.is_file() and own.isdisjoint(path.parents)}


def refused(response, *what):
    assert 400 <= response.status_code < 500, (response.status_code, what)
    assert set(response.json()) == {"error"}, what
    assert OUTSIDE not in response.text, what
    assert "root:" not in response.text, what


def test_no_header_or_path_of_a_request_breaks_an_answer_or_the_log(alice, service):
    for value in ("a b", "<script>", "x" * 5000, "é", '{"a": 1}', "a\tb"):
        for name in ("X-Request-ID", "Idempotency-Key", "Last-Event-ID"):
            response = alice.get("/v1/me", headers={name: value.encode()})
            assert response.status_code in {200, 400, 422, 431}, (name, value)
            assert value not in response.headers.get("X-Request-ID", "")
    for path in ("/v1/runs/x%0aforged", "/v1/runs/x%0d%0aINFO:%20forged", "/x%0aforged", "/v1/runs?cursor=x%0aforged"):
        assert alice.get(path).status_code in {400, 404}, path
    assert all(entry["level"] for entry in service.api_log_entries())


def test_secrets_and_images_stand_in_no_log_artifact_or_run(alice, service, alices):
    image = new_image()
    body = extract_body(image, request_id="security-secrets")
    finished(alice, succeeded(alice.post("/v1/extract_async", json=body), 202)["job_id"])
    secrets = [*service.keys.values(), service.environment["API_KEY_PEPPER"], body["image_base64"]]
    logs = [path.read_text(errors="replace") for path in (service.home / "logs").rglob("*") if path.is_file()]
    documents = [path.read_text(errors="replace") for path in (service.home / "artifacts").rglob("*.json")]
    url = make_url(service.database_url)
    with psycopg.connect(user=url.username, dbname=url.database, **url.query) as connection:
        queries = ("SELECT key || value FROM run_tags", "SELECT run_body FROM runs", "SELECT event FROM event_logs")
        stored = [str(row[0]) for query in queries for row in connection.execute(query)]
    shown = [alice.get("/metrics").text, alice.get("/openapi.json").text]
    for text in [*logs, *documents, *stored, *shown]:
        assert not any(secret in text for secret in secrets)
