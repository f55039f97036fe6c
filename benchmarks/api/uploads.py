"""One upload of many files: how fast it is taken, and how little of it is in memory."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.api.service import PeakMemory, rss_mb
from benchmarks.measuring import photograph, tree_cpu_s
from ocrlty_pipeline.cli.remote.multipart import Upload


def measure(service: Any, files: int) -> None:
    with TemporaryDirectory() as scratch:
        paths = _photographs(Path(scratch), files)
        size_mb = sum(path.stat().st_size for path in paths) / 1e6
        upload = Upload({"task_id": "receipt_fields_v1"}, [("files", path.name, path) for path in paths])
        client = service.client("alice")
        client.timeout = 600.0
        before, cpu, started = rss_mb(service.api.pid), tree_cpu_s(service.api.pid), time.perf_counter()
        with PeakMemory(service.api.pid) as peak:
            answer = client.post("/v1/batch_extract_upload_async", content=upload.body(), headers=upload.headers)
            assert answer.status_code == 202, answer.text
        taken = time.perf_counter() - started
        spent_ms = (tree_cpu_s(service.api.pid) - cpu) / files * 1000
    print(
        f"  {files} files of {size_mb:.0f} MB taken in {taken:.1f} s, {files / taken:.0f} a second, CPU {spent_ms:.1f} "
        f"ms a file; the API's memory {before:.0f} MB before, {peak.mb:.0f} at most: "
        f"{(peak.mb - before) / size_mb:.3f} of the upload"
    )
    _follow(client, answer.json()["poll_url"], files)


def _follow(client: Any, job_url: str, files: int) -> None:
    started = time.perf_counter()
    while (job := client.get(job_url, params={"wait": 20}).json())["status"] in {"queued", "running"}:
        continue
    assert (job["status"], job["result"]["ok_count"]) == ("succeeded", files), job
    print(f"  its job ended {time.perf_counter() - started:.1f} s later, all {files} ok")


def _photographs(folder: Path, count: int) -> list[Path]:
    """The same photograph, with other bytes after its end, which no reader looks at."""
    data, paths = photograph(), [folder / f"{number:05}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(data + number.to_bytes(4, "big"))
    return paths
