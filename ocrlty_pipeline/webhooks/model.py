"""What webhooks are about: the events, who is called, and one call that is due."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

Event = Literal["job.succeeded", "job.failed", "job.canceled"]
EVENTS: tuple[Event, ...] = ("job.succeeded", "job.failed", "job.canceled")
PING = "ping"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A client's own address, called when one of its jobs ends.

    Attributes:
        key_id: whose jobs it is about.
        events: which ends it is called for.
        active: false once the receiver has answered 410 Gone: it is called no more.
    """

    webhook_id: str
    key_id: str
    url: str
    events: tuple[Event, ...]
    created_at: datetime
    active: bool


@dataclass(frozen=True, slots=True)
class EndedJob:
    """The end of a job, to be told to whoever wants to know.

    Attributes:
        ended_at: webhooks that were made later are not called.
        body: what is sent.
        webhook_url: the address that was given with the job itself.
    """

    job_id: str
    event: Event
    key_id: str
    ended_at: datetime
    body: bytes
    webhook_url: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What one call sends.

    Attributes:
        message_id: sent as `webhook-id`.
        secret_name: under which the `Signer` knows the receiver's secret.
        body: JSON.
    """

    message_id: str
    url: str
    secret_name: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """One end of a job on its way to one receiver; times in UTC.

    Attributes:
        delivery_id: sent as `webhook-id` with every attempt, so that the receiver can tell a repetition.
        webhook_id: None for the address of a single job.
        attempts: made so far.
        next_attempt_at: None once it is delivered or given up.
        last_status: HTTP status of the last attempt; None when there was no answer.
    """

    delivery_id: str
    webhook_id: str | None
    key_id: str
    url: str
    job_id: str
    event: str
    body: bytes
    created_at: datetime
    attempts: int
    next_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    delivered_at: datetime | None

    @property
    def message(self) -> Message:
        return Message(self.delivery_id, self.url, self.webhook_id or key_secret_name(self.key_id), self.body)


def key_secret_name(key_id: str) -> str:
    """Name of the secret that signs calls to addresses given with single jobs; no webhook's id has a colon."""
    return f"key:{key_id}"


def delivery_id(receiver: str, job_id: str, event: str) -> str:
    """The same for the same end of the same job to the same receiver, whenever it is asked."""
    named = f"{receiver}\n{job_id}\n{event}"
    return f"msg_{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def event_body(kind: str, at: datetime, data: dict[str, Any]) -> bytes:
    """The body of a call as Standard Webhooks has it: `type`, `timestamp` (ISO 8601, UTC), `data`."""
    timestamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps({"type": kind, "timestamp": timestamp, "data": data})
