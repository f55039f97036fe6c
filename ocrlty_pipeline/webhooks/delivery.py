"""Deliveries: which ends of jobs are due to whom, in the database, so that none is lost and none is doubled.

Belongs here: the table, and when to try again. Does not: sending (`sending`).

One is claimed by moving its time ahead: whoever dies while it sends leaves it to be sent again then, under the same id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from ocrlty_pipeline.db.models import SCHEMA, Base
from ocrlty_pipeline.webhooks.model import Delivery, EndedJob, Webhook, delivery_id
from ocrlty_pipeline.webhooks.registry import webhook_of

# The attempts of one delivery spread over about a day.
MAX_ATTEMPTS = 10
FIRST_PAUSE = timedelta(seconds=10)
PAUSE_GROWTH = 4
LONGEST_PAUSE = timedelta(hours=6)
# Longer than any call takes.
CLAIMED_FOR = timedelta(minutes=2)
KEPT_FOR = timedelta(days=30)
GONE = "The receiver answered 410 Gone: the webhook is called no more."

_TABLE = Base.metadata.tables[f"{SCHEMA}.webhook_deliveries"]
_WEBHOOKS = Base.metadata.tables[f"{SCHEMA}.webhooks"]


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many attempts have failed: 10 s, 40 s, 160 s and so on, six hours at most."""
    growth: int = PAUSE_GROWTH ** (attempts - 1)
    return min(FIRST_PAUSE * growth, LONGEST_PAUSE)


