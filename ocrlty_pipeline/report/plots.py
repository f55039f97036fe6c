"""Geometry of the plots, in the units of their SVG; how they look is the style sheet's.

Bars and intervals are set on a line of `TRACK` units for 0 to 1; a difference has its own scale, with 0 in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ocrlty_pipeline.evaluation.results import FieldScore
from ocrlty_pipeline.report.wording import milliseconds

TRACK = 200
WIDTH, HEIGHT = 460, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 36
BINS = 24
MAX_POINTS = 1500
_MOST_TICKS = 5


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: the class that colours it, where it begins, how wide it is, what it counts."""

    kind: str
    x: float
    width: float
    count: int


@dataclass(frozen=True, slots=True)
class Whisker:
    """A figure and its interval on a line of `TRACK` units; the interval is None where there is none."""

    at: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: its place and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars as (x, y, width, height, count), ticks of both axes, and percentiles to be marked."""

    bars: list[tuple[float, float, float, float, int]]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    marks: list[Tick]


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points as (x, y, class), and the ticks of both axes; `shown` of `total` points are drawn."""

    points: list[tuple[float, float, str]]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    shown: int
    total: int


def outcome_bar(score: FieldScore) -> list[Segment]:
    """What became of a field's leaves, absent ones left out; empty where there are none."""
    wrong = score.mismatch + score.canon_error + score.type_mismatch
    parts = {"matched": score.matched, "wrong": wrong, "missing": score.pred_missing, "invented": score.gt_missing}
    return bar(parts)


def bar(parts: dict[str, int]) -> list[Segment]:
    """Parts of a whole, side by side."""
    total, x, segments = sum(parts.values()), 0.0, []
    for kind, number in parts.items():
        if number:
            width = TRACK * number / total
            segments.append(Segment(kind, round(x, 2), round(width, 2), number))
            x += width
    return segments


def whisker(value: float | None, low: float | None, high: float | None) -> Whisker | None:
    """A figure in [0, 1]; None when it is not scored."""
    if value is None:
        return None
    place = [None if bound is None else round(TRACK * bound, 2) for bound in (low, high)]
    return Whisker(round(TRACK * value, 2), *place)


def difference_scale(values: Sequence[float | None]) -> float:
    """The difference at either end of the line: the largest there is, rounded up to a 1, 2 or 5."""
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    return min(1.0, _step(largest or 0.01))


def difference(value: float | None, low: float | None, high: float | None, scale: float) -> Whisker | None:
    """A difference in [-1, 1] on a line from -`scale` to `scale`."""

    def place(of: float | None) -> float | None:
        return None if of is None else max(0.0, min(1.0, (of / scale + 1) / 2))

    return whisker(place(value), place(low), place(high))


def latency_histogram(values: Sequence[float], marks: dict[str, float]) -> Histogram:
    """How many images took how long.

    Args:
        values: milliseconds, at least one.
        marks: what to point at, by label.
    """
    x_step, top = _axis(max(values))
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(BINS * value / top))] += 1
    y_step, y_top = _axis(max(counts), whole=True)
    width = (WIDTH - LEFT - RIGHT) / BINS
    bars = []
    for i, number in enumerate(counts):
        if number:
            y = _y(number, y_top)
            place = LEFT + i * width + 0.5
            bars.append((round(place, 2), y, round(width - 1, 2), round(HEIGHT - BOTTOM - y, 2), number))
    return Histogram(
        bars,
        [Tick(_x(value, top), milliseconds(value)) for value in _ticks(x_step, top)],
        [Tick(_y(value, y_top), f"{value:.0f}") for value in _ticks(y_step, y_top)],
        [Tick(_x(value, top), label) for label, value in marks.items()],
    )


def size_scatter(points: Sequence[tuple[int, float, str]]) -> Scatter:
    """Latency by the size of the file.

    Args:
        points: bytes, milliseconds and class, at least one; where they are too many, every n-th is drawn.
    """
    shown = points[:: math.ceil(len(points) / MAX_POINTS)]
    x_step, x_top = _axis(max(size for size, _, _ in points) / 1000)
    y_step, y_top = _axis(max(latency for _, latency, _ in points))
    return Scatter(
        [(_x(size / 1000, x_top), _y(latency, y_top), kind) for size, latency, kind in shown],
        [Tick(_x(value, x_top), _kilobytes(value)) for value in _ticks(x_step, x_top)],
        [Tick(_y(value, y_top), milliseconds(value)) for value in _ticks(y_step, y_top)],
        len(shown),
        len(points),
    )


def _axis(largest: float, *, whole: bool = False) -> tuple[float, float]:
    """The step between ticks and the axis' end: few round numbers."""
    step = _step((largest or 1.0) / _MOST_TICKS)
    if whole:
        step = max(1.0, step)
    return step, step * max(1, math.ceil(largest / step - 1e-9))


def _step(at_least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is no less."""
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= at_least * (1 - 1e-9))


def _ticks(step: float, top: float) -> list[float]:
    return [i * step for i in range(round(top / step) + 1)]


def _x(value: float, top: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * value / top, 1)


def _y(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top, 1)


def _kilobytes(value: float) -> str:
    return f"{value / 1000:g} MB" if value >= 1000 else f"{value:g} kB"
