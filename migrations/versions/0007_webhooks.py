"""Who is called when jobs end, and the calls that are due."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCHEMA = "ocrlty"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("events", ARRAY(sa.Text), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("webhook_id", name="webhooks_pkey"),
        schema=SCHEMA,
    )
    for columns in (["key_id", "created_at", "webhook_id"], ["created_at", "webhook_id"]):
        op.create_index(f"webhooks_{'_'.join(columns)}_idx", "webhooks", columns, schema=SCHEMA)
    _create_deliveries()


def _create_deliveries() -> None:
    name = "webhook_deliveries"
    op.create_table(
        name,
        sa.Column("delivery_id", sa.Text, nullable=False),
        sa.Column("webhook_id", sa.Text),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", TIME),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.Column("delivered_at", TIME),
        sa.PrimaryKeyConstraint("delivery_id", name=f"{name}_pkey"),
        sa.ForeignKeyConstraint(
            ["webhook_id"], [f"{SCHEMA}.webhooks.webhook_id"], name=f"{name}_webhook_id_fkey", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    for columns in (["webhook_id", "created_at", "delivery_id"], ["job_id"], ["created_at"]):
        op.create_index(f"{name}_{'_'.join(columns)}_idx", name, columns, schema=SCHEMA)
    due = sa.text("next_attempt_at IS NOT NULL")
    op.create_index(f"{name}_due_idx", name, ["next_attempt_at"], schema=SCHEMA, postgresql_where=due)


def downgrade() -> None:
    op.drop_table("webhook_deliveries", schema=SCHEMA)
    op.drop_table("webhooks", schema=SCHEMA)
