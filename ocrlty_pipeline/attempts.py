"""What the next call of one extraction is made with, after an attempt that failed.

One `AttemptPlan` lives as long as one image. It decides whether an error is worth another call, what that call changes,
and how long to wait before it. It makes no call and sleeps not itself.

- Context too long: a smaller image first; once it is as small as is legible, a smaller token budget.
- Output truncated: the same call would truncate again, so a larger budget when there is room for one, else a higher
  temperature, which breaks the repetition loops that fill the budget.
- Transient: the same call after exponential back-off with full jitter (Brooker, AWS Architecture Blog, 2015), or after
  what the server asked for.
- Anything else is final.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Self

from ocrlty_pipeline.errors import BackendError, ContextTooLongError, OutputTruncatedError, TransientBackendError
from ocrlty_pipeline.records import AttemptError, RecordedError
from ocrlty_pipeline.settings import Settings

MAX_TRUNCATIONS = 2
WARMER = 0.3
# Below a tenth of its side a receipt's print is no longer legible to any model.
MIN_SCALE = 0.1
# Aim below the limit: servers round an image up to whole patches.
CONTEXT_MARGIN = 0.9
MAX_RETRY_AFTER_S = 120.0


@dataclass(frozen=True, slots=True)
class AttemptPolicy:
    """Bounds on the attempts of one extraction; times in seconds, budgets in tokens."""

    temperature: float
    max_tokens: int
    max_model_len: int
    retry_max_attempts: int
    retry_base_s: float
    retry_max_s: float
    context_max_attempts: int
    context_shrink: float
    context_min_tokens: int

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(
            temperature=settings.vllm_temperature,
            max_tokens=settings.vllm_max_tokens,
            max_model_len=settings.vllm_max_model_len,
            retry_max_attempts=settings.vllm_retry_max_attempts,
            retry_base_s=settings.vllm_retry_base_s,
            retry_max_s=settings.vllm_retry_max_s,
            context_max_attempts=settings.vllm_context_max_attempts,
            context_shrink=settings.vllm_context_shrink,
            context_min_tokens=settings.vllm_context_min_tokens,
        )


class AttemptPlan:
    """One extraction's attempts: `scale`, `max_tokens`, `temperature` of the next call; `history` of failed ones."""

    def __init__(self, policy: AttemptPolicy) -> None:
        self._policy = policy
        self.scale = 1.0
        self.max_tokens = policy.max_tokens
        self.temperature = policy.temperature
        self.history: list[AttemptError] = []
        self._transient = self._contexts = self._truncations = 0

    @property
    def attempts(self) -> int:
        """Calls made so far, the one under way included."""
        return len(self.history) + 1

    def after(self, error: BackendError) -> float | None:
        """Change the plan after `error`.

        Returns:
            Seconds to wait before the next call; None when the error is final.
        """
        failed = self._failed(error)
        delay = self._react(error)
        if delay is not None:
            self.history.append(failed)
        return delay

    def _failed(self, error: BackendError) -> AttemptError:
        return AttemptError(
            **dict(RecordedError.of(error)),
            attempt=self.attempts,
            resize_scale=round(self.scale, 4),
            max_tokens=self.max_tokens,
            temperature=self.temperature,
        )

    def _react(self, error: BackendError) -> float | None:
        if isinstance(error, TransientBackendError):
            return self._back_off(error)
        if isinstance(error, ContextTooLongError):
            return 0.0 if self._shrink(error) else None
        if isinstance(error, OutputTruncatedError):
            return 0.0 if self._vary(error) else None
        return None

    def _back_off(self, error: TransientBackendError) -> float | None:
        self._transient += 1
        if self._transient >= self._policy.retry_max_attempts:
            return None
        if error.retry_after_s is not None:
            return min(error.retry_after_s, MAX_RETRY_AFTER_S)
        ceiling = min(self._policy.retry_max_s, self._policy.retry_base_s * 2**self._transient)
        return random.uniform(0, ceiling)  # noqa: S311 -- jitter, not a secret

    def _shrink(self, error: ContextTooLongError) -> bool:
        self._contexts += 1
        if self._contexts >= self._policy.context_max_attempts:
            return False
        if self.scale > MIN_SCALE:
            self.scale = max(MIN_SCALE, self.scale * self._shrink_factor(error))
            return True
        return self._cut_budget()

    def _shrink_factor(self, error: ContextTooLongError) -> float:
        """Side factor: image tokens grow with its area, so where the server counted them the root of the excess."""
        detail = error.detail or {}
        given, limit = detail.get("input_tokens"), detail.get("max_model_len")
        if not given or not limit:
            return self._policy.context_shrink
        room = max(limit - self.max_tokens, limit // 4)
        return min(self._policy.context_shrink, math.sqrt(CONTEXT_MARGIN * room / given))

    def _cut_budget(self) -> bool:
        if self.max_tokens <= self._policy.context_min_tokens:
            return False
        self.max_tokens = max(self._policy.context_min_tokens, self.max_tokens // 2)
        return True

    def _vary(self, error: OutputTruncatedError) -> bool:
        self._truncations += 1
        if self._truncations > MAX_TRUNCATIONS:
            return False
        if not self._grow_budget(error):
            if self.temperature >= WARMER:
                return False
            self.temperature = WARMER
        return True

    def _grow_budget(self, error: OutputTruncatedError) -> bool:
        """Double the budget within the context; not for an answer that ends in white space, which would pad on."""
        if error.text != error.text.rstrip():
            return False
        usage = (error.detail or {}).get("usage") or {}
        room = self._policy.max_model_len - int(usage.get("prompt_tokens", self._policy.max_model_len))
        larger = min(2 * self.max_tokens, room)
        if larger <= self.max_tokens:
            return False
        self.max_tokens = larger
        return True
