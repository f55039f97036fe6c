"""What a launch takes where nothing was typed: an image set's folder, the run that a rerun repeats, an image to try.

Each answer is told in the run's log, and every refusal names what to type.
"""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ocrlty_pipeline.errors import ArtifactNotFoundError, ImageSetError
from ocrlty_pipeline.image_folders import EVERY_FILE
from ocrlty_pipeline.image_sets import ImageSet
from ocrlty_pipeline.services import Services

INBOX = "inbox"
TRIAL_FILE = "trial.png"
_TRIAL_LINES = ("CORNER SHOP", "2 x Coffee    5.00", "1 x Bread     2.50", "TOTAL         7.50", "CASH         10.00")


def folder_of(services: Services, name: str, glob: str) -> tuple[Path, str]:
    """Where an image set's images are, and which files of that folder.

    The folder it was imported from last; for a new one, that of its name under DATA_ROOT or under its inbox.

    Raises:
        ImageSetError: there is no such folder.
    """
    root = services.settings.data_root_path
    known = _known(services, name)
    if known is not None and Path(known.images_dir).is_dir():
        return Path(known.images_dir), known.glob if glob == EVERY_FILE else glob
    for folder in (root / name, root / INBOX / name):
        if folder.is_dir():
            return folder, glob
    raise ImageSetError(
        f"images_dir is not given, and there is no folder {name!r} in DATA_ROOT={root}; name the folder of the images."
    )


def _known(services: Services, name: str) -> ImageSet | None:
    try:
        return asyncio.run(services.image_sets.load(name))
    except ImageSetError:
        return None


def run_to_repeat(services: Services, image_set: str, task_id: str) -> str:
    """The run that a rerun without `source_run_id` repeats: the partition's latest, else the image set's.

    Raises:
        ArtifactNotFoundError: the image set has no run at all.
    """
    newest = services.index.latest_batch(image_set, task_id) or services.index.latest_batch(image_set)
    if newest is None:
        raise ArtifactNotFoundError(
            f"source_run_id is not given, and image set {image_set!r} has no run yet; launch batch_extract first."
        )
    return newest.artifact_id


def trial_image(services: Services) -> str:
    """Keep a small receipt in the store, the same one each time; answers its key."""
    item = asyncio.run(services.image_sets.store_input(TRIAL_FILE, _drawn()))
    assert item.input_ref is not None  # noqa: S101 -- only an empty file has none
    return item.input_ref


def _drawn() -> bytes:
    picture = Image.new("L", (420, 60 + 44 * len(_TRIAL_LINES)), 255)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(28)
    for number, line in enumerate(_TRIAL_LINES):
        draw.text((30, 30 + 44 * number), line, fill=0, font=font)
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()
