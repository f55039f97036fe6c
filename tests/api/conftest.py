"""One running service for a test session, and its clients: each a key of its own."""

from http.server import BaseHTTPRequestHandler

import pytest

from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import Settings
from tests.support.http_server import serving
from tests.support.job_requests import images
from tests.support.openai_server import openai_server
from tests.support.receipts import tiny_image
from tests.support.requests import new_id as made_id
from tests.support.service import running_service
from tests.support.webhook_receiver import webhook_receiver


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
def image_server():
    """The address of a server that gives one image at `/image`, and redirects from `/away` to another private one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            image = tiny_image(1) if self.path.startswith("/image") else b"no image"
            self.send_response(302 if self.path == "/away" else 200)
            self.send_header("Location", "http://127.0.0.1:80/")
            self.send_header("Content-Length", str(len(image)))
            self.end_headers()
            self.wfile.write(image)

    with serving(Handler) as url:
        yield url


@pytest.fixture(scope="session")
def webhook_server():
    """A client's own server, which the service may call."""
    with webhook_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def service(postgres_url, tmp_path_factory, model_server, image_server, webhook_server):
    """All of it: DEBUG_MODE=1, backend `vllm` with `model` behind it; it may call the two servers above."""
    variables = {
        "DEBUG_MODE": "1",
        # Tests without a key must not run into the limit on each other.
        "API_FAILURE_LIMIT": "100000/minute",
        **model_server.environment,
        "VLLM_RETRY_BASE_S": "0.01",
        "OUTBOUND_ALLOW_PRIVATE": ",".join(url.removeprefix("http://") for url in (image_server, webhook_server.url)),
    }
    with running_service(postgres_url, tmp_path_factory.mktemp("service"), **variables) as service:
        yield service


@pytest.fixture(scope="session")
def lone_model():
    """The model behind `lone`."""
    with openai_server() as server:
        yield server


@pytest.fixture(scope="session")
def lone(postgres_url, tmp_path_factory, lone_model):
    """The API alone, open to everybody, in text: without Dagster's webserver and daemon."""
    variables = {
        "AUTH_ENABLED": "0",
        "API_SHUTDOWN_TIMEOUT_S": "6",
        "LOG_FORMAT": "text",
        "CORS_ALLOW_ORIGINS": "https://app.example.org",
        **lone_model.environment,
        "VLLM_RETRY_MAX_ATTEMPTS": "1",
    }
    folder = tmp_path_factory.mktemp("lone")
    with running_service(postgres_url, folder, dagster=False, **variables) as service:
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


@pytest.fixture
def folder(service):
    """Makes a folder of `count` new images under DATA_ROOT; answers its name."""

    def folder(count):
        name = made_id("folder")
        (service.data / name).mkdir()
        for file, image in images(count).items():
            (service.data / name / file).write_bytes(image)
        return name

    return folder


@pytest.fixture(scope="session")
def stored(service):
    """The running service's own store and index, for tests that need runs without making them."""
    settings = Settings(_env_file=None, ocrlty_home=service.home, database_url=service.database_url)
    with open_services(settings) as services:
        yield services
