"""Ground truth from a file or a folder, whichever format it is in: the one place that knows all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from ocrlty_pipeline.datasets.cord import read_cord
from ocrlty_pipeline.datasets.fields import read_csv, read_jsonl
from ocrlty_pipeline.datasets.sroie import read_sroie
from ocrlty_pipeline.errors import GroundTruthError
from ocrlty_pipeline.ground_truth import load_ground_truth, read_ground_truth_file

Format = Literal["auto", "json", "jsonl", "csv", "sroie", "cord"]
FORMATS: tuple[str, ...] = get_args(Format)

_OF_FILES: Mapping[str, Callable[[bytes], Any]] = {"json": load_ground_truth, "jsonl": read_jsonl, "csv": read_csv}
_OF_FOLDERS: Mapping[str, Callable[[Path], Any]] = {"sroie": read_sroie, "cord": read_cord}


def read_ground_truth(path: Path, root: Path, given: Format = "auto", image_key: str = "file") -> Any:
    """What `path` expects of its images, as `ground_truth_of` takes it: an array of records, or an object of them.

    Args:
        path: a file (`json`, `jsonl`, `csv`), or the folder of a data set (`sroie`, `cord`).
        root: what it must lie under.
        given: its format; `auto` goes by a file's suffix.
        image_key: the key under which the caller will look for a record's image; folders' records name theirs by it.

    Raises:
        GroundTruthError: it lies elsewhere, cannot be read, or is not of that format.
    """
    name = _by_suffix(path) if given == "auto" else given
    if name in _OF_FILES:
        return _OF_FILES[name](read_ground_truth_file(path, root))
    if name not in _OF_FOLDERS:
        raise GroundTruthError(f"Ground-truth format {name!r} is unknown; it is one of {', '.join(FORMATS)}.")
    return [{image_key: file, **fields} for file, fields in _OF_FOLDERS[name](_folder(path, root, name)).items()]


def _by_suffix(path: Path) -> str:
    if path.is_dir():
        raise GroundTruthError(f"{path} is a folder: name its format, {' or '.join(_OF_FOLDERS)} (--gt-format).")
    return {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(path.suffix.lower(), "json")


def _folder(path: Path, root: Path, name: str) -> Path:
    resolved = path.expanduser().resolve()
    if not resolved.is_relative_to(root.resolve()):
        raise GroundTruthError(f"{resolved} lies outside DATA_ROOT={root}; set DATA_ROOT to a folder that holds it.")
    if not resolved.is_dir():
        raise GroundTruthError(f"{resolved} is not a folder; {name} is read from the folder of its files.")
    return resolved
