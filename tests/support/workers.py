"""The processes that execute runs, as the runs' own tags in a service's database name them.

What has a Dagster instance at hand asks that (`tests/pipeline/orchestration/conftest.py`).
"""

from __future__ import annotations

import psutil
import psycopg
from sqlalchemy import make_url

from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.warm.identity import ProcessIdentity


def worker_of(database_url, dagster_run_id):
    """The process that executes a run."""
    query = "SELECT value FROM run_tags WHERE run_id = %s AND key = %s"
    return _named(_only(database_url, query, dagster_run_id, run_tags.WORKER))


def batch_worker(database_url, run_id):
    """The process that executes the batch run `run_id`."""
    query = """
    SELECT worker.value FROM runs JOIN run_tags AS batch USING (run_id) JOIN run_tags AS worker USING (run_id)
    WHERE status = 'STARTED' AND (batch.key, batch.value) = (%s, %s) AND worker.key = %s
    """
    return _named(_only(database_url, query, run_tags.RUN_ID, run_id, run_tags.WORKER))


def only_worker(database_url):
    """The process that executes the one run in execution, of a database that a test has to itself."""
    query = "SELECT value FROM run_tags JOIN runs USING (run_id) WHERE status = 'STARTED' AND key = %s"
    return _named(_only(database_url, query, run_tags.WORKER))


def _only(database_url, query, *values):
    url = make_url(database_url)
    with psycopg.connect(user=url.username, dbname=url.database, **url.query) as connection:
        [(value,)] = connection.execute(query, values).fetchall()
    return value


def _named(tag):
    return psutil.Process(ProcessIdentity.from_tag(tag).pid)
