"""A list of many runs read to its end: a page costs the same at any depth."""

from __future__ import annotations

import statistics
import time
from typing import Any

from sqlalchemy import text

from ocrlty_pipeline.db.engine import create_engine

LIMIT = 200
ROWS = text("""
    INSERT INTO ocrlty.artifacts (kind, artifact_id, owner_key_id, day, storage, full_ref, rel_ref, created_at, task_id,
                                  image_set, run_id, item_count, ok_count, error_count, summary)
    SELECT 'batch', 'bench-' || n, CASE n % 2 WHEN 0 THEN 'alice' ELSE 'bob' END, DATE '2026-01-01', 'local',
           'batches/2026-01-01/bench-' || n || '.json', 'batches/2026-01-01/bench-' || n || '.json',
           TIMESTAMPTZ '2026-01-01' + n * INTERVAL '1 second', 'receipt_fields_v1', 'bench', 'bench-' || n, 3, 3, 0,
           '{"model_id": "bench", "status": "succeeded"}'
    FROM generate_series(1, :rows) AS n
""")


def measure(service: Any, rows: int) -> None:
    engine = create_engine(service.database_url)
    with engine.begin() as connection:
        connection.execute(ROWS, {"rows": rows})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE ocrlty.artifacts"))
    engine.dispose()
    for key_id, path, expected in (("root", "/v1/runs", rows), ("alice", "/v1/runs", rows // 2)):
        seen, seconds = _read(service.client(key_id), path)
        assert seen >= expected, (seen, expected)
        decile = max(1, len(seconds) // 10)
        first, last = statistics.median(seconds[:decile]), statistics.median(seconds[-decile:])
        print(
            f"  {path} as {key_id}: {seen} rows in {len(seconds)} pages, {sum(seconds):.1f} s; median page "
            f"{first * 1000:.1f} ms in the first decile, {last * 1000:.1f} in the last: {last / first:.2f} times"
        )


def _read(client: Any, path: str) -> tuple[int, list[float]]:
    """How many rows there are, and the seconds of each page."""
    cursor, seen, seconds = None, 0, []
    while True:
        started = time.perf_counter()
        answer = client.get(path, params={"limit": LIMIT} | ({"cursor": cursor} if cursor else {}))
        seconds.append(time.perf_counter() - started)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        seen += len(page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return seen, seconds
