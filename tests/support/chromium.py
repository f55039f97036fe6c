"""A headless Chromium, driven over its DevTools protocol: opens pages, evaluates in them, and tells what they did."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.waiting import wait_until

EXECUTABLE = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
]
TIMEOUT_S = 60
_MIDDLE = """(selector) => {
    const element = document.querySelector(selector);
    element.scrollIntoView({block: "center", behavior: "instant"});
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
}"""


class Page:
    """One tab; `events` are what the browser said of it, oldest first."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.look(900)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol; answers its result."""
        number = next(self._ids)
        self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._connection.recv(timeout=TIMEOUT_S))
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return message["result"]
            self.events.append(message)

    def open(self, url: str) -> None:
        """Go to a page, and wait until it has loaded; forgets the events of the one before."""
        self.call("Page.navigate", url="about:blank")
        self.events.clear()
        self.call("Page.navigate", url=url)
        wait_until(lambda: self.evaluate("document.readyState === 'complete' && location.href !== 'about:blank'"))

    def evaluate(self, expression: str) -> Any:
        """The JSON value of an expression; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def click(self, selector: str) -> None:
        """Click with the mouse on the middle of an element, which is scrolled into view."""
        x, y = self.evaluate(f"({_MIDDLE})({json.dumps(selector)})")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def look(self, width: int, *, dark: bool = False, height: int = 900) -> None:
        """Set the window's size in CSS pixels, and the colour scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        # A page that is still gliding along is no place to click at.
        wishes = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))

    @property
    def requests(self) -> list[str]:
        """Every address the page asked for, itself included."""
        asked = [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith("about:")]

    @property
    def complaints(self) -> list[str]:
        """Exceptions, console errors and what the Content-Security-Policy refused."""
        thrown = [str(e["params"]) for e in self.events if e["method"] == "Runtime.exceptionThrown"]
        return thrown + [
            e["params"]["entry"]["text"]
            for e in self.events
            if e["method"] == "Log.entryAdded" and e["params"]["entry"]["level"] == "error"
        ]


@contextmanager
def chromium() -> Iterator[Page]:
    """A browser with one empty tab, for as long as the context is open."""
    assert EXECUTABLE is not None, "there is no Chromium"
    folder = Path(tempfile.mkdtemp(prefix="ocrlty-chromium-"))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [EXECUTABLE, *FLAGS, f"--user-data-dir={folder}", "about:blank"], stdout=log, stderr=log
        )
    try:
        with connect(_tab(process, folder), max_size=None, open_timeout=TIMEOUT_S) as connection:
            yield Page(connection)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(TIMEOUT_S)
        shutil.rmtree(folder, ignore_errors=True)


def _tab(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Address of the first tab; the browser writes down its port when it listens."""
    port_file = folder / "DevToolsActivePort"

    def listening() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        return port_file.exists() and len(port_file.read_text().splitlines()) == 2

    wait_until(listening)
    port, path = port_file.read_text().splitlines()
    with connect(f"ws://127.0.0.1:{port}{path}", max_size=None, open_timeout=TIMEOUT_S) as browser:
        browser.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
        while (message := json.loads(browser.recv(timeout=TIMEOUT_S))).get("id") != 1:
            pass
    tab = next(t["targetId"] for t in message["result"]["targetInfos"] if t["type"] == "page")
    return f"ws://127.0.0.1:{port}/devtools/page/{tab}"
