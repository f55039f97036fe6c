"""Which image sets are to be run again when."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = "ocrlty"


def upgrade() -> None:
    op.create_table(
        "rerun_schedules",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("image_set", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="rerun_schedules_pkey"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("rerun_schedules", schema=SCHEMA)
