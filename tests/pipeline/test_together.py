"""Questions asked at the same time share a call, and with it a failure; who leaves takes nobody's answer along."""

import asyncio

import pytest

from ocrlty_pipeline.errors import StorageUnavailableError
from ocrlty_pipeline.together import Together


class Calls:
    """Notes calls and answers each question with its double, once it may, or fails with `failure`."""

    def __init__(self, failure=None):
        self.made = []
        self.failure = failure
        self.may_answer = asyncio.Event()

    async def __call__(self, questions):
        self.made.append(list(questions))
        await self.may_answer.wait()
        if self.failure is not None:
            raise self.failure
        return [2 * question for question in questions]


def answers(failure=None, *, leaving=0):
    """The calls made and the answers to 20 questions and to 20 more during the first call; `leaving` of them leave."""

    async def go():
        calls = Calls(failure)
        together = Together(calls)
        async with asyncio.timeout(30):
            asking = [asyncio.create_task(together.ask(number)) for number in range(20)]
            while not calls.made:  # noqa: ASYNC110 -- a test looks from outside
                await asyncio.sleep(0)
            asking += [asyncio.create_task(together.ask(number)) for number in range(20, 40)]
            await asyncio.sleep(0)
            for one in asking[:leaving]:
                one.cancel()
            calls.may_answer.set()
            return calls.made, await asyncio.gather(*asking[leaving:], return_exceptions=True)

    return asyncio.run(go())


def test_what_is_asked_during_a_call_shares_the_next_one():
    made, given = answers()
    assert made == [list(range(20)), list(range(20, 40))]
    assert given == [2 * number for number in range(40)]


@pytest.mark.parametrize("failure", [StorageUnavailableError("down"), RuntimeError("a fault")])
def test_a_failed_call_fails_everybody_in_it_and_none_waits_for_ever(failure):
    assert answers(failure)[1] == [failure] * 40


def test_whoever_leaves_during_a_call_takes_nobodys_answer_along():
    assert answers(leaving=5)[1] == [2 * number for number in range(5, 40)]
