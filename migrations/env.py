"""Run migrations on the connection that `ocrlty_pipeline.db.engine.migrate` hands over, inside its transaction.

Logging is the application's: nothing is configured here.
"""

from alembic import context

from ocrlty_pipeline.db.engine import VERSION_TABLE
from ocrlty_pipeline.db.models import SCHEMA, Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    version_table_schema=SCHEMA,
)
context.run_migrations()
