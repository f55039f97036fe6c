"""What an attempt changes after each kind of failure."""

import itertools
from dataclasses import replace

import pytest

from ocrlty_pipeline.attempts import MAX_RETRY_AFTER_S, MIN_SCALE, WARMER, AttemptPlan, AttemptPolicy
from ocrlty_pipeline.errors import (
    BackendError,
    BackendMisconfiguredError,
    ContextTooLongError,
    OutputTruncatedError,
    TransientBackendError,
)

POLICY = AttemptPolicy(
    temperature=0.0,
    max_tokens=1024,
    max_model_len=4096,
    retry_max_attempts=3,
    retry_base_s=0.5,
    retry_max_s=20.0,
    context_max_attempts=4,
    context_shrink=0.7,
    context_min_tokens=256,
)


@pytest.mark.parametrize("error", [BackendError("bad image"), BackendMisconfiguredError("wrong key")])
def test_a_permanent_failure_is_never_tried_again(error):
    plan = AttemptPlan(POLICY)
    assert plan.after(error) is None
    assert plan.history == []


def test_a_transient_failure_repeats_the_same_call_a_bounded_number_of_times():
    plan = AttemptPlan(POLICY)
    delays = [plan.after(TransientBackendError("down")) for _ in range(3)]
    assert delays[-1] is None
    assert None not in delays[:-1]
    assert (plan.scale, plan.max_tokens, plan.temperature) == (1.0, 1024, 0.0)
    assert [attempt.attempt for attempt in plan.history] == [1, 2]


def test_back_off_stays_below_its_doubling_ceiling():
    plan = AttemptPlan(replace(POLICY, retry_max_attempts=20))
    for attempt in range(1, 12):
        delay = plan.after(TransientBackendError("down"))
        assert 0 <= delay <= min(POLICY.retry_max_s, POLICY.retry_base_s * 2**attempt)


def test_the_servers_own_wish_to_wait_is_honoured_within_reason():
    plan = AttemptPlan(POLICY)
    assert plan.after(TransientBackendError("busy", retry_after_s=7.0)) == 7.0
    assert plan.after(TransientBackendError("busy", retry_after_s=86_400.0)) == MAX_RETRY_AFTER_S


def test_a_context_overflow_shrinks_the_image_each_time_by_the_same_factor():
    plan = AttemptPlan(POLICY)
    scales = []
    while plan.after(ContextTooLongError("too long")) is not None:
        scales.append(plan.scale)
    assert scales == pytest.approx([0.7, 0.49, 0.343])
    assert plan.max_tokens == POLICY.max_tokens


def test_a_server_that_counts_its_tokens_is_taken_at_its_word():
    plan = AttemptPlan(POLICY)
    plan.after(ContextTooLongError("too long", {"input_tokens": 40_000, "max_model_len": 4096}))
    # Image tokens grow with the area, so the next call holds 40000 * scale² tokens beside its answer's budget.
    assert 40_000 * plan.scale**2 + plan.max_tokens <= 4096


def test_only_an_image_that_cannot_shrink_further_costs_token_budget_and_that_has_a_floor():
    plan = AttemptPlan(replace(POLICY, context_max_attempts=99, context_shrink=0.01))
    budgets = []
    while plan.after(ContextTooLongError("too long")) is not None:
        budgets.append(plan.max_tokens)
    assert budgets == [1024, 512, 256]
    assert plan.scale == MIN_SCALE


def test_a_truncated_answer_gets_a_larger_budget_where_the_context_has_room():
    plan = AttemptPlan(POLICY)
    error = OutputTruncatedError("cut", {"usage": {"prompt_tokens": 1000}}, text='{"a": "b')
    assert plan.after(error) == 0.0
    assert (plan.max_tokens, plan.temperature) == (2048, 0.0)


def test_an_answer_padded_with_white_space_gets_a_higher_temperature_instead():
    plan = AttemptPlan(POLICY)
    error = OutputTruncatedError("cut", {"usage": {"prompt_tokens": 1000}}, text='{"a"\n    ')
    assert plan.after(error) == 0.0
    assert (plan.max_tokens, plan.temperature) == (1024, WARMER)


def test_a_retry_after_truncation_is_never_the_same_call():
    plan = AttemptPlan(POLICY)
    calls = [(plan.max_tokens, plan.temperature)]
    while plan.after(OutputTruncatedError("cut", text="x")) is not None:
        calls.append((plan.max_tokens, plan.temperature))
    assert len(calls) > 1
    assert all(one != other for one, other in itertools.pairwise(calls))


def test_the_history_tells_what_each_failed_call_was_made_with():
    plan = AttemptPlan(POLICY)
    plan.after(ContextTooLongError("too long"))
    plan.after(TransientBackendError("down"))
    first, second = plan.history
    assert (first.code, first.resize_scale, first.max_tokens) == ("context_too_long", 1.0, 1024)
    assert (second.code, second.resize_scale) == ("backend_unavailable", 0.7)
    assert plan.attempts == 3
