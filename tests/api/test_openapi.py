"""The OpenAPI document says all that clients meet, and its page needs no other host."""

import re

import pytest

from ocrlty_api.app import create_app
from ocrlty_pipeline.settings import Settings
from tests.support.requests import extract_body

OPEN = {"/v1/health", "/v1/health/ready", "/metrics"}


@pytest.fixture(scope="module")
def document():
    return create_app(Settings(_env_file=None, auth_enabled=False)).openapi()


def operations(document):
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def resolved(document, schema):
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def test_every_answer_has_its_request_id_and_every_refusal_the_envelope(document):
    for path, _, operation in operations(document):
        assert "X-Request-ID" in [parameter["name"] for parameter in operation["parameters"]]
        for status, answer in operation["responses"].items():
            assert "X-Request-ID" in answer["headers"]
            if int(status) >= 400 and (path, status) != ("/v1/health/ready", "503"):
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorEnvelope"}, (path, status)
                assert re.match(r"`[a-z_]+`: .", answer["description"]), answer["description"]


def test_every_operation_but_the_open_ones_takes_a_key_and_says_what_becomes_of_a_bad_one(document):
    for path, _, operation in operations(document):
        if path in OPEN:
            assert "security" not in operation
        else:
            assert operation["security"] == [{"HTTPBearer": []}, {"APIKeyHeader": []}]
            assert {"400", "401", "403", "429", "500", "503"} <= set(operation["responses"]), path
    schemes = document["components"]["securitySchemes"]
    assert (schemes["HTTPBearer"]["scheme"], schemes["APIKeyHeader"]["name"]) == ("bearer", "X-API-Key")


def test_every_operation_is_described_and_has_examples(document):
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        assert operation["description"], where
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        assert body is None or has_example(document, body), where
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/json")
            assert content is None or has_example(document, content), f"{where} {status}"


def has_example(document, content):
    return "example" in content or "examples" in content or resolved(document, content["schema"]).get("examples")


def test_the_documents_request_example_is_one_that_works(document, alice, model):
    schema = document["components"]["schemas"]["ExtractBody"]
    answer = alice.post("/v1/extract", json={**schema["examples"][0], "request_id": None})
    assert answer.json()["error"] is None
    assert set(extract_body()) <= set(schema["properties"])


def test_the_running_service_gives_this_document_and_its_page_without_a_key(document, nobody):
    assert nobody.get("/openapi.json").json()["paths"].keys() == document["paths"].keys()
    page = nobody.get("/docs").text
    addresses = re.findall(r"(?:src|href)=[\"']([^\"']+)", page)
    assert addresses
    for address in addresses:
        assert address.startswith("/docs/assets/")
        assert nobody.get(address).status_code == 200
    assert "https://" not in page
