"""Templates to a page: one HTML document that needs nothing but its previews, and may load nothing else.

Whatever was read off an image or typed by somebody is text: Jinja escapes it in the HTML, `script_json` in the data.
The Content-Security-Policy allows this page's own style and script by their hashes, and images; should anything slip
through all the same, it is not executed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ocrlty_pipeline.report import wording

# In JSON these stand only within strings; written as escapes they end no script, open no comment and are no line ends.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def render(template: str, data: dict[str, Any], **context: Any) -> bytes:
    """A page as UTF-8.

    Args:
        template: its file below `templates/`.
        data: what its script renders; JSON values.
        context: what the template shows by itself.
    """
    style, script = _asset("page.css"), _asset("page.js")
    page = {
        "style": _own(style),
        "script": _own(script),
        "policy": _policy(style, script),
        "data": script_json(data),
    }
    html = _environment().get_template(template).render(context, **page)
    # A lone surrogate is text that a model can give and UTF-8 cannot hold.
    return html.encode("utf-8", "replace")


def script_json(data: Any) -> Markup:
    """JSON for a `<script type="application/json">`."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_ESCAPES))  # noqa: S704 -- this is the escaping


def _own(asset: str) -> Markup:
    return Markup(asset)  # noqa: S704 -- a file of this package


def _policy(style: str, script: str) -> str:
    # Chromium takes a page opened from disk and the files beside it for one origin, Firefox needs `file:`.
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_source_hash(style)}'",
            f"script-src '{_source_hash(script)}'",
            "img-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        )
    )


def _source_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ocrlty_pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": wording.share,
        "points": wording.points,
        "count": wording.count,
        "milliseconds": wording.milliseconds,
    }
    environment.globals |= {"bounds": wording.bounds, "point_bounds": wording.point_bounds}
    return environment


@cache
def _asset(name: str) -> str:
    loader = _environment().loader
    assert loader is not None  # noqa: S101 -- `_environment` gives it one
    return loader.get_source(_environment(), name)[0]
