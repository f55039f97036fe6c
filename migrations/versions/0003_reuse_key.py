"""Which extracts answer the same question, so that a rerun finds what need not be asked again."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "ocrlty"
INDEX = "artifacts_reuse_idx"


def upgrade() -> None:
    op.add_column("artifacts", sa.Column("reuse_key", sa.Text), schema=SCHEMA)
    where = sa.text("reuse_key IS NOT NULL")
    op.create_index(INDEX, "artifacts", ["reuse_key", "owner_key_id"], schema=SCHEMA, postgresql_where=where)


def downgrade() -> None:
    op.drop_index(INDEX, "artifacts", schema=SCHEMA)
    op.drop_column("artifacts", "reuse_key", schema=SCHEMA)
