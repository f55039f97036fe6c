"""What a server is told to serve: `uvicorn ocrlty_api.main:app`.

`app` is made when it is first asked for, so that importing this module does nothing.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from fastapi import FastAPI

from ocrlty_api.app import create_app
from ocrlty_pipeline.errors import OcrltyError


@cache
def _app() -> FastAPI:
    try:
        return create_app()
    except OcrltyError as error:
        sys.exit(f"Error: {error.message}")


def __getattr__(name: str) -> Any:
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
