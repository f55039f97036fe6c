"""The webhooks that clients have registered, in the database."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select, tuple_

from ocrlty_pipeline.db.locks import lock_key
from ocrlty_pipeline.db.models import SCHEMA, Base
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.webhooks.model import Event, Webhook

MAX_OF_A_KEY = 20
_TABLE = Base.metadata.tables[f"{SCHEMA}.webhooks"]


class Webhooks:
    """The table of webhooks; every method raises `StorageUnavailableError` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, key_id: str, url: str, events: Sequence[Event]) -> Webhook:
        """
        Args:
            key_id: whose jobs it is about.
            url: one that `OutboundClient.check_url` lets pass.
            events: which ends it is called for.

        Raises:
            InputError: the key calls this URL already, or has as many webhooks as it may.
        """
        webhook = Webhook(f"wh_{secrets.token_hex(12)}", key_id, url, tuple(events), datetime.now(UTC), active=True)
        values = {field: getattr(webhook, field) for field in Webhook.__dataclass_fields__}
        own = select(_TABLE.c.webhook_id, _TABLE.c.url).where(_TABLE.c.key_id == key_id)
        with self._engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(lock_key(f"webhooks of {key_id}"))))
            _refuse(url, {found.url: found.webhook_id for found in connection.execute(own)})
            connection.execute(insert(_TABLE).values({**values, "events": list(events)}))
        return webhook

    def find(self, webhook_id: str) -> Webhook | None:
        with self._engine.connect() as connection:
            found = connection.execute(select(_TABLE).where(_TABLE.c.webhook_id == webhook_id)).mappings().first()
        return None if found is None else webhook_of(found)

    def page(self, *, limit: int, after: tuple[datetime, str] | None, owner: str | None) -> list[Webhook]:
        """The newest webhooks, newest first.

        Args:
            limit: how many at most.
            after: time and id of the last one of the page before.
            owner: only those of this key.
        """
        query = select(_TABLE).order_by(_TABLE.c.created_at.desc(), _TABLE.c.webhook_id.desc()).limit(limit)
        if after is not None:
            query = query.where(tuple_(_TABLE.c.created_at, _TABLE.c.webhook_id) < after)
        if owner is not None:
            query = query.where(_TABLE.c.key_id == owner)
        with self._engine.connect() as connection:
            return [webhook_of(found) for found in connection.execute(query).mappings()]

    def remove(self, webhook_id: str) -> bool:
        """Delete a webhook with its deliveries, whatever was due; False when there was none."""
        statement = delete(_TABLE).where(_TABLE.c.webhook_id == webhook_id).returning(_TABLE.c.webhook_id)
        with self._engine.begin() as connection:
            return connection.scalar(statement) is not None

    def called_keys(self) -> list[str]:
        """The keys that have an active webhook."""
        with self._engine.connect() as connection:
            return list(connection.scalars(select(_TABLE.c.key_id).where(_TABLE.c.active).distinct()))


def webhook_of(found: Mapping[Any, Any]) -> Webhook:
    """A row of the table, its columns by name."""
    return Webhook(**{**found, "events": tuple(found["events"]), "created_at": found["created_at"].astimezone(UTC)})


def _refuse(url: str, own: Mapping[str, str]) -> None:
    if url in own:
        raise InputError(f"url is called already, by your webhook {own[url]}; delete that first to change its events.")
    if len(own) >= MAX_OF_A_KEY:
        raise InputError(f"The key has {len(own)} webhooks, the most that one may have; delete some.")
