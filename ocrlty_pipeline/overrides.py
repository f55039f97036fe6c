"""What one request, rerun or batch changes about a task or a model, apart from what is configured.

Belongs here: the values, their bounds, and how they apply. Does not: who may change anything (the API).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

import orjson

from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.tasks.registry import Task, checked_schema

MAX_TEMPERATURE = 2.0
MAX_PROMPT_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Overrides:
    """Each is what is configured where it is None.

    Attributes:
        prompt, schema: of the task.
        temperature: 0 to 2.
        max_tokens: the answer's budget, in tokens.
        model: what the backend `vllm` asks for.

    Raises:
        InputError: a value is out of bounds; names it.
        TaskError: the schema is none.
    """

    prompt: str | None = None
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    temperature: float | None = None
    max_tokens: int | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        if self.prompt is not None and not 0 < len(self.prompt.strip()) <= MAX_PROMPT_CHARACTERS:
            raise InputError(f"The prompt must have 1 to {MAX_PROMPT_CHARACTERS} characters, not {len(self.prompt)}.")
        if self.schema is not None:
            checked_schema(self.schema, "schema")
        if self.temperature is not None and not 0 <= self.temperature <= MAX_TEMPERATURE:
            raise InputError(f"temperature is {self.temperature}: it must be 0 to {MAX_TEMPERATURE:g}.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InputError(f"max_tokens is {self.max_tokens}: it must be at least 1.")
        if self.model is not None and not self.model.strip():
            raise InputError("model is empty: name one, or leave it out.")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Raises:
            InputError: not what `to_json` gives.
        """
        try:
            values = orjson.loads(text)
            return cls(**values)
        except (orjson.JSONDecodeError, TypeError, AttributeError):
            names = ", ".join(one.name for one in fields(cls))
            raise InputError(f"The overrides are not a JSON object with some of {names}: {text[:160]!r}.") from None

    def to_json(self) -> str:
        """What is overridden, keys in order: a value that fits into a run's config, where nulls do not."""
        return orjson.dumps(self.given(), option=orjson.OPT_SORT_KEYS).decode()

    def given(self) -> dict[str, Any]:
        """What is overridden, by name."""
        values = ((one.name, getattr(self, one.name)) for one in fields(self))
        return {name: value for name, value in values if value is not None}

    @property
    def sha256(self) -> str | None:
        """Digest of what is overridden; None when nothing is."""
        return hashlib.sha256(self.to_json().encode()).hexdigest() if self.given() else None

    def of_task(self, task: Task) -> Task:
        """The task with its prompt and schema as overridden; so are its digests."""
        if self.prompt is None and self.schema is None:
            return task
        schema = task.schema if self.schema is None else self.schema
        return Task(task.task_id, self.prompt or task.prompt, schema, task.description)

    def of_settings(self, settings: Settings) -> Settings:
        """The settings with model, temperature and budget as overridden: for a backend and its attempts."""
        update = {"vllm_temperature": self.temperature, "vllm_max_tokens": self.max_tokens, "vllm_model": self.model}
        return settings.model_copy(update={name: value for name, value in update.items() if value is not None})


NONE = Overrides()
