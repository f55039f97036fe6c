"""Where each artifact lies: pure functions from ids to keys, and the checks that keep a key inside the store.

A key is relative, with `/` between segments of ASCII letters, digits, `_`, `.` and `-`: the same on every disk and in
every bucket, with no character that any of them treats specially.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import PurePosixPath
from typing import Literal

from ocrlty_pipeline.errors import InputError

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")
# 200 leaves room for the suffix of a staging file below the 255 bytes of a file's name.
_SEGMENT = re.compile(r"[A-Za-z0-9_.-]{1,200}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_EXTENSION = re.compile(r"\.[a-z0-9]{1,8}\Z")
_DOCUMENT = re.compile(r"(extracts|batches|evals)/([0-9]{4}-[0-9]{2}-[0-9]{2})/([^/]+)\.json\Z")
_VERSIONED = re.compile(r"[0-9]{6,}\.json\Z")
_BY_CONTENT = re.compile(r"/([0-9a-f]{64})(?:\.[a-z0-9]{1,8})?\Z")
_INPUT = re.compile(r"inputs/([^/]+)/[0-9a-f]{2}/[0-9a-f]{2}/([0-9a-f]{64})(\.[a-z0-9]{1,8})?\Z")
# What S3 allows for a whole key.
MAX_KEY_BYTES = 1024

UPLOADS = "uploads"
IMAGE_SETS = "image_sets"
GROUND_TRUTHS = "ground_truths"
DRAFTS = "ground_truth_drafts"
SHARDS = "shards"

DocumentKind = Literal["extract", "batch", "eval"]
# What a browser or a bucket is told of an artifact's content, by the end of its key.
_CONTENT_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".html": "text/html; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".tif": "image/tiff",
    ".bmp": "image/bmp",
    ".gif": "image/gif",
}
FOLDERS: dict[str, DocumentKind] = {"extracts": "extract", "batches": "batch", "evals": "eval"}


def check_id(kind: str, value: str) -> str:
    """Return `value` if it can name a thing in keys, URLs and run tags.

    Args:
        kind: what it names, for the message: `run_id`, `image set name`.
        value: the name, as a person or client gave it.

    Raises:
        InputError: too long, empty, or with other characters.
    """
    if not _ID.match(value):
        raise InputError(
            f"{kind} {_shown(value)} is not allowed: use 1 to 128 letters, digits, '_', '.' and '-', "
            "beginning with a letter or digit."
        )
    return value


def check_key(rel: str) -> str:
    """Return `rel` if it is a key inside the store.

    Raises:
        InputError: absolute, with `..`, a backslash, NUL, an empty segment or any other character no key has.
    """
    if not is_key(rel):
        raise InputError(
            f"{_shown(rel)} is not an artifact's key: keys are relative, such as extracts/2026-11-24/r1.json, "
            "with letters, digits, '_', '.' and '-' between single '/'."
        )
    return rel


def is_key(rel: str) -> bool:
    segments = rel.split("/")
    return len(rel) <= MAX_KEY_BYTES and all(_SEGMENT.match(s) and s not in {".", ".."} for s in segments)


def extract_key(day: date, request_id: str) -> str:
    return f"extracts/{day.isoformat()}/{check_id('request_id', request_id)}.json"


def batch_key(day: date, run_id: str) -> str:
    return f"batches/{day.isoformat()}/{check_id('run_id', run_id)}.json"


def shard_key(day: date, run_id: str, number: int) -> str:
    """The key of the items of a run's shard 0, 1, ...: one line of JSON each, below a line that sums them up."""
    return f"{shards_prefix(day, run_id)}/{number:06d}.jsonl"


def shard_inputs_key(day: date, run_id: str, number: int) -> str:
    """The key of what a run's shard is to extract."""
    return f"{shards_prefix(day, run_id)}/{number:06d}.inputs.json"


def shards_prefix(day: date, run_id: str) -> str:
    """The folder of a run's shards."""
    return f"{SHARDS}/{day.isoformat()}/{check_id('run_id', run_id)}"


def eval_key(day: date, eval_id: str) -> str:
    return f"evals/{day.isoformat()}/{check_id('eval_id', eval_id)}.json"


