"""Tree-edit accuracy as published with Donut (G. Kim et al., ECCV 2022; `JSONParseEvaluator.cal_acc`), used for CORD.

    accuracy = max(0, 1 - TED(predicted, expected) / TED({}, expected))

TED is the ordered tree edit distance of the normalized documents (`donut.normalized`) as trees: a node for each key,
one named `<subtree>` for each object in a list, a leaf for each text.

    insert or delete    a leaf: the length of its text; another node: 1
    change              leaf to leaf: their Levenshtein distance; key to another key: 1; leaf to key: 1 + its length

Conventions:
- Nothing expected: the definition divides by zero; not scored.
- null, "", 0, false, [] and {} are absent, as in Donut. A missing array costs all its nodes, an extra item its own.
- Items keep their order: unlike the other figures, this one counts items that are right but in another order as wrong.
- Trees that would take more than `zhang_shasha.MAX_STEPS` are not scored. Only documents of several hundred values in
  another order get there.

Most distances are known without a search: where the cost of one way to edit, key by key and item by item, is what every
way must cost at least. What belongs here is the accuracy and these two bounds; the search is `zhang_shasha`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rapidfuzz.distance import Levenshtein

from ocrlty_pipeline.evaluation.donut import Field, flat, normalized
from ocrlty_pipeline.evaluation.zhang_shasha import LEAF, SUBTREE, forest_distance, forest_of


def tree_edit_accuracy(predicted: Any, expected: Any) -> float | None:
    """Donut's accuracy of a JSON document in [0, 1]; None when it is not scored."""
    ours, theirs = normalized(predicted), normalized(expected)
    return accuracy_of_normalized(ours, theirs, flat(ours), flat(theirs))


def accuracy_of_normalized(
    predicted: Any, expected: Any, predicted_leaves: list[Field], expected_leaves: list[Field]
) -> float | None:
    """`tree_edit_accuracy` of documents that `donut.normalized` gave, and their leaves as `donut.flat` gives them."""
    if not expected:
        return None
    if predicted == expected:
        return 1.0
    distance = _distance(predicted, expected, predicted_leaves, expected_leaves)
    return None if distance is None else max(0.0, 1 - distance / _weight(expected))


def _distance(a: Any, b: Any, leaves_a: list[Field], leaves_b: list[Field]) -> int | None:
    if not _is_marked(leaves_a) and not _is_marked(leaves_b):
        edit = _edit(a, b)
        texts_a, texts_b = [text for _, text in leaves_a], [text for _, text in leaves_b]
        if not _rows_differ_by_less(texts_a, texts_b, edit.cost - edit.keys_at_least()):
            return edit.cost
    return forest_distance(forest_of(a), forest_of(b))


def _is_marked(leaves: list[Field]) -> bool:
    """The published code tells leaves by a mark in their label: documents that hold the mark need the search."""
    return LEAF in "\n".join(map("\n".join, leaves))


def _weight(value: Any) -> int:
    """What inserting or deleting the nodes below a root costs."""
    if isinstance(value, dict):
        return sum([_key_weight(key) + _weight(inner) for key, inner in value.items()])
    total = 0
    for item in value:
        if item.__class__ is str:
            total += len(item) if LEAF not in item else len(item.replace(LEAF, ""))
        else:
            total += 1 + _weight(item)
    return total


def _key_weight(key: str) -> int:
    return len(key.replace(LEAF, "")) if LEAF in key else 1


@dataclass(slots=True)
class _Edit:
    """One way to edit a document into another: what it costs, and the keys that it deletes and inserts."""

    cost: int = 0
    deleted: list[str] = field(default_factory=list)
    inserted: list[str] = field(default_factory=list)

    def keys_at_least(self) -> int:
        """What any edit must cost in keys: at best they are a bag of names, of which these are not shared."""
        if not self.deleted or not self.inserted:
            return len(self.deleted) or len(self.inserted)
        shared = (Counter(self.deleted) & Counter(self.inserted)).total()
        return max(len(self.deleted), len(self.inserted)) - shared

    def add(self, other: _Edit) -> None:
        self.cost += other.cost
        self.deleted += other.deleted
        self.inserted += other.inserted


