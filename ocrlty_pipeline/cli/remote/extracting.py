"""`ocrlty extract`: one image through a running service."""

from __future__ import annotations

import base64
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from ocrlty_pipeline.cli.output import print_json, say
from ocrlty_pipeline.cli.remote.client import remote_service
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.settings import load_settings

# Exit codes beside 0 (an answer that follows its schema) and 1 (refused).
NO_ANSWER, NOT_VALID = 3, 4


def extract(
    file: Annotated[Path, typer.Argument(help="The image.")],
    task: Annotated[str, typer.Option(help="What to extract, for example receipt_fields_v1.")],
    *,
    request_id: Annotated[str | None, typer.Option(help="Id of the extract; the same again gives the same.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the whole record, not only what was extracted.")] = False,
) -> None:
    """Extract one image through the service at OCRLTY_URL.

    Exit code 0: an answer that follows the task's schema; 3: no answer; 4: an answer that departs from the schema.
    """
    body = {
        "task_id": task,
        # Named here, so that a request whose answer was lost is not paid for twice when it is sent again.
        "request_id": request_id or uuid.uuid4().hex,
        "image_base64": base64.b64encode(_read(file)).decode(),
    }
    with remote_service(load_settings()) as service:
        record = service.post("/v1/extract", body)
    print_json(record if json else record["parsed"])
    code = _told(record)
    if code:
        raise typer.Exit(code)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from None


def _told(record: dict[str, Any]) -> int:
    """Say what is wrong with a record; answers the exit code."""
    if record["error"] is not None:
        say(f"{record['error']['code']}: {record['error']['message']}")
        return NO_ANSWER
    for violation in record["schema_errors"] or []:
        say(f"schema: {violation['path']}: {violation['message']}")
    return 0 if record["schema_valid"] else NOT_VALID
