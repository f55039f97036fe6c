"""Which runs and extracts are to go, by the index alone: no artifact is read.

Belongs here: the rules, as tables of one database session. Does not: inputs and image sets (`inputs`), which only
storage knows, or removing anything (`execution`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Engine, text

from ocrlty_pipeline.db.models import SCHEMA
from ocrlty_pipeline.errors import InputError, StorageError

PAGE = 1000
# How the names of image sets begin that the API makes of uploads.
UPLOADED = "upload-"

Kind = Literal["run", "record", "evaluation", "extract"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What stays.

    Attributes:
        before: in UTC; all that is younger stays.
        newest: of each image set and task, so many of the last runs, and of the last that succeeded.
        runs: runs that stay as well; those that are executed, and whose images are extracted again, among them.
        image_sets: uploads that stay as well.
    """

    before: datetime
    newest: int = 1
    runs: frozenset[str] = frozenset()
    image_sets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A batch run that goes; `day` is the one under which its artifacts are, that of the first run it continues."""

    run_id: str
    day: date


# Each upload is an image set of its own, so that its only run is its last: those stay only where somebody
# cares for the set. A rerun of a rerun takes its images from the first one's artifact: sources of what stays, stay.
# So does what is being continued, or may yet be: its records are taken over.
_KEPT = f"""
CREATE TEMPORARY TABLE kept_runs AS
WITH RECURSIVE batches AS (
    SELECT artifact_id AS run_id, created_at, summary ->> 'source_run_id' AS source,
        coalesce(summary ->> 'status' = 'succeeded', false) AS succeeded,
        NOT starts_with(image_set, '{UPLOADED}')
            OR EXISTS (SELECT FROM {SCHEMA}.ground_truths
                WHERE ground_truths.image_set = artifacts.image_set AND NOT deleted)
            OR EXISTS (SELECT FROM {SCHEMA}.rerun_schedules WHERE rerun_schedules.image_set = artifacts.image_set)
            AS is_cared_for,
        row_number() OVER (PARTITION BY image_set, task_id ORDER BY created_at DESC, artifact_id DESC) AS place,
        row_number() OVER (PARTITION BY image_set, task_id, summary ->> 'status' = 'succeeded'
            ORDER BY created_at DESC, artifact_id DESC) AS place_among_same
    FROM {SCHEMA}.artifacts WHERE kind = 'batch'
), kept AS (
    SELECT run_id, source FROM batches
    WHERE created_at >= :before
        OR is_cared_for AND (place <= :newest OR succeeded AND place_among_same <= :newest)
        OR run_id = ANY(:runs) OR run_id IN (SELECT run_id FROM {SCHEMA}.baselines)
        OR run_id IN (SELECT earlier.run_id FROM {SCHEMA}.batch_runs AS earlier
            JOIN {SCHEMA}.batch_runs AS later USING (lineage_id)
            WHERE later.state = 'running' AND (later.created_at >= :before OR later.run_id = ANY(:runs)))
    UNION
    SELECT batches.run_id, batches.source FROM kept JOIN batches ON batches.run_id = kept.source
)
SELECT run_id FROM kept
"""  # noqa: S608 -- no input in it
# Beside the runs that ended: executions that crashed and were never continued, which no list shows.
_GOING_RUNS = f"""
CREATE TEMPORARY TABLE going_runs AS
SELECT artifact_id AS run_id, rel_ref, day FROM {SCHEMA}.artifacts AS batch
WHERE kind = 'batch' AND NOT EXISTS (SELECT FROM kept_runs WHERE run_id = batch.artifact_id)
UNION ALL
SELECT run_id, 'batches/' || day || '/' || run_id || '.json', day FROM {SCHEMA}.batch_runs AS last
WHERE created_at < :before AND run_id <> ALL(:runs)
    AND NOT EXISTS (SELECT FROM {SCHEMA}.artifacts WHERE kind = 'batch' AND artifact_id = last.run_id)
    AND NOT EXISTS (SELECT FROM {SCHEMA}.batch_runs AS later
        WHERE later.lineage_id = last.lineage_id AND later.created_at > last.created_at)
"""  # noqa: S608 -- no input in it
_GOING = f"""
CREATE TEMPORARY TABLE going AS
SELECT 'run' AS kind, run_id AS artifact_id, rel_ref FROM going_runs
UNION ALL
SELECT 'evaluation', artifact_id, rel_ref FROM {SCHEMA}.artifacts
WHERE kind = 'eval' AND run_id IN (SELECT run_id FROM going_runs)
UNION ALL
SELECT 'record', artifact_id, rel_ref FROM {SCHEMA}.artifacts AS record
WHERE kind = 'extract' AND (run_id IN (SELECT run_id FROM going_runs)
        OR artifact_id IN (SELECT request_id FROM {SCHEMA}.run_items WHERE run_id IN (SELECT run_id FROM going_runs)))
    AND NOT EXISTS (SELECT FROM {SCHEMA}.run_items AS item WHERE item.request_id = record.artifact_id
        AND NOT EXISTS (SELECT FROM going_runs WHERE run_id = item.run_id))
UNION ALL
SELECT 'extract', artifact_id, rel_ref FROM {SCHEMA}.artifacts AS single
WHERE kind = 'extract' AND run_id IS NULL AND created_at < :before
    AND NOT EXISTS (SELECT FROM {SCHEMA}.run_items WHERE request_id = single.artifact_id)
