"""The baselines that a person sets for an image set and a task."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "ocrlty"


def upgrade() -> None:
    op.create_table(
        "baselines",
        sa.Column("image_set", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("max_drop", sa.Float, nullable=False),
        sa.Column("blocking", sa.Boolean, nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("image_set", "task_id", name="baselines_pkey"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("baselines", schema=SCHEMA)