class Deliveries:
    """The table of deliveries; every method raises `StorageUnavailableError` when the database cannot be reached.

    Times are the caller's: all are given as `now`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def noted(self, ends: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these ends of jobs, by job id and event, have been noted before."""
        query = select(_TABLE.c.job_id, _TABLE.c.event).where(_TABLE.c.job_id.in_({job_id for job_id, _ in ends}))
        with self._engine.connect() as connection:
            return {(row.job_id, row.event) for row in connection.execute(query)}

    def note(self, jobs: Sequence[EndedJob], now: datetime) -> int:
        """Make the ends of jobs due to whoever wants to know; answers how many deliveries are new.

        Noting twice is noting once. Deleting a webhook waits for the end of this, and takes its deliveries along.
        """
        with self._engine.begin() as connection:
            webhooks = _active_of(connection, {job.key_id for job in jobs})
            rows = {row["delivery_id"]: row for job in jobs for row in _rows(job, webhooks, now)}
            if not rows:
                return 0
            statement = insert(_TABLE).values(list(rows.values())).on_conflict_do_nothing()
            return len(connection.execute(statement.returning(_TABLE.c.delivery_id)).all())

    def is_any_due(self, now: datetime) -> bool:
        with self._engine.connect() as connection:
            return connection.scalar(select(_TABLE.c.delivery_id).where(_due(now)).limit(1)) is not None

    def claim(
        self, now: datetime, *, without_keys: Collection[str] = (), without_urls: Collection[str] = ()
    ) -> Delivery | None:
        """The delivery that has been due for longest, with this attempt counted: nobody else gets it for two minutes.

        Args:
            now: the time of the attempt.
            without_keys: none of these keys.
            without_urls: none to these addresses.
        """
        due = (
            select(_TABLE.c.delivery_id)
            .where(_due(now), _TABLE.c.key_id.not_in(without_keys), _TABLE.c.url.not_in(without_urls))
            .order_by(_TABLE.c.next_attempt_at)
            .limit(1)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        claimed = (
            update(_TABLE)
            .where(_TABLE.c.delivery_id == due.c.delivery_id)
            .values(attempts=_TABLE.c.attempts + 1, next_attempt_at=now + CLAIMED_FOR)
        )
        with self._engine.begin() as connection:
            found = connection.execute(claimed.returning(*_TABLE.c)).mappings().first()
        return None if found is None else _delivery(found)

    def succeeded(self, delivery: Delivery, status: int, now: datetime) -> None:
        """The receiver took it."""
        self._update(delivery, delivered_at=now, next_attempt_at=None, last_status=status, last_error=None)

    def failed(
        self, delivery: Delivery, error: str, now: datetime, *, status: int | None = None, for_good: bool = False
    ) -> None:
        """The receiver did not take it: it is due again later, or given up.

        Args:
            delivery: as it was claimed.
            error: what went wrong, for people.
            now: the time.
            status: what the receiver answered, if it did.
            for_good: no further attempt can succeed.
        """
        over = for_good or delivery.attempts >= MAX_ATTEMPTS
        again = None if over else now + pause_after(delivery.attempts)
        self._update(delivery, next_attempt_at=again, last_status=status, last_error=error)

    def gone(self, delivery: Delivery, status: int) -> None:
        """The receiver wants no more calls: end its webhook, and whatever else is due to it."""
        self._update(delivery, next_attempt_at=None, last_status=status, last_error=GONE)
        if delivery.webhook_id is None:
            return
        of_webhook = _TABLE.c.webhook_id == delivery.webhook_id
        with self._engine.begin() as connection:
            ended = update(_WEBHOOKS).where(_WEBHOOKS.c.webhook_id == delivery.webhook_id)
            connection.execute(ended.values(active=False))
            due = update(_TABLE).where(of_webhook, _TABLE.c.next_attempt_at.is_not(None))
            connection.execute(due.values(next_attempt_at=None, last_error=GONE))

    def latest_of(self, webhook_id: str, limit: int) -> list[Delivery]:
        """The newest deliveries of a webhook, newest first."""
        query = (
            select(_TABLE)
            .where(_TABLE.c.webhook_id == webhook_id)
            .order_by(_TABLE.c.created_at.desc(), _TABLE.c.delivery_id.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [_delivery(found) for found in connection.execute(query).mappings()]

    def prune(self, now: datetime) -> int:
        """Forget what was noted a month ago; answers how many deliveries."""
        with self._engine.begin() as connection:
            return connection.execute(delete(_TABLE).where(_TABLE.c.created_at < now - KEPT_FOR)).rowcount

    def _update(self, delivery: Delivery, **values: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(_TABLE).where(_TABLE.c.delivery_id == delivery.delivery_id).values(values))


def _due(now: datetime) -> Any:
    return _TABLE.c.next_attempt_at <= now


def _active_of(connection: Connection, key_ids: Collection[str]) -> list[Webhook]:
    """The webhooks of these keys; none of them can be deleted before the transaction ends."""
    query = select(_WEBHOOKS).where(_WEBHOOKS.c.key_id.in_(key_ids), _WEBHOOKS.c.active)
    locked = query.with_for_update(read=True, key_share=True)
    return [webhook_of(found) for found in connection.execute(locked).mappings()]


def _rows(job: EndedJob, webhooks: Iterable[Webhook], now: datetime) -> Iterable[Mapping[str, Any]]:
    for webhook in webhooks:
        wanted = job.event in webhook.events and webhook.created_at <= job.ended_at
        if webhook.key_id == job.key_id and wanted:
            yield _row(job, webhook.webhook_id, webhook.url, now)
    if job.webhook_url is not None:
        yield _row(job, None, job.webhook_url, now)


def _row(job: EndedJob, webhook_id: str | None, url: str, now: datetime) -> dict[str, Any]:
    return {
        "delivery_id": delivery_id(webhook_id or url, job.job_id, job.event),
        "webhook_id": webhook_id,
        "key_id": job.key_id,
        "url": url,
        "job_id": job.job_id,
        "event": job.event,
        "body": job.body,
        "created_at": now,
        "attempts": 0,
        "next_attempt_at": now,
    }


def _delivery(found: Mapping[Any, Any]) -> Delivery:
    times = ("created_at", "next_attempt_at", "delivered_at")
    in_utc = {name: found[name] and found[name].astimezone(UTC) for name in times}
    return Delivery(**{**found, **in_utc, "body": bytes(found["body"])})
