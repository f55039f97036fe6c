"""Make a folder of synthetic receipts with their ground truth, or find the same ones there.

    python -m examples.make_receipts OUT_DIR [--count 16] [--seed 7]

OUT_DIR/images/ holds the images, OUT_DIR/ground_truth.json the expected values by id, each naming its image by `file`.
The same seed makes the same bytes; a receipt does not change with the count. How one is made: `examples.receipts`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from examples.receipts import drawing, layout, photo, places, sales, wording

TRUTH = "ground_truth.json"
RECIPE = "recipe.json"
# Of eight receipts one is a scan, saved as PNG, and one is hard to read.
_PERIOD, _SCAN, _HARD = 8, 3, 6


@dataclass(frozen=True)
class Receipt:
    """A receipt's file and the expected values."""

    receipt_id: str
    file: str
    data: bytes
    truth: dict[str, Any]


def make_receipt(seed: int, number: int) -> Receipt:
    """Make the receipt of this number; it depends on nothing else."""
    rng = random.Random(f"{seed}/{number}")
    place = places.PLACES[number % len(places.PLACES)]
    shop = place.shops[number // len(places.PLACES) % len(place.shops)]
    words = wording.word(rng, sales.draw_sale(rng, place, shop))
    rows = layout.lay_out(rng, words)
    ink = drawing.draw(rows, drawing.load_typeface(rng.choice(drawing.typefaces_for(rows))))
    receipt_id = f"receipt_{number:02d}"
    if number % _PERIOD == _SCAN:
        file, data = f"{receipt_id}.png", _save(photo.scan(ink), "PNG")
    else:
        look = photo.draw_look(rng, hard=number % _PERIOD == _HARD)
        picture = photo.photograph(ink, look, np.random.default_rng([seed, number]))
        file, data = f"{receipt_id}.jpg", _save(picture, "JPEG", quality=rng.randint(70, 92))
    return Receipt(receipt_id, file, data, {"file": file, **words.truth})


def _save(picture: Image.Image, file_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def make_receipts(out_dir: Path, count: int = 16, seed: int = 7) -> bool:
    """Make the receipts 0 to `count` - 1, unless they are there already.

    Returns:
        Whether they had to be made.
    """
    recipe = {"seed": seed, "count": count, "generator": _generator_sha256()}
    if _holds(out_dir, recipe):
        return False
    images = out_dir / "images"
    images.mkdir(parents=True, exist_ok=True)
    for old in images.glob("receipt_*.*"):
        old.unlink()
    receipts = [make_receipt(seed, number) for number in range(count)]
    for receipt in receipts:
        (images / receipt.file).write_bytes(receipt.data)
    _write_json(out_dir / TRUTH, {receipt.receipt_id: receipt.truth for receipt in receipts})
    # Last, so that a folder that was left half made is made anew.
    _write_json(out_dir / RECIPE, {**recipe, "sha256": _files_sha256(out_dir)})
    return True


def _holds(out_dir: Path, recipe: dict[str, Any]) -> bool:
    """Whether the folder was made by this recipe and none of its files was changed since."""
    try:
        found = json.loads((out_dir / RECIPE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return bool(found == {**recipe, "sha256": _files_sha256(out_dir)})


def _files_sha256(out_dir: Path) -> dict[str, str]:
    paths = [*sorted((out_dir / "images").glob("receipt_*.*")), *out_dir.glob(TRUTH)]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _generator_sha256() -> str:
    """Hash of the generator's own source: receipts of an earlier version are made anew."""
    folder = Path(__file__).parent
    sources = [Path(__file__), *sorted((folder / "receipts").glob("*.py"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.make_receipts", description=_summary())
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="folder to make, or to find them in")
    parser.add_argument("--count", type=_positive, default=16, help="how many receipts (default: 16)")
    parser.add_argument("--seed", type=int, default=7, help="another seed makes other receipts (default: 7)")
    given = parser.parse_args()
    made = make_receipts(given.out_dir, given.count, given.seed)
    print(f"{'Made' if made else 'Found'} {given.count} receipts of seed {given.seed} in {given.out_dir / 'images'}")


def _summary() -> str:
    return str(__doc__).partition("\n")[0]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


if __name__ == "__main__":
    main()
