"""Headless Chromium: what a page comes to once its script has run, and what it looks like."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from html import unescape
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium; on Debian, apt install chromium")

# Nothing but the page: no sandbox as root, no look for updates, no start pages.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=10000",
)
_TIMEOUT_S = 120


def dump_dom(url):
    """The document as HTML after the load event and ten seconds of the page's own time, and what its console said."""
    done = _run("--enable-logging=stderr", "--log-level=0", "--dump-dom", url)
    return done.stdout, [unescape(message) for message in re.findall(r"CONSOLE[^\]]*\] (.*)", done.stderr)]


def screenshot(url, file: Path, *, width, height, dark=False):
    """A PNG of the window; `dark` asks for the page's dark colours."""
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    _run(*scheme, f"--window-size={width},{height}", f"--screenshot={file}", url)
    return file


def _run(*arguments):
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        return subprocess.run(
            [str(CHROMIUM), *_FLAGS, f"--user-data-dir={profile}", *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
