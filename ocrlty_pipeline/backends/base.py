"""What every backend takes, gives and may raise.

A backend makes one call and raises typed errors; repeating, shrinking, parsing and validating are `extraction`'s, for
all backends alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ocrlty_pipeline.images import CheckedImage
from ocrlty_pipeline.plausibility.page import Page
from ocrlty_pipeline.tasks.registry import Task


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """One call.

    Attributes:
        scale: factor on both sides of the image, in (0, 1].
        max_tokens: budget of the answer, in tokens.
        temperature: sampling temperature, 0 to 2.
    """

    task: Task
    image: CheckedImage
    scale: float
    max_tokens: int
    temperature: float


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer to one call.

    Attributes:
        text: the raw text, meant to be JSON.
        finish_reason: `stop` when the model ended by itself; None where the backend knows no such thing.
        usage: token counts as the server reports them; None without tokens.
        meta: facts about this call for the record's `meta`.
        page: what is printed on the image, where the backend has read it anyway.
    """

    text: str
    finish_reason: str | None = None
    usage: Mapping[str, int] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    page: Page | None = None


class Backend(Protocol):
    """An inference backend.

    `name` is the value of `INFERENCE_BACKEND`, `model_id` goes into every record, and `max_concurrency` is the number
    of calls beyond which more at once gain nothing and only wait.
    """

    @property
    def name(self) -> str: ...

    @property
    def model_id(self) -> str: ...

    @property
    def max_concurrency(self) -> int: ...

    async def complete(self, request: InferenceRequest) -> Completion:
        """Make one call.

        Raises:
            BackendError: of the kind that says what may help (see `errors`); never anything else for a failed call.
        """
        ...

    async def aclose(self) -> None:
        """Release connections and threads."""
        ...


PageReader = Callable[[CheckedImage], Awaitable[Page]]


@dataclass(frozen=True, slots=True)
class PageSource:
    """Where the text comes from in which an answer is looked for.

    Attributes:
        use_backends: whether to take it from a backend that has read the image anyway.
        read: how to read it otherwise; None leaves answers of such backends ungrounded.
    """

    use_backends: bool = True
    read: PageReader | None = None

    async def page(self, completion: Completion, image: CheckedImage) -> Page | None:
        """The image's text; None where nobody reads it.

        Raises:
            BackendError: the engine failed on this image.
        """
        if self.use_backends and completion.page is not None:
            return completion.page
        return None if self.read is None else await self.read(image)
