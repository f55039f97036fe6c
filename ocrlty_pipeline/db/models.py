"""The tables, all in schema `ocrlty`: Dagster keeps its own in `public` of the same database.

`migrations/` makes them; a test holds both against each other.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, MetaData, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "ocrlty"

ArtifactKind = Literal["extract", "batch", "eval"]
BatchState = Literal["running", "finished", "failed", "canceled"]


class Base(DeclarativeBase):
    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "ck": "%(table_name)s_%(constraint_name)s_check",
        },
    )
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy reads it as a plain class attribute
        datetime: DateTime(timezone=True),
        str: Text,
        ArtifactKind: Text,
        BatchState: Text,
    }


class ArtifactRow(Base):
    """One artifact: where it is, and what lists show of it. Rebuilt from storage by `artifacts.reindex`."""

    __tablename__ = "artifacts"

    kind: Mapped[ArtifactKind] = mapped_column(primary_key=True)
    artifact_id: Mapped[str] = mapped_column(primary_key=True)
    owner_key_id: Mapped[str | None]
    day: Mapped[date]
    storage: Mapped[str]
    full_ref: Mapped[str]
    rel_ref: Mapped[str]
    created_at: Mapped[datetime]
    task_id: Mapped[str | None]
    image_set: Mapped[str | None]
    run_id: Mapped[str | None]
    dagster_run_id: Mapped[str | None]
    item_count: Mapped[int | None]
    ok_count: Mapped[int | None]
    error_count: Mapped[int | None]
    reuse_key: Mapped[str | None]
    summary: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    # Each list is one backward scan of one index: equality columns first, then the cursor's two.
    __table_args__ = (
        CheckConstraint("kind IN ('extract', 'batch', 'eval')", name="kind"),
        Index(None, "kind", "created_at", "artifact_id"),
        Index(None, "kind", "owner_key_id", "created_at", "artifact_id"),
        Index(None, "kind", "task_id", "created_at", "artifact_id"),
        Index(
            "artifacts_batches_idx",
            "image_set",
            "task_id",
            "created_at",
            "artifact_id",
            postgresql_where="kind = 'batch'",
        ),
        Index(
            "artifacts_own_batches_idx",
            "owner_key_id",
            "task_id",
            "created_at",
            "artifact_id",
            postgresql_where="kind = 'batch'",
        ),
        Index("artifacts_extracts_idx", "run_id", postgresql_where="kind = 'extract'"),
        Index("artifacts_evals_idx", "run_id", "created_at", "artifact_id", postgresql_where="kind = 'eval'"),
        Index("artifacts_reuse_idx", "reuse_key", "owner_key_id", postgresql_where="reuse_key IS NOT NULL"),
    )


class RunItemRow(Base):
    """One item of a batch run: which extract it is, whoever made that. Rebuilt from the batch artifact.

    An extract's own row names the run that made it; later runs that continue or reuse that one have it as well.
    """

    __tablename__ = "run_items"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    file: Mapped[str]
    request_id: Mapped[str] = mapped_column(index=True)
    rel_ref: Mapped[str]
    ok: Mapped[bool]

    __table_args__ = (Index(None, "run_id", "ok", "position"),)


class GroundTruthRow(Base):
    """The latest version of an image set's ground truth, or of its draft. Rebuilt from storage."""

    __tablename__ = "ground_truths"

    draft: Mapped[bool] = mapped_column(primary_key=True)
    image_set: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    created_at: Mapped[datetime]
    owner_key_id: Mapped[str | None]
    source: Mapped[str]
    image_key: Mapped[str]
    entry_count: Mapped[int]
    deleted: Mapped[bool]

    __table_args__ = (
        Index("ground_truths_list_idx", "draft", "image_set", postgresql_where="NOT deleted"),
        Index("ground_truths_own_list_idx", "draft", "owner_key_id", "image_set", postgresql_where="NOT deleted"),
    )


class BatchRunRow(Base):
    """One execution of a batch that was started: the journal from which an interrupted one is continued."""

    __tablename__ = "batch_runs"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    lineage_id: Mapped[str] = mapped_column(index=True)
    image_set: Mapped[str]
    image_set_version: Mapped[int]
    task_id: Mapped[str]
    fingerprint: Mapped[str]
    day: Mapped[date]
    created_at: Mapped[datetime]
    dagster_run_id: Mapped[str | None]
    state: Mapped[BatchState]

    __table_args__ = (
        CheckConstraint("state IN ('running', 'finished', 'failed', 'canceled')", name="state"),
        Index(None, "image_set", "task_id", "fingerprint", "created_at"),
    )


class ApiKeyRow(Base):
    """One key of the HTTP API, by its hash: the key itself is nowhere."""

    __tablename__ = "api_keys"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    key_hash: Mapped[bytes]
    role: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("octet_length(key_hash) = 32", name="key_hash"),
        CheckConstraint("role IN ('client', 'debugger', 'admin')", name="role"),
        CheckConstraint("scopes <@ ARRAY['extract:run', 'debug:run', 'debug:read_raw', 'runs:delete']", name="scopes"),
    )


class RerunScheduleRow(Base):
    """An image set that is run again at set times."""

    __tablename__ = "rerun_schedules"

    name: Mapped[str] = mapped_column(primary_key=True)
    image_set: Mapped[str]
    task_id: Mapped[str]
    cron: Mapped[str]
    timezone: Mapped[str]
    active: Mapped[bool]
    since: Mapped[datetime]


class BaselineRow(Base):
    """The run that later runs of an image set through a task are held against."""

    __tablename__ = "baselines"

    image_set: Mapped[str] = mapped_column(primary_key=True)
    task_id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str]
    max_drop: Mapped[float]
    blocking: Mapped[bool]
    set_at: Mapped[datetime]


class WebhookRow(Base):
    """An address that is called when a job of the key's ends."""

    __tablename__ = "webhooks"

    webhook_id: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str]
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    active: Mapped[bool]

    __table_args__ = (Index(None, "key_id", "created_at", "webhook_id"), Index(None, "created_at", "webhook_id"))


class WebhookDeliveryRow(Base):
    """The end of one job for one receiver: due at `next_attempt_at`, or done with."""

    __tablename__ = "webhook_deliveries"

    delivery_id: Mapped[str] = mapped_column(primary_key=True)
    webhook_id: Mapped[str | None] = mapped_column(
        ForeignKey("webhooks.webhook_id", ondelete="CASCADE", name="webhook_deliveries_webhook_id_fkey")
    )
    key_id: Mapped[str]
    url: Mapped[str]
    job_id: Mapped[str] = mapped_column(index=True)
    event: Mapped[str]
    body: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(index=True)
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None]
    delivered_at: Mapped[datetime | None]

    __table_args__ = (
        Index(None, "webhook_id", "created_at", "delivery_id"),
        Index("webhook_deliveries_due_idx", "next_attempt_at", postgresql_where="next_attempt_at IS NOT NULL"),
    )
