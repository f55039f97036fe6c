"""JSON files of a data set's folder, each named like the image it speaks of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ocrlty_pipeline.errors import GroundTruthError
from ocrlty_pipeline.ground_truth import load_ground_truth


def strict_json(data: bytes, where: str) -> Any:
    """The JSON value in `data`.

    Raises:
        GroundTruthError: it cannot be read; begins with `where`.
    """
    try:
        return load_ground_truth(data)
    except GroundTruthError as error:
        raise GroundTruthError(f"{where}: {error.message}") from None


def files_below(folder: Path, *suffixes: str) -> Iterator[tuple[str, bytes]]:
    """Path within the folder, with `/`, and content of each file with one of the suffixes, in order of their paths."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes and path.is_file() and path.resolve().is_relative_to(folder):
            yield path.relative_to(folder).as_posix(), _read(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GroundTruthError(f"{path} cannot be read: {error.strerror}.") from None
