"""Ground truth: the expected JSON of each image, read from one file and matched to an image set's files.

Belongs here: the file's forms, and which entry speaks of which image. Does not: comparing values (`evaluation`), or
storing and versions (`image_sets`, `artifacts`).
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ocrlty_pipeline.errors import GroundTruthError

Parts = tuple[str, ...]
Closeness = tuple[int, bool, bool]


@dataclass(frozen=True, slots=True)
class GroundTruthEntry:
    """What one image should give.

    Attributes:
        name: the image as the entry names it, often a path from another machine.
        values: the entry without its image key.
    """

    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GroundTruthMatch:
    """Ground truth by the files of an image set, and what found no partner on either side."""

    by_file: Mapping[str, Mapping[str, Any]]
    unmatched_files: tuple[str, ...]
    unmatched_entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroundTruth:
    entries: tuple[GroundTruthEntry, ...]
    image_key: str

    def match(self, files: Sequence[str]) -> GroundTruthMatch:
        """Find each entry's file by its name; the folders only decide between files of one name.

        An entry names a file with or without its extension, in the same case. Among files of one name the one that
        shares the longest end of its path with the entry wins; among entries for one file likewise, and the losers
        count as unmatched.

        Raises:
            GroundTruthError: no entry names any file, or two files or two entries fit equally well.
        """
        index = _FileIndex(files)
        claims: dict[str, list[tuple[Closeness, GroundTruthEntry]]] = defaultdict(list)
        for entry in self.entries:
            if (found := index.find(entry.name)) is not None:
                file, closeness = found
                claims[file].append((closeness, entry))
        if not claims:
            self._refuse_all(files)
        winners = {file: _closest(file, claimants) for file, claimants in claims.items()}
        taken = {id(entry) for entry in winners.values()}
        return GroundTruthMatch(
            by_file={file: winners[file].values for file in files if file in winners},
            unmatched_files=tuple(file for file in files if file not in winners),
            unmatched_entries=tuple(entry.name for entry in self.entries if id(entry) not in taken),
        )

    def _refuse_all(self, files: Sequence[str]) -> NoReturn:
        example = repr(files[0]) if files else "none"
        raise GroundTruthError(
            f"No ground-truth entry names any file of the image set: an entry's {self.image_key!r} is, for example, "
            f"{self.entries[0].name!r}, a file is {example}; name the right key with gt_image_key (--gt-image-key)."
        )


def parse_ground_truth(data: bytes, image_key: str = "file") -> GroundTruth:
    """Read a ground-truth file's content: `ground_truth_of` the JSON in it.

    Raises:
        GroundTruthError: says what is wrong, and where.
    """
    return ground_truth_of(load_ground_truth(data), image_key)


def ground_truth_of(document: Any, image_key: str = "file") -> GroundTruth:
    """Read an object of entries keyed by id, or an array of entries.

    Each entry names its image by `image_key`. In an object, an entry without that key is about the image its id names.

    Raises:
        GroundTruthError: the document has another form, or two entries name one image.
    """
    if isinstance(document, dict):
        entries = tuple(_entry(f"Entry {key!r}", value, image_key, default=key) for key, value in document.items())
    elif isinstance(document, list):
        entries = tuple(_entry(f"Entry {i} of the array", value, image_key) for i, value in enumerate(document))
    else:
        raise GroundTruthError(
            f"The ground truth must be an object keyed by id or an array of records, not {_json_type(document)}."
        )
    if not entries:
        raise GroundTruthError("The ground truth holds no entries.")
    _refuse_duplicates(entries)
    return GroundTruth(entries, image_key)


def _entry(where: str, value: Any, image_key: str, default: str | None = None) -> GroundTruthEntry:
    if not isinstance(value, dict):
        raise GroundTruthError(f"{where} of the ground truth is {_json_type(value)}; an entry is an object of fields.")
    name = value.get(image_key, default)
    if name is None:
        raise GroundTruthError(
            f"{where} of the ground truth has no key {image_key!r} naming its image; its keys are "
            f"{', '.join(map(repr, value))}: name the right one with gt_image_key (--gt-image-key)."
        )
    if not isinstance(name, str) or not _parts(name):
        raise GroundTruthError(f"{where} of the ground truth: {image_key!r} must name a file, not {name!r}.")
    return GroundTruthEntry(name, {key: field for key, field in value.items() if key != image_key})


def _refuse_duplicates(entries: Sequence[GroundTruthEntry]) -> None:
    seen: set[Parts] = set()
    for entry in entries:
        parts = _parts(entry.name)
        if parts in seen:
            raise GroundTruthError(f"The ground truth has two entries for {entry.name!r}; keep one.")
        seen.add(parts)


# --- matching


class _FileIndex:
    """Files by base name, and by base name without extension."""

    def __init__(self, files: Sequence[str]) -> None:
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for file in files:
            name = _parts(file)[-1]
            self._by_name[name].append(file)
            self._by_stem[name.rpartition(".")[0]].append(file)

    def find(self, name: str) -> tuple[str, Closeness] | None:
        """The file that `name` means and how close it is; None when no file has this name.

        Raises:
            GroundTruthError: several files are equally close.
        """
        base = _parts(name)[-1]
        candidates = self._by_name.get(base) or self._by_stem.get(base)
        if not candidates:
            return None
        ranked = sorted(((_closeness(name, file), file) for file in candidates), key=lambda pair: pair[0], reverse=True)
        if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
            raise GroundTruthError(
                f"The ground-truth entry {name!r} fits {ranked[0][1]!r} and {ranked[1][1]!r} equally well; "
                "name the image with more of its folders."
            )
        closeness, file = ranked[0]
        return file, closeness


def _closest(file: str, claimants: list[tuple[Closeness, GroundTruthEntry]]) -> GroundTruthEntry:
    ranked = sorted(claimants, key=lambda claim: claim[0], reverse=True)
    if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
        raise GroundTruthError(
            f"The ground-truth entries {ranked[0][1].name!r} and {ranked[1][1].name!r} fit the file {file!r} "
            "equally well; keep one, or name the image with more of its folders."
        )
    return ranked[0][1]


def _closeness(name: str, file: str) -> Closeness:
    """How alike two paths end: folders they share; whether these are all that the file has; whether they are one path.

    An image set's paths begin at its folder, those of ground truth often further up.
    """
    ours, theirs = _parts(name)[:-1], _parts(file)[:-1]
    shared = 0
    for a, b in zip(reversed(ours), reversed(theirs), strict=False):
        if a != b:
            break
        shared += 1
    return shared, shared == len(theirs), ours == theirs


def _parts(path: str) -> Parts:
    return tuple(part for part in path.strip().replace("\\", "/").split("/") if part not in ("", "."))


# --- JSON


def read_ground_truth_file(path: Path, root: Path) -> bytes:
    """The bytes of a ground-truth file on the server's disk; it must lie under `root`.

    Raises:
        GroundTruthError: it lies elsewhere, is no file or cannot be read.
    """
    # Refusals name the path as it was given: where a link leads is nobody's business.
    resolved = path.expanduser().resolve()
    if not resolved.is_relative_to(root.resolve()):
        raise GroundTruthError(f"{path} lies outside DATA_ROOT={root}; set DATA_ROOT to a folder that holds it.")
    try:
        return resolved.read_bytes()
    except OSError as error:
        raise GroundTruthError(f"The ground truth {path} cannot be read: {error.strerror}.") from None


def load_ground_truth(data: bytes) -> Any:
    """The JSON value of a ground-truth file, strictly: UTF-8, finite numbers, each key once in its object.

    Raises:
        GroundTruthError: says what is wrong, and where.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GroundTruthError(f"The ground truth is not UTF-8 text: {error.reason} at byte {error.start}.") from None
    try:
        document = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite_float, object_pairs_hook=_unique_keys
        )
    except (ValueError, RecursionError) as error:
        raise GroundTruthError(f"The ground truth cannot be read as JSON: {error}.") from None
    if "\\u" in text:
        _refuse_lone_surrogates(document)
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits} is out of range")
    return number


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        [(repeated, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {repeated!r} stands twice in one object")
    return fields


def _refuse_lone_surrogates(document: Any) -> None:
    """Half of a UTF-16 pair has no UTF-8 form: no artifact could hold it."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise GroundTruthError(f"The ground truth holds an invalid character: {error.reason}.") from None


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names[type(value)]
