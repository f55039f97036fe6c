"""A short text that a regular expression matches: the simplest way through it, each repetition as often as it must be.

Knows what schemas use: literals, classes, groups, alternatives, quantifiers. Whoever asks checks the text against the
pattern.
"""

from __future__ import annotations

import re
import string

_ALPHABET = string.digits + string.ascii_letters + " " + string.punctuation + "é\t\n"
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_QUANTIFIER = re.compile(r"(?:[*?+]|\{(?P<least>\d+)(?:,\d*)?\})[?+]?")
_GROUP_START = re.compile(r"\?(?:P?<\w+>|:)|(?P<around>\?<?[=!])")


def sample_of(pattern: str) -> str:
    """A text that `pattern` probably matches.

    Raises:
        LookupError: the pattern is broken, or beyond this module.
    """
    try:
        return _Reader(pattern).alternatives()
    except (IndexError, re.error):
        raise LookupError(f"the pattern {pattern!r} is not understood") from None


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def alternatives(self) -> str:
        first = self._sequence()
        while self._pattern[self._at : self._at + 1] == "|":
            self._at += 1
            self._sequence()
        return first

    def _sequence(self) -> str:
        text = ""
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            atom = self._atom()
            text += atom * self._least_count()
        return text

    def _atom(self) -> str:
        char = self._pattern[self._at]
        if char == "[":
            return _first_match(self._take(_CLASS))
        self._at += 1
        if char == "(":
            return self._group()
        if char == "\\":
            self._at += 1
            return _escaped(self._pattern[self._at - 1])
        return {"^": "", "$": "", ".": "a"}.get(char, char)

    def _group(self) -> str:
        start = _GROUP_START.match(self._pattern, self._at)
        self._at = start.end() if start else self._at
        inside = self.alternatives()
        self._at += 1
        return "" if start and start["around"] else inside

    def _least_count(self) -> int:
        found = _QUANTIFIER.match(self._pattern, self._at)
        if not found:
            return 1
        self._at = found.end()
        return int(found["least"]) if found["least"] else int(found[0][0] == "+")

    def _take(self, token: re.Pattern[str]) -> str:
        found = token.match(self._pattern, self._at)
        if not found:
            raise IndexError
        self._at = found.end()
        return found[0]


def _escaped(char: str) -> str:
    if char in "bBAZ":
        return ""
    return _first_match(f"\\{char}")


def _first_match(one_char_pattern: str) -> str:
    compiled = re.compile(one_char_pattern)
    return next((char for char in _ALPHABET if compiled.fullmatch(char)), "")
