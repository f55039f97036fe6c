"""One running service for a test session, and its clients: each a key of its own."""

import pytest

from tests.support.openai_server import openai_server
from tests.support.requests import new_id as made_id
from tests.support.service import running_service


@pytest.fixture(scope="session")
def model_server():
    with openai_server() as server:
        yield server


@pytest.fixture
def model(model_server):
    """The model behind the service, which a test may script; it forgets before and after."""
    model_server.reset()
    yield model_server
    model_server.reset()


@pytest.fixture(scope="session")
def service(postgres_url, tmp_path_factory, model_server):
    """All of it: DEBUG_MODE=1, backend `vllm` with `model` behind it."""
    variables = {
        "DEBUG_MODE": "1",
        "INFERENCE_BACKEND": "vllm",
        "VLLM_BASE_URL": model_server.base_url,
        "VLLM_MODEL": "test-model",
        "VLLM_RETRY_BASE_S": "0.01",
    }
    with running_service(postgres_url, tmp_path_factory.mktemp("service"), **variables) as service:
        yield service


@pytest.fixture(scope="session")
def alice(service):
    return service.client("alice")


@pytest.fixture(scope="session")
def bob(service):
    return service.client("bob")


@pytest.fixture(scope="session")
def dora(service):
    """Has debug:run."""
    return service.client("dora")


@pytest.fixture(scope="session")
def root(service):
    """An admin."""
    return service.client("root")


@pytest.fixture(scope="session")
def nobody(service):
    """Has no key."""
    return service.client()


@pytest.fixture
def new_id():
    return made_id
