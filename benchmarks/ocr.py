"""The OCR engine in one process and in several at the same time, whose threads sleep or spin while they wait.

    python -m benchmarks.ocr [--processes 3] [--images 3]

Prints, of threads that spin (onnxruntime's own way) to threads that sleep (ours), how long an image takes: alone (goal:
above 0.9, sleeping costs little) and with so many processes reading at once (goal: above 1.1).
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

from PIL import Image

from benchmarks.measuring import median_ms
from ocrlty_pipeline.backends.ocr import engine
from tests.support.receipts import receipt

LINES = ["KEDAI KOPI", "SUBTOTAL\t8.50", "TAX\t0.50", "TOTAL\t9.00", "CASH\t10.00", "CHANGE\t1.00"]
THREADS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--images", type=int, default=3)
    options = parser.parse_args()
    for processes in (1, options.processes):
        sleeping, spinning = (image_ms(processes, options.images, spins=spins) for spins in (False, True))
        print(
            f"{processes} at once: {sleeping:.0f} ms an image asleep, {spinning:.0f} spinning: "
            f"{spinning / sleeping:.2f} times as long",
            flush=True,
        )


def image_ms(processes: int, images: int, *, spins: bool) -> float:
    """Median time of an image over all processes, in milliseconds."""
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        reading = [pool.submit(read, images, spins=spins) for _ in range(processes)]
        return median_ms([seconds for process in reading for seconds in process.result()])


def read(images: int, *, spins: bool) -> list[float]:
    """Seconds that each image took, once the models are loaded."""
    if spins:
        engine._let_threads_sleep = lambda: None  # type: ignore[assignment]  # noqa: SLF001 -- what is measured
    reader = engine.OcrEngine(threads=THREADS)
    image = Image.open(io.BytesIO(receipt(LINES))).convert("RGB")
    reader.read(image)
    times = []
    for _ in range(images):
        began = time.perf_counter()
        reader.read(image)
        times.append(time.perf_counter() - began)
    return times


if __name__ == "__main__":
    main()
