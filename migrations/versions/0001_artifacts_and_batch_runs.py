"""The artifact index and the journal of batch runs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "ocrlty"


def upgrade() -> None:
    _create_artifacts()
    _create_batch_runs()


def downgrade() -> None:
    op.drop_table("batch_runs", schema=SCHEMA)
    op.drop_table("artifacts", schema=SCHEMA)


def _create_artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("artifact_id", sa.Text, nullable=False),
        sa.Column("owner_key_id", sa.Text),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("storage", sa.Text, nullable=False),
        sa.Column("full_ref", sa.Text, nullable=False),
        sa.Column("rel_ref", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("task_id", sa.Text),
        sa.Column("image_set", sa.Text),
        sa.Column("run_id", sa.Text),
        sa.Column("dagster_run_id", sa.Text),
        sa.Column("item_count", sa.Integer),
        sa.Column("ok_count", sa.Integer),
        sa.Column("error_count", sa.Integer),
        sa.PrimaryKeyConstraint("kind", "artifact_id", name="artifacts_pkey"),
        sa.CheckConstraint("kind IN ('extract', 'batch', 'eval')", name=op.f("artifacts_kind_check")),
        schema=SCHEMA,
    )
    newest = ["created_at", "artifact_id"]
    for equal in (["kind"], ["kind", "owner_key_id"], ["kind", "task_id"]):
        columns = equal + newest
        op.create_index(f"artifacts_{'_'.join(columns)}_idx", "artifacts", columns, schema=SCHEMA)
    for name, equal, kind in (("batches", ["image_set", "task_id"], "batch"), ("evals", ["run_id"], "eval")):
        where = sa.text(f"kind = '{kind}'")
        op.create_index(f"artifacts_{name}_idx", "artifacts", equal + newest, schema=SCHEMA, postgresql_where=where)


def _create_batch_runs() -> None:
    op.create_table(
        "batch_runs",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("lineage_id", sa.Text, nullable=False),
        sa.Column("image_set", sa.Text, nullable=False),
        sa.Column("image_set_version", sa.Integer, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dagster_run_id", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="batch_runs_pkey"),
        sa.CheckConstraint(
            "state IN ('running', 'finished', 'failed', 'canceled')", name=op.f("batch_runs_state_check")
        ),
        schema=SCHEMA,
    )
    for columns in (["lineage_id"], ["image_set", "task_id", "fingerprint", "created_at"]):
        op.create_index(f"batch_runs_{'_'.join(columns)}_idx", "batch_runs", columns, schema=SCHEMA)
