"""The HTTP API under load, as ratios measured in one run.

    python -m benchmarks.api [--latency-ms 200] [--seconds 10] [--files 1000] [--rows 100000] [--only extracts]

`extracts`: /v1/extract at 1, 16 and 64 clients beside the bare model server (goal: 0.9 of it up to 16), and CPU-ms a
request over the API's process tree. `uploads`: files taken a second, memory as a share of the upload (goal: below 0.1).
`paging`: the last decile's median page to the first's (goal: below 1.5). `bad_clients`: others' median latency beside
50 slow clients to that without (goal: below 1.2), and what is still held once clients have gone (goal: 0).
"""

from __future__ import annotations

import argparse
import os

from benchmarks.api import bad_clients, extracts, paging, uploads
from benchmarks.api.service import bench_service, rss_mb
from tests.support.openai_server import openai_server

PARTS = ("extracts", "uploads", "paging", "bad_clients")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency-ms", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", choices=PARTS, action="append")
    options = parser.parse_args()
    with openai_server(latency_ms=options.latency_ms) as model:
        print(f"Model server: {options.latency_ms} ms an answer. {os.cpu_count()} cores.")
        with bench_service(**model.environment, ONLINE_WORKERS="2") as service:
            runs = {
                "extracts": lambda: extracts.measure(service, model.base_url, options.seconds),
                "uploads": lambda: uploads.measure(service, options.files),
                "paging": lambda: paging.measure(service, options.rows),
                "bad_clients": lambda: bad_clients.measure(service, options.seconds),
            }
            before = rss_mb(service.api.pid)
            for name in options.only or PARTS:
                print(f"{name}:", flush=True)
                runs[name]()
            print(f"The API's memory: {before:.0f} MB before all of it, {rss_mb(service.api.pid):.0f} after")


if __name__ == "__main__":
    main()