def _edit(a: Any, b: Any) -> _Edit:
    """Keys face keys of their name, items those at their place; what is left over is deleted or inserted whole."""
    edit = _Edit()
    if a == b:
        return edit
    if isinstance(a, dict) and isinstance(b, dict):
        for key, value in a.items():
            if key not in b:
                _whole(value, key, edit.deleted)
                edit.cost += 1 + _weight(value)
            elif value != b[key]:
                edit.add(_edit(value, b[key]))
        for key in b.keys() - a.keys():
            _whole(b[key], key, edit.inserted)
            edit.cost += 1 + _weight(b[key])
        return edit
    if isinstance(a, list) and isinstance(b, list):
        return _edit_lists(a, b)
    return _replaced(a, b)


def _replaced(a: Any, b: Any) -> _Edit:
    edit = _Edit(cost=_weight(a) + _weight(b))
    _below(a, edit.deleted)
    _below(b, edit.inserted)
    return edit


def _edit_lists(a: list[Any], b: list[Any]) -> _Edit:
    """Items by position, but for one run of items that only the longer list has, put where that costs least."""
    if len(a) < len(b):
        mirrored = _edit_lists(b, a)
        return _Edit(mirrored.cost, mirrored.inserted, mirrored.deleted)
    gap = len(a) - len(b)
    front = [_edit_items(x, y) for x, y in zip(a, b, strict=False)]
    if not gap:
        chosen, left_over = front, []
    else:
        back = [_edit_items(x, y) for x, y in zip(a[gap:], b, strict=True)]
        at = min(range(len(b) + 1), key=lambda i: sum(e.cost for e in front[:i]) + sum(e.cost for e in back[i:]))
        chosen, left_over = front[:at] + back[at:], a[at : at + gap]
    edit = _Edit(cost=_weight(left_over))
    _below(left_over, edit.deleted)
    for part in chosen:
        edit.add(part)
    return edit


def _edit_items(a: Any, b: Any) -> _Edit:
    if isinstance(a, str) and isinstance(b, str):
        return _Edit(cost=Levenshtein.distance(a, b))
    return _replaced([a], [b]) if isinstance(a, str) or isinstance(b, str) else _edit(a, b)


def _whole(value: Any, key: str, names: list[str]) -> None:
    names.append(key)
    _below(value, names)


def _below(value: Any, names: list[str]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _whole(inner, key, names)
    else:
        for item in value:
            if not isinstance(item, str):
                _whole(item, SUBTREE, names)


def _rows_differ_by_less(a: list[str], b: list[str], bound: int) -> bool:
    """Whether a row of leaves can be edited into the other for less than `bound`; in any edit leaves keep their order.

    Only what is reached for less than `bound` is followed: a narrow band, as in E. Ukkonen, "Algorithms for approximate
    string matching", 1985.
    """
    start, end = 0, min(len(a), len(b))
    while start < end and a[start] == b[start]:
        start += 1
    a, b = a[start:], b[start:]
    inserts = [len(text) for text in b]
    row = {0: 0}
    _insert_along(row, inserts, bound)
    for text in a:
        row = _next_row(row, text, b, bound)
        _insert_along(row, inserts, bound)
        if not row:
            return False
    return row.get(len(b), bound) < bound


def _next_row(before: dict[int, int], text: str, b: list[str], bound: int) -> dict[int, int]:
    """The costs below `bound` with one more text, by deleting it or changing it into the next one of `b`."""
    row: dict[int, int] = {}
    for j, cost in before.items():
        if cost + len(text) < row.get(j, bound):
            row[j] = cost + len(text)
        if j < len(b):
            change = cost if text == b[j] else cost + Levenshtein.distance(text, b[j])
            if change < row.get(j + 1, bound):
                row[j + 1] = change
    return row


def _insert_along(row: dict[int, int], inserts: list[int], bound: int) -> None:
    for j in sorted(row):
        cost, k = row[j], j
        while k < len(inserts):
            cost, k = cost + inserts[k], k + 1
            if cost >= row.get(k, bound):
                break
            row[k] = cost
