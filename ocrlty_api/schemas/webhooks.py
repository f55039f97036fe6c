"""Webhooks: who is called when jobs end, and what came of the calls."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field

from ocrlty_api.schemas.common import Answer, RequestBody, WebhookUrl
from ocrlty_api.schemas.jobs import Time
from ocrlty_pipeline.webhooks.model import EVENTS, Delivery, Event, Webhook

EXAMPLE_ID = "wh_5f2a9c6e1b7d4803a1c2e3f4"
EXAMPLE: dict[str, Any] = {
    "webhook_id": EXAMPLE_ID,
    "key_id": "client-1",
    "url": "https://shop.example/hooks/ocrlty",
    "events": list(EVENTS),
    "created_at": "2026-11-24T00:08:37.120Z",
    "active": True,
}
EXAMPLE_DELIVERY: dict[str, Any] = {
    "delivery_id": "msg_0f11cdc6126b4a53b1d2c3e4f5a60718",
    "event": "job.succeeded",
    "job_id": "7f3c0b52-3d0e-4c6e-9a43-0d6b1c0f5a11",
    "created_at": "2026-11-24T00:08:40.031Z",
    "attempts": 2,
    "next_attempt_at": None,
    "last_status": 200,
    "last_error": None,
    "delivered_at": "2026-11-24T00:08:51.467Z",
}
# Of no service: 32 bytes of zero.
EXAMPLE_SECRET = f"whsec_{'A' * 43}="


class WebhookBody(RequestBody):
    """An address of yours, to be called when your jobs end."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": EXAMPLE["url"], "events": ["job.succeeded", "job.failed"]}]}
    )

    url: WebhookUrl
    events: Annotated[list[Event], Field(min_length=1, max_length=len(EVENTS))] = Field(
        list(EVENTS), description="Which ends of jobs; all unless given."
    )


class WebhookAnswer(Answer):
    """A webhook; `active` is false once its receiver has answered 410 Gone."""

    webhook_id: str
    key_id: str
    url: str
    events: list[str]
    created_at: Time
    active: bool

    @classmethod
    def of(cls, webhook: Webhook, **more: Any) -> Self:
        facts = {name: getattr(webhook, name) for name in WebhookAnswer.model_fields}
        return cls.model_validate({**facts, "events": list(webhook.events), **more})


class NewWebhookAnswer(WebhookAnswer):
    """A webhook that was made, and the secret that signs its calls: the only time it is shown."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE | {"secret": EXAMPLE_SECRET}]})

    secret: str


class DeliveryAnswer(Answer):
    """The end of one job on its way to a receiver: due again at `next_attempt_at`, delivered, or given up."""

    delivery_id: str = Field(description="Sent as `webhook-id` with every attempt.")
    event: str
    job_id: str
    created_at: Time
    attempts: int
    next_attempt_at: Time | None
    last_status: int | None
    last_error: str | None
    delivered_at: Time | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        return cls.model_validate({name: getattr(delivery, name) for name in cls.model_fields})


class WebhookView(WebhookAnswer):
    """A webhook and its latest deliveries, newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE | {"deliveries": [EXAMPLE_DELIVERY]}]})

    deliveries: list[DeliveryAnswer]


class WebhookPage(Answer):
    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [EXAMPLE], "limit": 50, "next_cursor": None}]})

    items: list[WebhookAnswer]
    limit: int
    next_cursor: str | None


class PingAnswer(Answer):
    """What came of a call: whether the receiver took it, its HTTP status if it answered, and else what went wrong."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"delivered": False, "status": 404, "error": "The receiver answered 404."}]}
    )

    delivered: bool
    status: int | None
    error: str | None


class SecretAnswer(Answer):
    """The secret that signs calls to the `webhook_url` of single jobs."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"secret": EXAMPLE_SECRET}]})

    secret: str
