"""What lists show without reading artifacts: summaries of runs and evaluations, the items of runs, ground truths."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "ocrlty"


def upgrade() -> None:
    op.add_column("artifacts", sa.Column("summary", JSONB), schema=SCHEMA)
    op.create_index(
        "artifacts_own_batches_idx",
        "artifacts",
        ["owner_key_id", "task_id", "created_at", "artifact_id"],
        schema=SCHEMA,
        postgresql_where=sa.text("kind = 'batch'"),
    )
    op.create_index(
        "artifacts_extracts_idx", "artifacts", ["run_id"], schema=SCHEMA, postgresql_where=sa.text("kind = 'extract'")
    )
    _create_run_items()
    _create_ground_truths()


def downgrade() -> None:
    op.drop_table("ground_truths", schema=SCHEMA)
    op.drop_table("run_items", schema=SCHEMA)
    op.drop_index("artifacts_extracts_idx", "artifacts", schema=SCHEMA)
    op.drop_index("artifacts_own_batches_idx", "artifacts", schema=SCHEMA)
    op.drop_column("artifacts", "summary", schema=SCHEMA)


def _create_run_items() -> None:
    op.create_table(
        "run_items",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("rel_ref", sa.Text, nullable=False),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "position", name="run_items_pkey"),
        schema=SCHEMA,
    )
    op.create_index("run_items_run_id_ok_position_idx", "run_items", ["run_id", "ok", "position"], schema=SCHEMA)
    op.create_index("run_items_request_id_idx", "run_items", ["request_id"], schema=SCHEMA)


def _create_ground_truths() -> None:
    op.create_table(
        "ground_truths",
        sa.Column("draft", sa.Boolean, nullable=False),
        sa.Column("image_set", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner_key_id", sa.Text),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("image_key", sa.Text, nullable=False),
        sa.Column("entry_count", sa.Integer, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("draft", "image_set", name="ground_truths_pkey"),
        schema=SCHEMA,
    )
    shown = sa.text("NOT deleted")
    for name, columns in (
        ("ground_truths_list_idx", ["draft", "image_set"]),
        ("ground_truths_own_list_idx", ["draft", "owner_key_id", "image_set"]),
    ):
        op.create_index(name, "ground_truths", columns, schema=SCHEMA, postgresql_where=shown)
