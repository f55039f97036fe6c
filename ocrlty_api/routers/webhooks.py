"""Webhooks: addresses of clients that are called when their jobs end."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response

from ocrlty_api.auth.dependencies import Extractor
from ocrlty_api.auth.roles import Principal
from ocrlty_api.cursors import created_cursor, parse_created_cursor
from ocrlty_api.errors import NotFoundError, ValidationFailedError
from ocrlty_api.openapi import JSON_BODY, KEYED, documented
from ocrlty_api.routers.runs import CursorText, Limit
from ocrlty_api.routing import JsonRoute
from ocrlty_api.schemas.webhooks import (
    DeliveryAnswer,
    NewWebhookAnswer,
    PingAnswer,
    SecretAnswer,
    WebhookAnswer,
    WebhookBody,
    WebhookPage,
    WebhookView,
)
from ocrlty_api.state import AppState, State
from ocrlty_api.webhook_urls import check_webhook_url, signer_of
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.webhooks.model import PING, Message, Webhook, event_body, key_secret_name
from ocrlty_pipeline.webhooks.sending import call

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=JsonRoute)

SHOWN_DELIVERIES = 50
SHOWN_CHARACTERS = 160
WebhookId = Annotated[str, Path(max_length=128, description="`webhook_id` of one of yours.")]
ONE = (*KEYED, NotFoundError, ValidationFailedError)


@router.post("", status_code=201, responses=documented(*KEYED, *JSON_BODY, InputError))
async def create_webhook(state: State, key: Extractor, response: Response, body: WebhookBody) -> NewWebhookAnswer:
    """Have an address called when your jobs end from now on. The answer has its secret: nothing shows it again."""
    check_webhook_url(state, "url", body.url)
    events = list(dict.fromkeys(body.events))
    webhook = await asyncio.to_thread(state.services.webhooks.add, key.key_id, body.url, events)
    response.headers["Location"] = f"/v1/webhooks/{webhook.webhook_id}"
    return NewWebhookAnswer.of(webhook, secret=signer_of(state).secret(webhook.webhook_id))


@router.get("", responses=documented(*KEYED, ValidationFailedError))
async def list_webhooks(state: State, key: Extractor, limit: Limit = 50, cursor: CursorText = None) -> WebhookPage:
    """Your webhooks, newest first; an admin's list has everybody's."""
    owner = None if key.is_admin else key.key_id
    after = parse_created_cursor(cursor)
    found = await asyncio.to_thread(state.services.webhooks.page, limit=limit + 1, after=after, owner=owner)
    page = found[:limit]
    more = created_cursor((page[-1].created_at, page[-1].webhook_id)) if len(found) > limit else None
    return WebhookPage(items=[WebhookAnswer.of(webhook) for webhook in page], limit=limit, next_cursor=more)


@router.get("/secret", responses=documented(*KEYED))
async def get_secret(state: State, key: Extractor) -> SecretAnswer:
    """The secret that signs calls to the `webhook_url` of your jobs; the same for all of them."""
    return SecretAnswer(secret=signer_of(state).secret(key_secret_name(key.key_id)))


@router.get("/{webhook_id}", responses=documented(*ONE))
async def get_webhook(state: State, key: Extractor, webhook_id: WebhookId) -> WebhookView:
    """One webhook, with its latest deliveries of the last 30 days."""
    webhook = await _visible(state, key, webhook_id)
    latest = await asyncio.to_thread(state.services.deliveries.latest_of, webhook_id, SHOWN_DELIVERIES)
    return WebhookView.of(webhook, deliveries=[DeliveryAnswer.of(delivery) for delivery in latest])


@router.delete("/{webhook_id}", status_code=204, responses=documented(*ONE))
async def delete_webhook(state: State, key: Extractor, webhook_id: WebhookId) -> None:
    """Delete a webhook; what was due to it is not delivered."""
    await _visible(state, key, webhook_id)
    await asyncio.to_thread(state.services.webhooks.remove, webhook_id)


@router.post("/{webhook_id}/test", responses=documented(*ONE))
async def ping_webhook(state: State, key: Extractor, webhook_id: WebhookId) -> PingAnswer:
    """Call a webhook now with an event of type `ping`, once; answers what came of it, within ten seconds."""
    webhook = await _visible(state, key, webhook_id)
    now = datetime.now(UTC)
    body = event_body(PING, now, {"webhook_id": webhook_id})
    message = Message(f"msg_{secrets.token_hex(16)}", webhook.url, webhook_id, body)
    called = await call(state.outbound, signer_of(state), message, now)
    return PingAnswer(delivered=called.taken, status=called.status, error=called.error)


async def _visible(state: AppState, key: Principal, webhook_id: str) -> Webhook:
    webhook = await asyncio.to_thread(state.services.webhooks.find, webhook_id)
    if webhook is None or not key.may_see(webhook.key_id):
        raise NotFoundError(f"There is no webhook {webhook_id[:SHOWN_CHARACTERS]!r} of key {key.key_id!r}.")
    return webhook
