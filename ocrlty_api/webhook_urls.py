"""Addresses that clients give to be called: which are refused at once, and what signs calls to them.

What a name resolves to is judged with each call, since it may change; what no call could ever reach is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocrlty_api.errors import ForbiddenError, InvalidFieldError
from ocrlty_api.state import AppState
from ocrlty_pipeline.errors import ConfigError, OutboundRefusedError
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.webhooks.signing import Signer


def signer_of(state: AppState) -> Signer:
    """
    Raises:
        ForbiddenError: the service has no pepper, from which secrets could be derived.
    """
    try:
        return state.services.signer
    except ConfigError:
        raise ForbiddenError(
            "This service calls no webhooks: it has no API_KEY_PEPPER, from which their secrets are derived; "
            "its operator can set one."
        ) from None


def check_webhook_url(state: AppState, field: str, url: str | None) -> None:
    """
    Args:
        state: of the application.
        field: of the body, for the message.
        url: None is fine.

    Raises:
        InvalidFieldError: it is none that would be called.
        ForbiddenError: the service calls none.
    """
    if url is None:
        return
    signer_of(state)
    try:
        state.outbound.check_url(url)
    except OutboundRefusedError as error:
        raise InvalidFieldError(field, f"{field}: {error.message}") from None


def webhook_tags(request: Mapping[str, Any]) -> dict[str, str]:
    """The run tags of a job by whose request a `webhook_url` is to be called."""
    return {run_tags.WEBHOOK: run_tags.OF_JOB} if request.get("webhook_url") else {}
