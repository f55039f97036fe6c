"""What is said of calls to services of the operator's that failed."""

from __future__ import annotations

import httpx2


def reason_of(error: Exception) -> str:
    """In words without the URL, which httpx2 gives as it was set, password and all."""
    if isinstance(error, httpx2.HTTPStatusError):
        return f"it answered with status {error.response.status_code}"
    return f"{type(error).__name__}: {error}"
