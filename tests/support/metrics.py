"""What the API's metrics say."""

from __future__ import annotations

import re


def extracts_under_way(metrics: str) -> float:
    """Single extracts that a worker has, or that wait for one, by the text of `/metrics`."""
    values = re.findall(r"^ocrlty_online_(?:in_flight|waiting) ([0-9.]+)", metrics, re.MULTILINE)
    assert len(values) == 2
    return sum(map(float, values))
