"""Imported once by the forkserver; every worker process begins as a copy of what is loaded here.

Nothing but imports: whatever raised anything but ImportError here would end the forkserver, which would then start each
worker cold without a word.
"""

import dagster_postgres
import sqlalchemy.dialects.postgresql.psycopg
import sqlalchemy.dialects.postgresql.psycopg2

import ocrlty_pipeline.backends.vllm.backend
import ocrlty_pipeline.definitions
import ocrlty_pipeline.orchestration.warm.lane_worker
import ocrlty_pipeline.orchestration.warm.run_worker
