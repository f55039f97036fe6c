"""Tree-edit accuracy as published with Donut (G. Kim et al., ECCV 2022; `JSONParseEvaluator.cal_acc`), used for CORD.

    accuracy = max(0, 1 - TED(predicted, expected) / TED({}, expected))

TED is the ordered tree edit distance (K. Zhang and D. Shasha, "Simple fast algorithms for the editing distance between
trees and related problems", SIAM J. Comput. 18, 1989) of the normalized documents (`donut.normalized`) as trees: a node
for each key, one named `<subtree>` for each object in a list, a leaf for each text.

    insert or delete    a leaf: the length of its text; another node: 1
    change              leaf to leaf: their Levenshtein distance; key to another key: 1; leaf to key: 1 + its length

Conventions:
- Nothing expected: the definition divides by zero; not scored.
- null, "", 0, false, [] and {} are absent, as in Donut. A missing array costs all its nodes, an extra item its own.
- Items keep their order: unlike the other figures, this one counts items that are right but in another order as wrong.
- Trees that would take more than `MAX_CELLS` steps are not scored. Only documents that differ nearly everywhere and
  have several hundred values get there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from rapidfuzz.distance import Levenshtein

from ocrlty_pipeline.evaluation.donut import normalized

MAX_CELLS = 4_000_000
_LEAF = "<leaf>"


class _Tree(NamedTuple):
    """A node with what is below it.

    Attributes:
        label: a key, or a leaf's text.
    """

    label: str
    is_leaf: bool
    children: tuple[_Tree, ...]


_Forest = tuple[_Tree, ...]


def tree_edit_accuracy(predicted: Any, expected: Any) -> float | None:
    """Donut's accuracy of a JSON document in [0, 1]; None when it is not scored."""
    return accuracy_of_normalized(normalized(predicted), normalized(expected))


def accuracy_of_normalized(predicted: Any, expected: Any) -> float | None:
    """`tree_edit_accuracy` of documents that `donut.normalized` gave."""
    if not expected:
        return None
    if predicted == expected:
        return 1.0
    theirs = _forest(expected)
    distance = _distance(_forest(predicted), theirs)
    return None if distance is None else max(0.0, 1 - distance / _weight(theirs))


def _forest(value: Any) -> _Forest:
    if isinstance(value, dict):
        return tuple([_node(key, _forest(inner)) for key, inner in value.items()])
    if value and isinstance(value[0], dict):
        return tuple([_Tree("<subtree>", False, _forest(item)) for item in value])
    return tuple([_Tree(text.replace(_LEAF, ""), True, ()) for text in value])


def _node(key: str, children: _Forest) -> _Tree:
    # The published code tells leaves by their label, so that a key with this mark in it is one.
    is_leaf = _LEAF in key
    return _Tree(key.replace(_LEAF, "") if is_leaf else key, is_leaf, children)


def _weight(forest: _Forest) -> int:
    """What inserting or deleting all of it costs."""
    return sum([(len(tree.label) if tree.is_leaf else 1) + _weight(tree.children) for tree in forest])


def _change(a: _Tree, b: _Tree) -> int:
    if a.is_leaf and b.is_leaf:
        return Levenshtein.distance(a.label, b.label)
    if a.is_leaf or b.is_leaf:
        return 1 + len(a.label if a.is_leaf else b.label)
    return int(a.label != b.label)


def _distance(a: _Forest, b: _Forest) -> int | None:
    """The edit distance of two forests; None when it would take too long.

    The costs are a metric, so that equal trees at either end keep each other, and so do equal roots: the distance is
    that of what remains. There it is known without search where a bound from above meets one from below, which is
    nearly always so when documents have the same shape.
    """
    a, b = _core(a, b)
    if not a or not b:
        return _weight(a) + _weight(b)
    upper = _upper(a, b)
    if _at_least(a, b, upper):
        return upper
    return _zhang_shasha(a, b)


def _core(a: _Forest, b: _Forest) -> tuple[_Forest, _Forest]:
    """What remains when equal trees at both ends are taken away, and equal roots with them."""
    while True:
        shorter = min(len(a), len(b))
        start = 0
        while start < shorter and a[start] == b[start]:
            start += 1
        end = 0
        while end < shorter - start and a[-1 - end] == b[-1 - end]:
            end += 1
        a, b = a[start : len(a) - end], b[start : len(b) - end]
        if len(a) == len(b) == 1 and a[0][:2] == b[0][:2]:
            a, b = a[0].children, b[0].children
        else:
            return a, b


def _upper(a: _Forest, b: _Forest) -> int:
    """The cost of one way to edit: keys by name, items by position, whole trees inserted and deleted.

    As in S. M. Selkow, "The tree-to-tree editing problem", 1977, of which it is a bound in turn.
    """
    a, b = _core(a, b)
    if not a or not b:
        return _weight(a) + _weight(b)
    if len(a) == len(b) and a[0].label == b[0].label == "<subtree>":
        return sum([_upper_of(x, y) for x, y in zip(a, b, strict=True)])
    return _merged(a, b)


def _upper_of(a: _Tree, b: _Tree) -> int:
    return min(_change(a, b) + _upper(a.children, b.children), _weight((a, b)))


