"""Which item of a predicted array belongs to which expected one.

The pairing with the most in common, found as an assignment problem (H. W. Kuhn, "The Hungarian method for the
assignment problem", 1955; scipy's solver is D. F. Crouse's, 2016). Position plays no part: the same items in another
order give the same pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

import numpy as np

# (index among the predicted, index among the expected); None for an item without partner.
Pair = tuple[int | None, int | None]
Overlap = Callable[[int, int], int]


def align(predicted: Sequence[Hashable], expected: Sequence[Hashable], overlap: Overlap) -> list[Pair]:
    """Pair the items of two arrays so that the sum of `overlap(predicted index, expected index)` is greatest.

    All items of the shorter array find a partner, however unlike: what is left over on both sides counts as misread,
    not as missed here and made up there. Items that are None hold nothing and are left out.

    Returns:
        Pairs in the order of the expected items, then the items that are only predicted.
    """
    if predicted == expected:
        return [(i, i) for i, item in enumerate(expected) if item is not None]
    partners, left, right = _pair_equal(predicted, expected)
    if len(left) == len(right) == 1:
        partners[right[0]] = left[0]
    elif left and right:
        partners |= _assign(_in_canonical_order(left, predicted), _in_canonical_order(right, expected), overlap)
    taken = set(partners.values())
    pairs: list[Pair] = [(partners.get(e), e) for e, item in enumerate(expected) if item is not None]
    pairs += [(p, None) for p in left if p not in taken]
    return pairs


def _pair_equal(
    predicted: Sequence[Hashable], expected: Sequence[Hashable]
) -> tuple[dict[int, int], list[int], list[int]]:
    """Pair what is equal, and give what remains on each side.

    Some best pairing always contains these pairs: an item shares no more with another than with its equal, and
    exchanging partners loses nothing. So a perfect prediction costs no matrix.
    """
    waiting: dict[Hashable, list[int]] = defaultdict(list)
    for p, item in enumerate(predicted):
        if item is not None:
            waiting[item].append(p)
    partners, right = {}, []
    for e, item in enumerate(expected):
        if item is None:
            continue
        if waiting.get(item):
            partners[e] = waiting[item].pop(0)
        else:
            right.append(e)
    return partners, sorted(p for rest in waiting.values() for p in rest), right


_Ordered = list[tuple[str, int]]


def _in_canonical_order(indices: list[int], items: Sequence[Hashable]) -> _Ordered:
    """Items by content: where several pairings are best, the solver's choice depends on the order it meets them in."""
    return sorted((repr(items[i]), i) for i in indices)


def _assign(left: _Ordered, right: _Ordered, overlap: Overlap) -> dict[int, int]:
    # scipy's optimizers take most of a second to import: only documents with arrays of several items pay for it.
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

    weights = np.array([[overlap(p, e) for _, e in right] for _, p in left], dtype=np.float64)
    # Which side makes the rows is likewise decided by content, so that exchanging the sides exchanges the result.
    if [key for key, _ in left] <= [key for key, _ in right]:
        rows, columns = linear_sum_assignment(weights, maximize=True)
    else:
        columns, rows = linear_sum_assignment(weights.T, maximize=True)
    return {right[column][1]: left[row][1] for row, column in zip(rows, columns, strict=True)}
