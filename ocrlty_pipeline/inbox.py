"""Folders that arrive under `DATA_ROOT/inbox`, each to become an image set once it is complete.

Belongs here: telling what has arrived and whether more is coming. Does not: Dagster, or reading the images.

A folder is complete when it holds the marker file, or when nothing in it has changed for some time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ocrlty_pipeline.artifacts.keys import check_id
from ocrlty_pipeline.errors import InputError

MARKER = "_COMPLETE"
GROUND_TRUTHS = ("ground_truth.json", "ground_truth.jsonl", "ground_truth.csv")


class Sighting(BaseModel):
    """What a folder looked like.

    Attributes:
        since: when it was first seen like that, in seconds since the epoch.
        done: whether all that it was to start was asked for.
    """

    model_config = ConfigDict(frozen=True)

    signature: str
    since: float
    done: bool = False


class Seen(BaseModel):
    """What earlier looks saw, by the folder's name; the sensor keeps it as its cursor."""

    folders: dict[str, Sighting] = {}

    def done(self, names: Iterable[str]) -> Seen:
        """The same, with these folders marked as done."""
        marked = {name: self.folders[name].model_copy(update={"done": True}) for name in names}
        return Seen(folders={**self.folders, **marked})


@dataclass(frozen=True, slots=True)
class Arrival:
    """A complete folder that is not done with.

    Attributes:
        signature: changes with any file's path, size or time of change.
        ground_truth: a file of expected values that came with the images.
    """

    name: str
    folder: Path
    signature: str
    ground_truth: Path | None


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the inbox.

    Attributes:
        waiting: names of folders in which files still arrive.
        refused: for each folder that cannot become an image set, why.
    """

    arrivals: list[Arrival]
    waiting: list[str]
    refused: list[str]
    seen: Seen = field(default_factory=Seen)


def look(inbox: Path, before: Seen, now: float, stable_s: float) -> Look:
    """Tell the folders of an inbox apart; one that is not there is empty.

    Args:
        inbox: the folder of folders.
        before: what the look before saw.
        now: seconds since the epoch.
        stable_s: for how long nothing may have changed in a folder without marker.
    """
    sightings = {folder.name: _sighting(folder, before.folders, now) for folder in _folders(inbox)}
    arrivals, waiting, refused = [], [], []
    for name, sighting in sightings.items():
        folder = inbox / name
        if sighting.done:
            continue
        if (problem := _problem(folder)) is not None:
            refused.append(problem)
        elif (folder / MARKER).exists() or now - sighting.since >= stable_s:
            arrivals.append(Arrival(name, folder, sighting.signature, _ground_truth(folder)))
        else:
            waiting.append(name)
    return Look(arrivals, waiting, refused, Seen(folders=sightings))


def _folders(inbox: Path) -> Iterator[Path]:
    """Hidden ones are somebody's who has not finished moving them here."""
    if inbox.is_dir():
        yield from sorted(path for path in inbox.iterdir() if path.is_dir() and not path.name.startswith("."))


def _sighting(folder: Path, before: Mapping[str, Sighting], now: float) -> Sighting:
    signature = _signature(folder)
    earlier = before.get(folder.name)
    return (
        earlier if earlier is not None and earlier.signature == signature else Sighting(signature=signature, since=now)
    )


def _signature(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # moved away meanwhile; the next look sees that it changed
        if path.is_file() and path.name != MARKER:
            digest.update(
                f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="replace")
            )
    return digest.hexdigest()[:32]


def _problem(folder: Path) -> str | None:
    try:
        check_id("image set", folder.name)
    except InputError as error:
        return f"{folder}: {error.message} Rename the folder."
    return None


def _ground_truth(folder: Path) -> Path | None:
    return next((folder / name for name in GROUND_TRUTHS if (folder / name).is_file()), None)
