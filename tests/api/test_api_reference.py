"""docs/api.md names what there is, and nothing else: every route, every error code with its status."""

import re
from pathlib import Path

import pytest

from ocrlty_api.app import create_app
from ocrlty_api.error_responses import MEANINGS, code_of, status_of
from ocrlty_api.errors import ApiError
from ocrlty_pipeline.errors import OcrltyError
from ocrlty_pipeline.settings import Settings

REFERENCE = Path(__file__).parents[2] / "docs" / "api.md"
PAGE = {("GET", "/docs"), ("GET", "/openapi.json")}


@pytest.fixture(scope="module")
def document():
    return create_app(Settings(_env_file=None, auth_enabled=False)).openapi()


@pytest.fixture(scope="module")
def text():
    return REFERENCE.read_text()


def documented_codes(document):
    """Status and code of every refusal that some operation documents."""
    answers = [
        (int(status), answer["description"])
        for methods in document["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
    ]
    return {(status, code) for status, description in answers for code in re.findall(r"`([a-z_]+)`: ", description)}


def below(kind):
    return [kind, *(inner for outer in kind.__subclasses__() for inner in below(outer))]


def test_the_reference_names_every_route_and_no_other(document, text):
    named = set(re.findall(r"`(GET|POST|PUT|DELETE) (/[^`\s]+)`", text))
    served = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert named == served | PAGE


def test_the_reference_names_every_error_code_with_its_status(document, text):
    named = {
        (int(status), code) for status, code in re.findall(r"^\| (\d{3}) \| `([a-z_]+)` \| \S", text, re.MULTILINE)
    }
    assert documented_codes(document) <= named
    possible = [*below(ApiError), *(kind for base in MEANINGS for kind in below(base))]
    assert named <= {(status_of(kind), code_of(kind)) for kind in possible if kind not in {ApiError, OcrltyError}}
    own = {(kind.status, kind.code) for kind in below(ApiError) if "code" in vars(kind)}
    assert own <= named


def test_the_reference_and_the_settings_agree_on_the_limits(text):
    settings = Settings(_env_file=None)
    shown = {
        "MAX_IMAGE_BYTES": f"{settings.max_image_bytes // 2**20} MiB",
        "MAX_BATCH_SYNC_FILES": f"{settings.max_batch_sync_files} images",
        "JOBS_MAX_CONCURRENCY": f"| {settings.jobs_max_concurrency} |",
        "API_BODY_TIMEOUT_S": f"{settings.api_body_timeout_s:g} s",
        "MAX_BATCH_FILES": f"{settings.max_batch_files:,} files",
    }
    rows = text.partition("## Limits")[2].partition("## Headers")[0].splitlines()
    for name, value in shown.items():
        assert any(f"`{name}`" in row and value in row for row in rows), name
