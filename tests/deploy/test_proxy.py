"""deploy/proxy/nginx.conf in a real nginx, before servers that tell what reached them."""

import getpass
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve

from tests.support.service import free_port
from tests.support.waiting import wait_until

CONFIGURATION = Path(__file__).parents[2] / "deploy/proxy/nginx.conf"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
DAGSTER, API = "dagster.example.org", "api.example.org"
ADA = ("ada", "hers")

pytestmark = pytest.mark.skipif(
    NGINX is None or shutil.which("openssl") is None,
    reason="no nginx, which alone can try its configuration, or no openssl: apt install nginx openssl",
)


class _Told(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{self.path} {self.headers.get('Authorization', '-')} {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(30)


@pytest.fixture(scope="module")
def upstreams():
    def echo(connection):
        for message in connection:
            connection.send(f"told {message}")

    api = ThreadingHTTPServer(("127.0.0.1", 0), _Told)
    with serving(api), serving(serve(echo, "127.0.0.1", 0)) as sockets, serving(_http()) as ui:
        yield {"ui": ui.server_address[1], "sockets": sockets.socket.getsockname()[1], "api": api.server_address[1]}
        api.server_close()
        ui.server_close()


def _http():
    return ThreadingHTTPServer(("127.0.0.1", 0), _Told)


@contextmanager
def nginx(folder, ui, api):
    """nginx with our configuration, its ports and files replaced; answers its port."""
    folder.mkdir()
    port = free_port()
    names = ["-subj", f"/CN={DAGSTER}", "-addext", f"subjectAltName=DNS:{DAGSTER},DNS:{API}"]
    files = ["-keyout", folder / "ocrlty.key", "-out", folder / "ocrlty.crt"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names, *files]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    (folder / "ocrlty.htpasswd").write_text(f"{ADA[0]}:{{PLAIN}}{ADA[1]}\n")
    ours = CONFIGURATION.read_text()
    for shown, real in {
        "443": str(port),
        "/etc/nginx": str(folder),
        "127.0.0.1:3000": f"127.0.0.1:{ui}",
        "127.0.0.1:8000": f"127.0.0.1:{api}",
    }.items():
        assert shown in ours
        ours = ours.replace(shown, real)
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; user {getpass.getuser()}; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n{ours} }}\n"
    )
    process = subprocess.Popen([NGINX, "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"])
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), timeout_s=30)
        assert process.poll() is None, (folder / "error.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _listens(port):
    try:
        httpx2.get(f"http://127.0.0.1:{port}", timeout=5)
    except httpx2.TransportError:
        return False
    return True


@pytest.fixture(scope="module")
def port(upstreams, tmp_path_factory):
    with nginx(tmp_path_factory.mktemp("proxy") / "nginx", upstreams["ui"], upstreams["api"]) as port:
        yield port


@pytest.fixture(scope="module")
def get(port):
    # The certificate is this test's own, and the address not the name in it.
    with httpx2.Client(verify=False, base_url=f"https://127.0.0.1:{port}", timeout=30) as client:

        def get(host, path, **options):
            return client.get(path, headers={"Host": host}, **options)

        yield get


def test_the_ui_asks_who_you_are_and_keeps_the_password_to_itself(get):
    assert get(DAGSTER, "/runs").status_code == 401
    assert get(DAGSTER, "/runs", auth=("ada", "a guess")).status_code == 401
    assert get(DAGSTER, "/runs", auth=ADA).text.split() == ["/runs", "-", DAGSTER]


def test_the_api_is_asked_without_a_password_and_its_metrics_stay_inside(get):
    assert get(API, "/v1/health").text.split() == ["/v1/health", "-", API]
    assert get(API, "/metrics").status_code == 404


def test_websockets_pass_with_the_password_only(upstreams, tmp_path):
    with nginx(tmp_path / "nginx", upstreams["sockets"], upstreams["api"]) as port:
        context = ssl.create_default_context(cafile=tmp_path / "nginx/ocrlty.crt")

        def opened(address):
            sock = socket.create_connection(("127.0.0.1", port), timeout=30)
            return connect(address, sock=sock, ssl=context, server_hostname=DAGSTER)

        with opened(f"wss://ada:hers@{DAGSTER}/graphql") as websocket:
            websocket.send("a run started")
            assert websocket.recv(timeout=30) == "told a run started"
        with pytest.raises(InvalidStatus) as refused, opened(f"wss://{DAGSTER}/graphql"):
            pass
        assert refused.value.response.status_code == 401