"""  # noqa: S608 -- no input in it
_KEPT_DAGSTER_RUNS = f"""
CREATE TEMPORARY TABLE kept_dagster_runs AS
SELECT DISTINCT dagster_run_id AS run_id FROM {SCHEMA}.artifacts AS artifact
WHERE kind IN ('batch', 'eval') AND dagster_run_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM going_runs WHERE run_id = artifact.run_id)
"""  # noqa: S608 -- no input in it
_INDEXES = (
    "CREATE UNIQUE INDEX ON kept_dagster_runs (run_id)",
    "CREATE UNIQUE INDEX ON kept_runs (run_id)",
    "CREATE UNIQUE INDEX ON going_runs (run_id)",
    "CREATE UNIQUE INDEX ON going (rel_ref)",
    "CREATE INDEX ON going (kind, artifact_id)",
)
_UNKNOWN_SOURCES = f"""
SELECT count(*) FROM {SCHEMA}.artifacts
WHERE kind = 'batch' AND (summary IS NULL OR NOT jsonb_exists(summary, 'source_run_id'))
"""  # noqa: S608 -- no input in it
_OPTIONS = {"isolation_level": "AUTOCOMMIT"}


class Plan:
    """What goes, in temporary tables of one connection."""

    def __init__(self, connection: Connection, retention: Retention) -> None:
        self.retention = retention
        self.connection = connection

    def counts(self) -> dict[Kind, int]:
        """How many artifacts of each kind go."""
        found = self.rows("SELECT kind, count(*) AS number FROM going GROUP BY kind")
        return {row["kind"]: row["number"] for row in found}

    def folders(self) -> list[str]:
        """The folders of the store in which something goes: one a day and kind."""
        query = "SELECT DISTINCT regexp_replace(rel_ref, '/[^/]+$', '') AS folder FROM going ORDER BY 1"
        return [row["folder"] for row in self.rows(query)]

    def kinds(self, rels: Sequence[str]) -> dict[str, Kind]:
        """Of these keys those that go, with what they are."""
        query = "SELECT rel_ref, kind FROM going WHERE rel_ref = ANY(:rels)"
        return {row["rel_ref"]: row["kind"] for row in self.rows(query, rels=list(rels))}

    def runs(self) -> Iterator[list[PlannedRun]]:
        """The runs that go, in pages."""
        query = "SELECT run_id, day FROM going_runs WHERE run_id > :after ORDER BY run_id LIMIT :page"
        for page in self._pages(query, "run_id"):
            yield [PlannedRun(**row) for row in page]

    def extracts(self) -> Iterator[dict[str, str]]:
        """The single extracts that go, in pages: key by id."""
        query = (
            "SELECT artifact_id, rel_ref FROM going WHERE kind = 'extract' AND artifact_id > :after "
            "ORDER BY artifact_id LIMIT :page"
        )
        for page in self._pages(query, "artifact_id"):
            yield {row["artifact_id"]: row["rel_ref"] for row in page}

    def kept_dagster_runs(self, run_ids: Sequence[str]) -> set[str]:
        """Of these Dagster runs those that made a batch run or an evaluation that stays."""
        query = "SELECT run_id FROM kept_dagster_runs WHERE run_id = ANY(:runs)"
        return {row["run_id"] for row in self.rows(query, runs=list(run_ids))}

    def keep(self, run_ids: Sequence[str]) -> None:
        """Let runs stay that were to go."""
        self.execute("DELETE FROM going_runs WHERE run_id = ANY(:runs)", runs=list(run_ids))

    def rows(self, query: str, **values: Any) -> list[Mapping[str, Any]]:
        return [dict(row) for row in self.connection.execute(text(query), values).mappings()]

    def execute(self, statement: str, **values: Any) -> None:
        self.connection.execute(text(statement), values)

    def _pages(self, query: str, key: str) -> Iterator[list[Mapping[str, Any]]]:
        after = ""
        while page := self.rows(query, after=after, page=PAGE):
            yield page
            after = page[-1][key]


@contextmanager
def planned(engine: Engine, retention: Retention) -> Iterator[Plan]:
    """The plan, as long as the block lasts.

    Raises:
        InputError: a run that is to stay does not exist.
        StorageError: the index does not know of every run whose images it took.
        StorageUnavailableError: the database cannot be reached.
    """
    with engine.connect().execution_options(**_OPTIONS) as connection:
        # The tables end with the connection, which therefore must not go back into the pool.
        connection.detach()
        plan = Plan(connection, retention)
        _check_sources(plan)
        values = {"before": retention.before, "newest": retention.newest, "runs": sorted(retention.runs)}
        for statement in (_KEPT, _GOING_RUNS, _GOING, _KEPT_DAGSTER_RUNS):
            connection.execute(text(statement), values)
        for statement in (*_INDEXES, "ANALYZE kept_runs, going_runs, going, kept_dagster_runs"):
            connection.execute(text(statement))
        yield plan


def check_runs(engine: Engine, run_ids: Sequence[str]) -> None:
    """
    Raises:
        InputError: one of the runs does not exist; a mistyped id would keep nothing.
    """
    query = f"SELECT artifact_id FROM {SCHEMA}.artifacts WHERE kind = 'batch' AND artifact_id = ANY(:runs)"  # noqa: S608
    with engine.connect() as connection:
        found = set(connection.scalars(text(query), {"runs": list(run_ids)}))
    missing = [run_id for run_id in run_ids if run_id not in found]
    if missing:
        raise InputError(f"There is no run {missing[0]!r} to keep; `ocrlty runs` lists them.")


def _check_sources(plan: Plan) -> None:
    [row] = plan.rows(_UNKNOWN_SOURCES)
    if row["count"]:
        raise StorageError(
            f"{row['count']} runs were indexed by an earlier version, which did not note whose images they took: "
            "run `ocrlty reindex` once, then prune."
        )
