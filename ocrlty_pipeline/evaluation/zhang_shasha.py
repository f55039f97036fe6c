"""The edit distance of ordered trees, with Donut's trees and costs.

K. Zhang and D. Shasha, "Simple fast algorithms for the editing distance between trees and related problems", SIAM J.
Comput. 18, 1989. Belongs here: the trees of normalized documents and the search. Does not: what the distance is worth
(`tree_edit`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from rapidfuzz.distance import Levenshtein

MAX_STEPS = 4_000_000  # About a second.
LEAF = "<leaf>"
SUBTREE = "<subtree>"


class Tree(NamedTuple):
    """A node with what is below it.

    Attributes:
        label: a key, or a leaf's text.
    """

    label: str
    is_leaf: bool
    children: tuple[Tree, ...]


Forest = tuple[Tree, ...]


def forest_of(value: Any) -> Forest:
    """The trees below the root of a document that `donut.normalized` gave."""
    if isinstance(value, dict):
        # The published code tells leaves by the mark in their label, so that a key with this mark in it is one.
        return tuple([Tree(key.replace(LEAF, ""), LEAF in key, forest_of(inner)) for key, inner in value.items()])
    return tuple(
        [
            Tree(item.replace(LEAF, ""), is_leaf=True, children=())
            if isinstance(item, str)
            else Tree(SUBTREE, is_leaf=False, children=forest_of(item))
            for item in value
        ]
    )


def forest_distance(a: Forest, b: Forest) -> int | None:
    """The edit distance of two forests under one root; None when it would take more than `MAX_STEPS`.

    The costs are a metric, so that equal trees at either end keep each other, and so do equal roots: the distance is
    that of what remains.
    """
    a, b = _core(a, b)
    ours, theirs = _Postorder(a), _Postorder(b)
    if ours.steps * theirs.steps > MAX_STEPS:
        return None
    trees = [[0] * len(theirs.nodes) for _ in ours.nodes]
    for i in ours.keyroots:
        for j in theirs.keyroots:
            _fill(ours, theirs, i, j, trees)
    return trees[-1][-1]


def _core(a: Forest, b: Forest) -> tuple[Forest, Forest]:
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


class _Postorder:
    """A forest under a root, its nodes numbered children first.

    Attributes:
        leftmost: of each node, the number of the leftmost leaf below it.
        costs: of inserting or deleting each node.
        keyroots: the nodes that share their leftmost leaf with none above them.
    """

    def __init__(self, forest: Forest) -> None:
        self.nodes: list[Tree] = []
        self.leftmost: list[int] = []
        self._number(Tree("<root>", is_leaf=False, children=forest))
        self.costs = [len(node.label) if node.is_leaf else 1 for node in self.nodes]
        self.keyroots = sorted({left: number for number, left in enumerate(self.leftmost)}.values())

    def _number(self, tree: Tree) -> int:
        lefts = [self._number(child) for child in tree.children]
        left = lefts[0] if lefts else len(self.nodes)
        self.nodes.append(tree)
        self.leftmost.append(left)
        return left

    @property
    def steps(self) -> int:
        return sum(number - self.leftmost[number] + 1 for number in self.keyroots)


def _fill(a: _Postorder, b: _Postorder, i: int, j: int, trees: list[list[int]]) -> None:
    """The distances of all pairs of trees that start where those of the key roots `i` and `j` do."""
    first_a, first_b = a.leftmost[i], b.leftmost[j]
    inserts, lefts = b.costs[first_b : j + 1], [left - first_b for left in b.leftmost[first_b : j + 1]]
    rows = [_running(inserts)]
    for x in range(first_a, i + 1):
        left_x, delete, above = a.leftmost[x], a.costs[x], rows[-1]
        apart, known, node = rows[left_x - first_a], trees[x], a.nodes[x] if left_x == first_a else None
        left = above[0] + delete
        row = [left]
        for y, left_y in enumerate(lefts):
            cost = above[y + 1] + delete
            if node is None or left_y:
                other = apart[left_y] + known[first_b + y]
            else:
                other = above[y] + _change(node, b.nodes[first_b + y])
            # Comparisons instead of min(): this is where the time goes.
            left += inserts[y]
            left = min(left, cost)
            left = min(left, other)
            row.append(left)
            if node is not None and not left_y:
                known[first_b + y] = left
        rows.append(row)


def _change(a: Tree, b: Tree) -> int:
    if a.is_leaf and b.is_leaf:
        return Levenshtein.distance(a.label, b.label)
    if a.is_leaf or b.is_leaf:
        return 1 + len(a.label if a.is_leaf else b.label)
    return int(a.label != b.label)


def _running(costs: Iterable[int]) -> list[int]:
    sums = [0]
    for cost in costs:
        sums.append(sums[-1] + cost)
    return sums
