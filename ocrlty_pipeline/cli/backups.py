"""Commands over the whole store: `backup`, `restore`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ocrlty_pipeline.artifacts import backup as archives
from ocrlty_pipeline.artifacts.reindex import reindex
from ocrlty_pipeline.cli.output import say
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.orchestration.launch import register_image_set
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.services import Services, open_services
from ocrlty_pipeline.settings import load_settings

SHOWN = 20


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write, .tar.gz.")],
    *,
    inputs: Annotated[bool, typer.Option("--inputs", help="The images' bytes as well.")] = False,
) -> None:
    """Write all artifacts, and the rows that only the database has, to one .tar.gz file."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        with running_stack(load_settings()) as settings, open_services(settings) as services:
            size = asyncio.run(_write(services, partial, inputs=inputs))
        partial.replace(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)
    say(f"{file}: {size} bytes.")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive that `ocrlty backup` or the API wrote.")],
) -> None:
    """Put a backup's artifacts and rows back, and rebuild the index; what is there with other content stays."""
    with running_stack(load_settings()) as settings, open_services(settings) as services:
        try:
            with file.open("rb") as archive:
                report = asyncio.run(archives.restore(services.store, archive, tables=services.engine))
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}.") from None
        rebuilt = asyncio.run(reindex(services.store, services.engine))
        _register(asyncio.run(services.image_sets.names()))
    say(f"{report.restored} artifacts and {report.rows} rows restored, {rebuilt.added} index rows added.")
    _list("hold other content and stay as they are", report.conflicts)
    _list("are no artifacts' names", report.refused)
    _list("cannot be read", rebuilt.unreadable)
    if report.conflicts or report.refused or rebuilt.unreadable:
        raise typer.Exit(1)


def _register(image_sets: list[str]) -> None:
    """Have Dagster know the image sets, so that they can be run from its UI and by their schedules."""
    with dagster_instance() as instance:
        for name in image_sets:
            register_image_set(instance, name)


async def _write(services: Services, file: Path, *, inputs: bool) -> int:
    with file.open("wb") as archive:
        async for piece in archives.backup(services.store, inputs=inputs, tables=services.engine):
            await asyncio.to_thread(archive.write, piece)
        return archive.tell()


def _list(what: str, names: list[str]) -> None:
    if names:
        say(f"{len(names)} {what}:")
    for name in names[:SHOWN]:
        say(f"  {name}")
    if len(names) > SHOWN:
        say("  ...")