def _merged(a: _Forest, b: _Forest) -> int:
    """Two runs of children side by side: equal labels face each other where the order of keys says so."""
    cost = i = j = 0
    while i < len(a) and j < len(b):
        x, y = a[i], b[j]
        ours, theirs = (len(x.label), x.label), (len(y.label), y.label)
        if ours == theirs or x.is_leaf or y.is_leaf or x.label == "<subtree>":
            cost, i, j = cost + _upper_of(x, y), i + 1, j + 1
        elif ours < theirs:
            cost, i = cost + _weight((x,)), i + 1
        else:
            cost, j = cost + _weight((y,)), j + 1
    return cost + _weight(a[i:]) + _weight(b[j:])


def _at_least(a: _Forest, b: _Forest, bound: int) -> bool:
    """Whether the distance is provably no less than `bound`.

    Keys can be changed at best as a bag of names, and leaves keep their order: the distance is no less than the edit
    distance of the two rows of leaves and that of the two bags together.
    """
    ours, theirs = list(_nodes(a)), list(_nodes(b))
    keys_a, keys_b = (Counter(node.label for node in nodes if not node.is_leaf) for nodes in (ours, theirs))
    keys = max(keys_a.total(), keys_b.total()) - (keys_a & keys_b).total()
    leaves_a, leaves_b = ([node.label for node in nodes if node.is_leaf] for nodes in (ours, theirs))
    return not _row_distance_below(leaves_a, leaves_b, bound - keys)


def _nodes(forest: _Forest) -> Iterator[_Tree]:
    """All nodes, children before their parent."""
    for tree in forest:
        yield from _nodes(tree.children)
        yield tree


def _row_distance_below(a: list[str], b: list[str], bound: int) -> bool:
    """Whether one row of texts can be edited into the other for less than `bound`; texts cost as leaves do.

    Only what is reached for less than `bound` is followed: a narrow band, as in E. Ukkonen, "Algorithms for approximate
    string matching", 1985.
    """
    inserts = [len(text) for text in b]
    row = {0: 0}
    _spread(row, inserts, bound)
    for text in a:
        delete, before, row = len(text), row, {}
        for j, cost in before.items():
            if cost + delete < min(bound, row.get(j, bound)):
                row[j] = cost + delete
            if j < len(b):
                change = cost + Levenshtein.distance(text, b[j])
                if change < min(bound, row.get(j + 1, bound)):
                    row[j + 1] = change
        _spread(row, inserts, bound)
        if not row:
            return False
    return row.get(len(b), bound) < bound


def _spread(row: dict[int, int], inserts: list[int], bound: int) -> None:
    """Carry each cost of a row on to its right by insertions."""
    for j in sorted(row):
        cost, k = row[j], j
        while k < len(inserts):
            cost, k = cost + inserts[k], k + 1
            if cost >= min(bound, row.get(k, bound)):
                break
            row[k] = cost


class _Postorder:
    """A forest under a common root, numbered as Zhang and Shasha do.

    Attributes:
        leftmost: of each node, the number of the leftmost leaf below it.
        keyroots: the nodes that no other above them shares its leftmost leaf with.
    """

    def __init__(self, forest: _Forest) -> None:
        root = _Tree("<root>", False, forest)
        self.nodes: list[_Tree] = []
        self.leftmost: list[int] = []
        self._number(root)
        self.costs = [len(node.label) if node.is_leaf else 1 for node in self.nodes]
        self.keyroots = sorted({left: number for number, left in enumerate(self.leftmost)}.values())

    def _number(self, tree: _Tree) -> int:
        lefts = [self._number(child) for child in tree.children]
        left = lefts[0] if lefts else len(self.nodes)
        self.nodes.append(tree)
        self.leftmost.append(left)
        return left

    @property
    def steps(self) -> int:
        return sum(number - self.leftmost[number] + 1 for number in self.keyroots)


def _zhang_shasha(forest_a: _Forest, forest_b: _Forest) -> int | None:
    a, b = _Postorder(forest_a), _Postorder(forest_b)
    if a.steps * b.steps > MAX_CELLS:
        return None
    trees = [[0] * len(b.nodes) for _ in a.nodes]
    for i in a.keyroots:
        for j in b.keyroots:
            _fill(a, b, i, j, trees)
    return trees[-1][-1]


def _fill(a: _Postorder, b: _Postorder, i: int, j: int, trees: list[list[int]]) -> None:
    """The distances of all pairs of trees that start where those of the key roots `i` and `j` do."""
    first_a, first_b = a.leftmost[i], b.leftmost[j]
    columns = range(first_b, j + 1)
    rows = [_running(b.costs[k] for k in columns)]
    for x in range(first_a, i + 1):
        left_x, delete, above = a.leftmost[x], a.costs[x], rows[-1]
        row = [above[0] + delete]
        for y, column in enumerate(columns, 1):
            cost = min(above[y] + delete, row[-1] + b.costs[column])
            left_y = b.leftmost[column]
            if left_x == first_a and left_y == first_b:
                cost = min(cost, above[y - 1] + _change(a.nodes[x], b.nodes[column]))
                trees[x][column] = cost
            else:
                cost = min(cost, rows[left_x - first_a][left_y - first_b] + trees[x][column])
            row.append(cost)
        rows.append(row)


def _running(costs: Iterable[int]) -> list[int]:
    sums = [0]
    for cost in costs:
        sums.append(sums[-1] + cost)
    return sums
