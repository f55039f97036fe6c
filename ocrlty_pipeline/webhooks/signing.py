"""Signatures of Standard Webhooks 1.0 (https://www.standardwebhooks.com), symmetric: `v1,<base64 HMAC-SHA256>`.

Belongs here: secrets and what is signed with them. Does not: sending.

A secret is derived from the pepper and the receiver's name, and stored nowhere: a copy of the database forges no call.
"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime

from ocrlty_pipeline.pepper import pepper_of
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.webhooks.model import Message

PREFIX = "whsec_"


class Signer:
    """Signs what is sent to each receiver with the receiver's own secret."""

    def __init__(self, pepper: str) -> None:
        self._pepper = pepper.encode()

    @classmethod
    def from_settings(cls, settings: Settings) -> Signer:
        """
        Raises:
            ConfigError: API_KEY_PEPPER is missing or too short.
        """
        return cls(pepper_of(settings, "webhooks are signed with secrets derived from it"))

    def secret(self, name: str) -> str:
        """The secret as receivers keep it: `whsec_` and 32 bytes in base64."""
        return PREFIX + base64.b64encode(self._key(name)).decode()

    def headers(self, message: Message, at: datetime) -> dict[str, str]:
        """The three headers of a call that is made at the time `at`, which receivers hold against their clock."""
        timestamp = str(int(at.timestamp()))
        content = b".".join((message.message_id.encode(), timestamp.encode(), message.body))
        signature = base64.b64encode(hmac.digest(self._key(message.secret_name), content, "sha256")).decode()
        return {
            "webhook-id": message.message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{signature}",
        }

    def _key(self, name: str) -> bytes:
        # API keys are hashed under the same pepper: none begins so.
        return hmac.digest(self._pepper, f"webhook secret of {name}".encode(), "sha256")
