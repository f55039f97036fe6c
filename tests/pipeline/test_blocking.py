"""Coroutines run to their end by code that is not one."""

from __future__ import annotations

import pytest

from ocrlty_pipeline.blocking import result_of


class Large:
    written_out = 0

    def __repr__(self):
        self.written_out += 1
        return "large"


def test_a_result_is_handed_over_without_being_written_out_and_an_error_raised():
    large = Large()

    async def give():
        return large

    async def fail():
        raise KeyError("no")

    assert result_of(give()) is large
    assert large.written_out == 0
    with pytest.raises(KeyError, match="no"):
        result_of(fail())
