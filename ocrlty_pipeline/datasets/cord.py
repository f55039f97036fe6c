"""CORD: its `gt_parse` JSON, versions 1 and 2, in the words of the built-in tasks.

S. Park et al., "CORD: A Consolidated Receipt Dataset for Post-OCR Parsing", Document Intelligence Workshop at NeurIPS
2019. `gt_parse` is what Donut made of it and what its copies carry, either one JSON file an image, or `metadata.jsonl`
beside the images with `file_name` and `ground_truth`, itself JSON in a string.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ocrlty_pipeline.datasets.json_files import files_below, strict_json
from ocrlty_pipeline.errors import GroundTruthError

# Field of receipt_fields_v1 -> where CORD keeps it. A later place counts where the earlier ones are empty.
AMOUNTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "total": (("total", "total_price"),),
    "subtotal": (("sub_total", "subtotal_price"),),
    "tax": (("sub_total", "tax_price"),),
    "service": (("sub_total", "service_price"),),
    "discount": (("sub_total", "discount_price"),),
    "cash": (("total", "cashprice"),),
    "card": (("total", "creditcardprice"), ("total", "emoneyprice")),
    "change": (("total", "changeprice"),),
}
ITEM_FIELDS = ("nm", "cnt", "unitprice", "price", "discountprice", "num")
SUB_FIELDS = ("nm", "cnt", "price")


def read_cord(folder: Path) -> dict[str, dict[str, Any]]:
    """Fields of `receipt_fields_v1` and `menu` of `items_light_v1` by image.

    Raises:
        GroundTruthError: a file is broken, or nothing in the folder has a `gt_parse`.
    """
    found = {name: _fields(name, parse) for name, parse in _parses(folder)}
    if not found:
        raise GroundTruthError(
            f"{folder} holds nothing with a gt_parse: neither a .json an image nor a metadata.jsonl with ground_truth."
        )
    return found


def _parses(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, data in files_below(folder, ".json", ".jsonl"):
        if name.endswith(".jsonl"):
            yield from _lines(name, data)
        elif isinstance(content := strict_json(data, name), dict) and "gt_parse" in content:
            yield name.rpartition(".")[0], _parse(name, content)


def _lines(name: str, data: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The images of a `metadata.jsonl` lie beside it."""
    beside = name.rpartition("/")[0]
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            where = f"{name}, line {number}"
            entry = strict_json(line, where)
            try:
                image, truth = entry["file_name"], strict_json(entry["ground_truth"].encode(), where)
            except (AttributeError, KeyError, TypeError):
                raise GroundTruthError(f"{where} must have the texts file_name and ground_truth.") from None
            yield f"{beside}/{image}".lstrip("/"), _parse(where, truth)


def _parse(where: str, content: Any) -> Mapping[str, Any]:
    parse = content.get("gt_parse") if isinstance(content, dict) else None
    if not isinstance(parse, dict):
        raise GroundTruthError(f"{where}: gt_parse must be an object.")
    return parse


def _fields(where: str, parse: Mapping[str, Any]) -> dict[str, Any]:
    amounts = {field: _first(where, parse, places) for field, places in AMOUNTS.items()}
    return {**amounts, "menu": [_item(where, entry) for entry in _entries(parse.get("menu"))]}


def _first(where: str, parse: Mapping[str, Any], places: tuple[tuple[str, str], ...]) -> str | None:
    for group, key in places:
        # Some receipts have a group twice, such as two totals after a split: the last is the one that was paid.
        for block in reversed(_entries(parse.get(group))):
            if (value := _text(where, key, block.get(key))) is not None:
                return value
    return None


def _item(where: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    subs = [{key: _text(where, key, sub.get(key)) for key in SUB_FIELDS} for sub in _entries(entry.get("sub"))]
    return {**{key: _text(where, key, entry.get(key)) for key in ITEM_FIELDS}, "sub": subs or None}


def _entries(value: Any) -> list[Mapping[str, Any]]:
    """CORD writes a group of one as an object, of several as an array."""
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, dict)]


def _text(where: str, key: str, value: Any) -> str | None:
    """A value as printed; where one label covers several pieces of print, which CORD lists, all of them as one text."""
    pieces = value if isinstance(value, list) else [value]
    if any(isinstance(piece, dict | list) for piece in pieces):
        raise GroundTruthError(f"{where}: {key} must be a text or a list of texts, not {value!r}.")
    return " ".join(str(piece) for piece in pieces if piece is not None) or None
