"""Commands over the whole store: `backup`, `restore`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ocrlty_pipeline.artifacts import backup as archives
from ocrlty_pipeline.artifacts.reindex import reindex
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.cli.output import say
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.orchestration.stack import running_stack
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import load_settings

SHOWN = 20


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write, .tar.gz.")],
    *,
    inputs: Annotated[bool, typer.Option("--inputs", help="The images' bytes as well.")] = False,
) -> None:
    """Write all artifacts to one .tar.gz file."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        size = asyncio.run(_write(ArtifactStore.from_settings(load_settings()), partial, inputs=inputs))
        partial.replace(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)
    say(f"{file}: {size} bytes.")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive that `ocrlty backup` or the API wrote.")],
) -> None:
    """Put a backup's artifacts back, and rebuild the index; what is there with other content stays."""
    with running_stack(load_settings()) as settings, open_services(settings) as services:
        try:
            with file.open("rb") as archive:
                report = asyncio.run(archives.restore(services.store, archive))
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}.") from None
        rebuilt = asyncio.run(reindex(services.store, services.engine))
    say(f"{report.restored} artifacts restored, {rebuilt.added} index rows added.")
    _list("hold other content and stay as they are", report.conflicts)
    _list("are no artifacts' names", report.refused)
    _list("cannot be read", rebuilt.unreadable)
    if report.conflicts or report.refused or rebuilt.unreadable:
        raise typer.Exit(1)


async def _write(store: ArtifactStore, file: Path, *, inputs: bool) -> int:
    with file.open("wb") as archive:
        async for piece in archives.backup(store, inputs=inputs):
            await asyncio.to_thread(archive.write, piece)
        return archive.tell()


def _list(what: str, names: list[str]) -> None:
    if names:
        say(f"{len(names)} {what}:")
    for name in names[:SHOWN]:
        say(f"  {name}")
    if len(names) > SHOWN:
        say("  ...")
