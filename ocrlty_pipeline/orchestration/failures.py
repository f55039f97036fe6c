"""The domain's errors as Dagster shows them: one clear sentence as the failure's description."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ocrlty_pipeline.errors import OcrltyError, StorageUnavailableError, TransientBackendError


@contextmanager
def as_dagster_failures() -> Iterator[None]:
    """Raise the domain's errors as `dagster.Failure`; only what may pass by itself is left to a retry policy."""
    try:
        yield
    except OcrltyError as error:
        passing = isinstance(error, StorageUnavailableError | TransientBackendError)
        raise dg.Failure(error.message, metadata={"code": error.code}, allow_retries=passing) from error
