"""Outside debug mode: what is for debuggers is refused, whatever the key may."""

from ocrlty_api.schemas.extracts import IMAGE_FIELDS
from tests.support.requests import error_of, extract_body, new_image, succeeded, upload

# Of every option that OpenAPI says is for debuggers, a value that would do.
DEBUG_ONLY = {
    "debug": {"temperature": 1},
    "image_url": "http://example.org/a.png",
    "gt_path": "truth.json",
    "gt_image_key": "name",
}


def debug_options(document):
    """Path, media type, name and an example of the body of every debug-only option in the OpenAPI document."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                name = content["schema"].get("$ref", "").rpartition("/")[2]
                schema = document["components"]["schemas"].get(name, content["schema"])
                for option, described in schema.get("properties", {}).items():
                    if "DebugOptions" in str(described) or described.get("description", "").startswith("Debug only"):
                        yield path, media_type, option, (schema.get("examples") or [{}])[0]


def test_debug_options_are_refused_unless_debug_mode_is_on_whatever_the_key_may(lone):
    client = lone.client()
    folder = lone.data / "debug-options"
    folder.mkdir()
    (folder / "a.png").write_bytes(new_image())
    run_id = succeeded(client.post("/v1/batch_extract_upload", **upload()))["run_id"]
    options = list(debug_options(succeeded(client.get("/openapi.json"))))
    assert {option for _, _, option, _ in options} == set(DEBUG_ONLY)
    for path, media_type, option, example in options:
        if media_type == "application/json":
            images = {name: None for name in IMAGE_FIELDS if name in example} if option in IMAGE_FIELDS else {}
            where = {"images_dir": folder.name} if "images_dir" in example else {"run_id": run_id}
            where = {name: value for name, value in where.items() if name in example}
            body = {**example, **images, **where, option: DEBUG_ONLY[option]}
            answer = client.post(path, json={name: value for name, value in body.items() if value is not None})
        else:
            answer = client.post(path, **upload(**{option: DEBUG_ONLY[option]}))
        error = error_of(answer, 403, "forbidden")
        assert "DEBUG_MODE=1" in error["message"], (path, option)
    assert succeeded(client.post("/v1/extract", json=extract_body()))["raw"] is None


def test_without_debug_mode_no_debug_route_is_there_whatever_the_key_may(lone):
    client = lone.client()
    document = succeeded(client.get("/openapi.json"))
    routes = [
        (method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path.startswith("/v1/debug") or "debug" in operation["tags"]
    ]
    assert ("get", "/v1/debug/artifacts") in routes
    for method, path in routes:
        body = {"json": {"run_id": "x"}} if method in {"post", "put"} else {}
        error = error_of(client.request(method, path.format(request_id="x"), **body), 404, "not_found")
        assert "DEBUG_MODE=1" in error["message"], path
