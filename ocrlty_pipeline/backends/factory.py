"""The one place that knows which backends there are. Only the chosen one is imported: `mock` loads no model runtime."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ocrlty_pipeline.backends.base import Backend, PageSource
from ocrlty_pipeline.errors import ConfigError
from ocrlty_pipeline.settings import Settings


def create_backend(settings: Settings, name: str | None = None) -> Backend:
    """Make the backend `name`, by default the one of `INFERENCE_BACKEND`.

    Raises:
        ConfigError: there is no such backend, or its settings cannot work.
    """
    chosen = name or settings.inference_backend
    try:
        create = _BACKENDS[chosen]
    except KeyError:
        raise ConfigError(f"There is no backend {chosen!r}: choose one of {', '.join(_BACKENDS)}.") from None
    return create(settings)


def create_page_source(settings: Settings) -> PageSource:
    """Where answers are looked for, as `OCR_GROUNDING` says."""
    if settings.ocr_grounding == "always":
        from ocrlty_pipeline.backends.ocr.backend import read_page  # noqa: PLC0415 -- loaded only when chosen

        return PageSource(read=partial(read_page, workers=settings.ocr_workers))
    return PageSource(use_backends=settings.ocr_grounding == "auto")


def _mock(_: Settings) -> Backend:
    from ocrlty_pipeline.backends.mock import MockBackend  # noqa: PLC0415 -- loaded only when chosen

    return MockBackend()


def _vllm(settings: Settings) -> Backend:
    from ocrlty_pipeline.backends.vllm.backend import VllmBackend  # noqa: PLC0415 -- loaded only when chosen

    return VllmBackend(settings)


def _ocr(settings: Settings) -> Backend:
    from ocrlty_pipeline.backends.ocr.backend import OcrBackend  # noqa: PLC0415 -- loaded only when chosen

    return OcrBackend(workers=settings.ocr_workers)


_BACKENDS: dict[str, Callable[[Settings], Backend]] = {"mock": _mock, "ocr": _ocr, "vllm": _vllm}
