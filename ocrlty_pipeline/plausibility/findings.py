"""What a check of one document comes to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that could be made; a check whose values are missing or unreadable makes none.

    Attributes:
        check: its name, one of `checks.CHECKS`.
        problem: what is wrong, in a sentence; None when nothing is.
        paths: the values it concerns, as JSONPaths without `$.`, such as `menu[2].price`.
    """

    check: str
    problem: str | None
    paths: tuple[str, ...]
