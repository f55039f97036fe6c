"""SROIE: the key files of its task 3, one JSON object an image.

Z. Huang et al., "ICDAR2019 Competition on Scanned Receipt OCR and Information Extraction", ICDAR 2019. The competition
ships them as `X51005200931.txt`, a well-known copy as `key/000.json`; both hold `company`, `date`, `address`, `total`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ocrlty_pipeline.datasets.json_files import files_below, strict_json
from ocrlty_pipeline.errors import GroundTruthError

KEYS = ("company", "date", "address", "total")


def read_sroie(folder: Path) -> dict[str, dict[str, Any]]:
    """Fields by the key file's path without its suffix, which names the image. A key that is not there is null.

    Files of boxes, `.txt` too, are lines of coordinates and no JSON object: they are passed over.

    Raises:
        GroundTruthError: a key file is broken, or the folder has none.
    """
    found = {}
    for name, data in files_below(folder, ".txt", ".json"):
        if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            content = strict_json(data, name)
            if not content.keys().isdisjoint(KEYS):
                found[name.rpartition(".")[0]] = {key: content.get(key) for key in KEYS}
    if not found:
        raise GroundTruthError(f"{folder} holds no SROIE key file: a .txt or .json with {', '.join(KEYS)}.")
    return found
