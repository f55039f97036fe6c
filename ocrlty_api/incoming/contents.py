"""Digests of what a request asks, by which a repeated submission is told from another one under the same id."""

from __future__ import annotations

import hashlib

import orjson


def content_digest(**parts: object) -> str:
    """SHA-256 (hexadecimal) of named parts, independent of their order and of the order of keys within them.

    Args:
        parts: JSON-serializable values, or bytes such as an image's.
    """
    plain = {name: _plain(value) for name, value in parts.items()}
    return hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _plain(value: object) -> object:
    """Bytes as their digest, in a shape that no JSON value of a request's part has by accident."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$sha256": hashlib.sha256(value).hexdigest()}
    return value
