"""A real server with what lies behind URLs that clients name."""

import io
from http.server import BaseHTTPRequestHandler

import anyio
import pytest
from PIL import Image

from ocrlty_api.errors import ImageUrlUnreachableError, InvalidFieldError
from ocrlty_api.incoming.image_url import fetch_image
from ocrlty_pipeline.outbound import OutboundClient
from ocrlty_pipeline.settings import Settings
from tests.support.http_server import serving

SECRET = b"the secret content of an internal page"


def image():
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(file, "PNG")
    return file.getvalue()


ANSWERS = {
    "/image": (200, image()),
    # What a server calls its file says nothing of what is in it.
    "/page": (200, SECRET),
    "/gone": (404, SECRET),
    "/broken": (500, image()),
    "/large": (200, image().ljust(20_000)),
    "/to-image": (302, b""),
    "/to-metadata": (302, b""),
}
LOCATIONS = {"/to-image": "/image", "/to-metadata": "http://169.254.169.254/latest/meta-data/"}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(body)))
        if self.path in LOCATIONS:
            self.send_header("Location", LOCATIONS[self.path])
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def port():
    with serving(Handler) as url:
        yield int(url.rpartition(":")[2])


def fetch(url, *allowed):
    async def run():
        async with OutboundClient(Settings(outbound_allow_private=allowed, _env_file=None)) as client:
            return await fetch_image(client, url, max_bytes=10_000)

    return anyio.run(run)


@pytest.mark.parametrize("path", ["/image", "/to-image"])
def test_an_image_is_fetched_also_by_way_of_a_redirect(port, path):
    assert fetch(f"http://127.0.0.1:{port}{path}", f"127.0.0.1:{port}") == image()


@pytest.mark.parametrize(
    ("path", "error", "why"),
    [
        ("/page", InvalidFieldError, "not an image"),
        ("/gone", ImageUrlUnreachableError, "status 404"),
        ("/broken", ImageUrlUnreachableError, "status 500"),
        ("/large", ImageUrlUnreachableError, "more than 10000 bytes"),
        ("/to-metadata", InvalidFieldError, "private"),
    ],
)
def test_anything_else_is_the_clients_mistake_and_its_content_stays_untold(port, path, error, why):
    with pytest.raises(error) as refused:
        fetch(f"http://127.0.0.1:{port}{path}", f"127.0.0.1:{port}")
    assert (type(refused.value), refused.value.status) == (error, 422)
    assert refused.value.detail["errors"][0]["loc"] == ["body", "image_url"]
    assert why in refused.value.message
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/image", "http://127.0.0.1/image", "file:///etc/passwd", "", "x"])
def test_without_the_setting_for_tests_nothing_of_this_machine_is_fetched(port, url):
    with pytest.raises(InvalidFieldError, match="image_url is not fetched"):
        fetch(url.format(port))


def test_an_unreachable_host_has_a_code_of_its_own():
    with serving(Handler) as url:
        pass
    with pytest.raises(ImageUrlUnreachableError) as refused:
        fetch(f"{url}/", url.removeprefix("http://"))
    assert refused.value.code == "image_url_unreachable"
