"""Folders of images on the server's disk: which files count, and that none lies outside `DATA_ROOT`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from ocrlty_pipeline.errors import ImageSetError
from ocrlty_pipeline.images import SNIFFED_BYTES, type_of

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
EVERY_FILE = "**/*"
# Each `**` walks the tree once more for every folder the one before it found.
MAX_RECURSIONS = 2
MAX_GLOB_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The images of one folder.

    Attributes:
        folder: resolved.
        names: paths within the folder, with `/`, sorted.
        skipped: how many other files were passed over.
    """

    folder: Path
    names: list[str]
    skipped: int


def folder_files(folder: Path, glob: str, root: Path) -> FolderFiles:
    """Find the images of a folder.

    A file counts as an image by its suffix (a broken `.jpg` shall be seen, not dropped) or by its content.

    Raises:
        ImageSetError: the folder is missing, empty of images or outside `root`, or the glob is not a pattern within it.
    """
    resolved = _folder_within(folder, root)
    images, skipped = [], 0
    for path in _glob(resolved, glob):
        if _is_image(path):
            images.append(path.relative_to(resolved).as_posix())
        else:
            skipped += 1
    if not images:
        raise ImageSetError(f"No image in {resolved} matches {glob!r} ({skipped} other files there).")
    return FolderFiles(resolved, sorted(images), skipped)


def count_images(folder: Path, glob: str, root: Path, *, at_most: int) -> int:
    """How many images a folder has, without looking any further once there are `at_most`.

    Raises:
        ImageSetError: as `folder_files`.
    """
    resolved = _folder_within(folder, root)
    count = sum(1 for _ in islice(filter(_is_image, _glob(resolved, glob)), at_most))
    if not count:
        raise ImageSetError(f"No image in {resolved} matches {glob!r}.")
    return count


def _folder_within(folder: Path, root: Path) -> Path:
    try:
        resolved = folder.expanduser().resolve()
        is_folder = resolved.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise ImageSetError(f"{str(folder)!r} is not a folder: {error}.") from None
    if not resolved.is_relative_to(root):
        raise ImageSetError(f"{folder} lies outside DATA_ROOT={root}; set DATA_ROOT to a folder that holds it.")
    if not is_folder:
        raise ImageSetError(f"{resolved} is not a folder.")
    return resolved


def _glob(folder: Path, pattern: str) -> Iterator[Path]:
    parts = PurePosixPath(pattern).parts
    if not parts or pattern.startswith("/") or ".." in parts or "\0" in pattern:
        raise ImageSetError(f"glob {pattern!r} must be a pattern within the folder, such as '*.jpg' or '**/*.png'.")
    if len(pattern) > MAX_GLOB_CHARACTERS or parts.count("**") > MAX_RECURSIONS:
        raise ImageSetError(
            f"glob {pattern[:MAX_GLOB_CHARACTERS]!r} is too long, or has more than {MAX_RECURSIONS} times '**'."
        )
    for path in _candidates(folder, pattern):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        # A link may lead out of the folder, and so out of DATA_ROOT.
        if not hidden and path.is_file() and path.resolve().is_relative_to(folder):
            yield path


def _candidates(folder: Path, pattern: str) -> Iterator[Path]:
    found = folder.glob(pattern)
    while True:
        try:
            path = next(found, None)
        except (ValueError, NotImplementedError, OSError) as error:
            raise ImageSetError(f"glob {pattern!r} is not a pattern: {error}.") from None
        if path is None:
            return
        yield path


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES or _looks_like_image(path)


def _looks_like_image(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return type_of(file.read(SNIFFED_BYTES)) is not None
    except OSError:
        return False