def report_key(day: date, report_id: str) -> str:
    return f"reports/{day.isoformat()}/{check_id('report id', report_id)}.html"


def report_of(eval_rel: str) -> str:
    """The key of an evaluation's page, by the evaluation's own."""
    named = parse_document_key(eval_rel)
    if named is None or named[0] != "eval":
        raise InputError(f"{_shown(eval_rel)} is not an evaluation's key.")
    return report_key(named[1], named[2])


def preview_key(input_rel: str) -> str | None:
    """The key of the small JPEG that stands for an input on pages; None when `input_rel` is not an input's key."""
    match = _INPUT.match(input_rel)
    return match and f"previews/{match[1]}/{match[2][:2]}/{match[2]}.jpg"


def image_sha256(input_ref: str) -> str | None:
    """The hash of an image's content, which is the name of its bytes wherever they are kept."""
    match = _BY_CONTENT.search(input_ref)
    return match and match[1]


def prompt_key(sha256: str) -> str:
    return f"prompts/{_checked_sha256(sha256)}.txt"


def schema_key(sha256: str) -> str:
    return f"schemas/{_checked_sha256(sha256)}.json"


def content_type(rel: str) -> str:
    """The media type of an artifact, by its key."""
    return _CONTENT_TYPES.get(PurePosixPath(rel).suffix, "application/octet-stream")


def leaderboard_key(image_set: str, task_id: str, name: str) -> str:
    return f"leaderboards/{check_id('image set name', image_set)}/{check_id('task_id', task_id)}/{name}"


def parse_document_key(rel: str) -> tuple[DocumentKind, date, str] | None:
    """Kind, day and id of the extract, batch run or evaluation a key names; None for any other key."""
    match = _DOCUMENT.match(rel)
    if match is None or not _ID.match(match[3]):
        return None
    try:
        return FOLDERS[match[1]], date.fromisoformat(match[2]), match[3]
    except ValueError:
        return None


def input_key(owner: str, sha256: str, extension: str) -> str:
    """The key of an input's bytes, by content; `extension` is lower case with its dot, or empty."""
    check_id("owner", owner)
    _checked_sha256(sha256)
    if extension and not _EXTENSION.match(extension):
        raise InputError(f"{_shown(extension)} is not a file extension such as '.jpg'.")
    return f"inputs/{owner}/{sha256[:2]}/{sha256[2:4]}/{sha256}{extension}"


def upload_key(owner: str, upload_id: str, sha256: str, extension: str) -> str:
    """The key of an upload's file that is kept until its batch has ended, and no longer."""
    kept = input_key(owner, sha256, extension)
    return f"{UPLOADS}/{owner}/{check_id('upload', upload_id)}/{kept.rpartition('/')[2]}"


def image_set_prefix(name: str) -> str:
    return f"{IMAGE_SETS}/{check_id('image set name', name)}"


def image_set_key(name: str, version: int) -> str:
    return version_key(image_set_prefix(name), version)


def ground_truth_prefix(name: str, *, draft: bool = False) -> str:
    """The folder of a ground truth's versions, or of its draft's, which no evaluation reads."""
    return f"{DRAFTS if draft else GROUND_TRUTHS}/{check_id('image set name', name)}"


def ground_truth_key(name: str, version: int) -> str:
    return version_key(ground_truth_prefix(name), version)


def version_key(prefix: str, version: int) -> str:
    """The key of version 1, 2, ... of what `prefix` names; six digits keep a plain listing in order."""
    if version < 1:
        raise InputError(f"Version {version} of {prefix} does not exist: versions begin at 1.")
    return f"{prefix}/{version:06d}.json"


def version_of(rel: str) -> int | None:
    """The version a key names; None for keys that name none."""
    name = rel.rpartition("/")[2]
    return int(name.removesuffix(".json")) if _VERSIONED.match(name) else None


def _checked_sha256(value: str) -> str:
    if not _SHA256.match(value):
        raise InputError(f"{_shown(value)} is not a SHA-256 in lower-case hexadecimal.")
    return value


def _shown(value: str) -> str:
    """`value` for a message, cut where it is absurdly long."""
    return repr(value) if len(value) <= 160 else f"{value[:160]!r}... ({len(value)} characters)"
