"""Evaluation of a large run: 100,000 samples of 20 fields, from the stored run to the stored evaluation.

    python -m benchmarks.evaluation [--samples 100000]

A sample has eight single fields and four line items of three. One value in twenty is wrong or missing, one amount in
ten is printed otherwise than expected, an item in fifty is missing, and the items of one sample in fifty stand in
another order. Prints wall seconds (goal: under 60 on two idle cores), CPU seconds by part, peak resident memory (goal:
under 2048 MiB), and CPU per sample beside that of a tenth as many samples (goal: about 1, that is linear growth).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ocrlty_pipeline.collector import without_cycle_collection
from ocrlty_pipeline.evaluation.evaluator import Sample, evaluate
from ocrlty_pipeline.evaluation.results import EvaluationIdentity
from ocrlty_pipeline.ground_truth import ground_truth_of
from ocrlty_pipeline.image_sets import StoredGroundTruth
from ocrlty_pipeline.records import Auth, BatchHeader, BatchItem, BatchRun, Timings, batch_bytes, utc_now

AMOUNTS = ("total", "subtotal", "tax", "cash", "change")
TEXTS = ("company", "address")
TEXT, MONEY, COUNT, DATE = (
    {"type": ["string", "null"], **({"format": name} if name else {})}
    for name in (None, "x-money", "x-count", "x-date")
)
ITEM = {"type": "object", "properties": {"nm": TEXT, "cnt": COUNT, "price": MONEY}}
SCHEMA = {
    "type": "object",
    "properties": {
        **dict.fromkeys(TEXTS, TEXT),
        "date": DATE,
        **dict.fromkeys(AMOUNTS, MONEY),
        "menu": {"type": "array", "items": ITEM},
    },
}
SYLLABLES = ("na", "si", "go", "reng", "te", "h", "ma", "nis", "a", "yam", "ba", "kar", "es", "mi", "kopi", "su", "jus")


@dataclass
class Measured:
    """One evaluation in a process of its own."""

    samples: int
    wall_s: float = 0.0
    peak_rss_mb: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict)

    @property
    def total_cpu_s(self) -> float:
        return sum(self.cpu_s.values())

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.cpu_s[name] = time.process_time() - started


def make_run(folder: Path, samples: int) -> None:
    """Write a batch artifact and its ground truth."""
    rng = random.Random(7)  # noqa: S311 -- data, not secrets
    expected = [receipt(rng) for _ in range(samples)]
    items = (item(number, prediction(rng, values)).to_bytes() for number, values in enumerate(expected))
    (folder / "run.json").write_bytes(batch_bytes(header(samples), items))
    entries = [{"file": f"{number:06d}.jpg", **values} for number, values in enumerate(expected)]
    truth = StoredGroundTruth(
        image_set="bench", created_at=utc_now(), source="bench", image_key="file", content=entries
    )
    (folder / "truth.json").write_bytes(truth.to_bytes())


def receipt(rng: random.Random) -> dict[str, Any]:
    return {
        **{name: words(rng, 3) for name in TEXTS},
        "date": f"{rng.randint(1, 28):02d}/{rng.randint(1, 12):02d}/2018",
        **{name: amount(rng) for name in AMOUNTS},
        "menu": [{"nm": words(rng, 2), "cnt": str(rng.randint(1, 9)), "price": amount(rng)} for _ in range(4)],
    }


def words(rng: random.Random, count: int) -> str:
    return " ".join("".join(rng.choices(SYLLABLES, k=3)).upper() for _ in range(count))


def amount(rng: random.Random) -> str:
    return f"{rng.randint(1, 2000) * 500:,}"


def prediction(rng: random.Random, expected: dict[str, Any]) -> dict[str, Any]:
    answer = {name: misread(rng, value) for name, value in expected.items() if name != "menu"}
    menu = [
        {key: misread(rng, value) for key, value in line.items()} for line in expected["menu"] if rng.random() > 0.02
    ]
    if rng.random() < 0.02:
        rng.shuffle(menu)
    return {**answer, "menu": menu}


def misread(rng: random.Random, value: str) -> str | None:
    chance = rng.random()
    if chance < 0.02:
        return None
    if chance < 0.05:
        return value[:-1] + rng.choice("0123456789")
    return f"Rp {value}" if chance < 0.15 and value[0].isdigit() and "," in value else value


def item(number: int, parsed: dict[str, Any]) -> BatchItem:
    return BatchItem(
        file=f"{number:06d}.jpg",
        request_id=f"bench-{number:06d}",
        input_ref=f"inputs/local/00/00/{number:064x}.jpg",
        artifact_rel=f"extracts/2026-01-01/bench-{number:06d}.json",
        ok=True,
        parsed=parsed,
        schema_valid=True,
        schema_errors=[],
        error=None,
        error_history=None,
        timings_ms=Timings(vllm=500.0 + number % 97, parse_validate=0.4, total=503.2 + number % 97, preprocess=2.8),
        usage={"prompt_tokens": 1500, "completion_tokens": 260},
    )


def header(samples: int) -> BatchHeader:
    return BatchHeader(
        backend="vllm", model_id="bench", prompt_sha256="0" * 64, schema_sha256="0" * 64, temperature=0.0,
        max_tokens=1024, code_version="bench", run_id="bench", created_at=utc_now(), finished_at=utc_now(),
        task_id="bench", status="succeeded", status_reason=None, image_set="bench", image_set_version=1,
        images_dir="bench", glob="*", concurrency=32, item_count=samples, ok_count=samples, error_count=0,
        pending_count=0, schema_valid_count=samples, reused_count=0, errors_by_code={}, timings_ms={"total": 1.0},
        auth=Auth(), dagster_run_id=None, source_run_id=None, resumed_from=None,
    )  # fmt: skip


def measure(folder: Path, samples: int) -> Measured:
    """What `scoring` does between the store's bytes and the store's bytes."""
    measured = Measured(samples)
    started = time.perf_counter()
    with without_cycle_collection():
        with measured.part("read the run"):
            batch = BatchRun.from_bytes((folder / "run.json").read_bytes())
        with measured.part("read the ground truth"):
            stored = StoredGroundTruth.from_bytes((folder / "truth.json").read_bytes())
            match = ground_truth_of(stored.content, stored.image_key).match([item.file for item in batch.items])
        with measured.part("evaluate"):
            identity = EvaluationIdentity(
                eval_id="bench", created_at=utc_now(), run_id="bench", task_id="bench", image_set="bench",
                ground_truth_version=1,
            )  # fmt: skip
            evaluation = evaluate([Sample.of(item) for item in batch.items], match, SCHEMA, identity)
        with measured.part("write the evaluation"):
            (folder / "evaluation.json").write_bytes(evaluation.to_bytes())
    measured.wall_s = time.perf_counter() - started
    measured.peak_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return measured


def in_own_process(samples: int) -> Measured:
    """Make the data in one process and evaluate it in another: memory of the first plays no part."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.evaluation", "--samples", str(samples), "--folder", folder]
        subprocess.run([*command, "--mode", "make"], check=True)
        done = subprocess.run([*command, "--mode", "measure"], check=True, stdout=subprocess.PIPE)
    return Measured(**json.loads(done.stdout))


def report(samples: int) -> None:
    small, large = in_own_process(samples // 10), in_own_process(samples)
    print(f"{large.samples} samples of 20 fields")
    print(f"Wall            {large.wall_s:7.1f} s")
    print(f"CPU             {large.total_cpu_s:7.1f} s: {large.total_cpu_s / large.samples * 1e6:.0f} µs a sample")
    for name, seconds in large.cpu_s.items():
        print(f"  {name:22}{seconds:6.1f} s")
    print(f"Peak memory     {large.peak_rss_mb:7.0f} MiB")
    growth = (large.total_cpu_s / large.samples) / (small.total_cpu_s / small.samples)
    print(f"CPU per sample  {growth:7.2f} times that with {small.samples} samples")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--mode", choices=["report", "make", "measure"], default="report", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mode == "report":
        report(options.samples)
    elif options.mode == "make":
        make_run(options.folder, options.samples)
    else:
        print(json.dumps(asdict(measure(options.folder, options.samples))))


if __name__ == "__main__":
    main()
