"""`python -m ocrlty_api.auth_cli`: make, list and revoke API keys.

A new key goes to standard output, alone, and is seen nowhere else; everything said about it goes to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Annotated

import orjson
import typer
from sqlalchemy.exc import DBAPIError

from ocrlty_api.auth.keys import KeyHasher, KeyTable, StoredKey
from ocrlty_api.auth.roles import Role, Scope, role_named, scopes_named
from ocrlty_pipeline.cli.output import say
from ocrlty_pipeline.db.embedded import embedded_postgres
from ocrlty_pipeline.db.engine import create_engine, migrate
from ocrlty_pipeline.errors import InputError, OcrltyError
from ocrlty_pipeline.settings import Settings, load_settings

COLUMNS = ("KEY_ID", "ROLE", "SCOPES", "CREATED", "LAST USED", "REVOKED")

app = typer.Typer(
    help="API keys of OCRlty: who may use the HTTP API, and for what.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
KeyId = Annotated[str, typer.Option(help="The key's name; it owns what is made with it.", show_default=False)]


@app.callback()
def database(
    database_url: Annotated[
        str | None, typer.Option(help="postgresql+psycopg://user@host/db", show_default="DATABASE_URL, else embedded")
    ] = None,
) -> None:
    """API keys of OCRlty: who may use the HTTP API, and for what."""
    if database_url is not None:
        # The option is the variable, for this process: it is checked and explained in one place.
        os.environ["DATABASE_URL"] = database_url


@app.command()
def init_db() -> None:
    """Make the tables, or bring them up to date; every other command does so too."""
    with _keys(load_settings()):
        say("The database is up to date.")


@app.command()
def create_key(
    key_id: KeyId,
    role: Annotated[str, typer.Option(help=" | ".join(Role), show_default=False)],
    scopes: Annotated[
        str | None,
        typer.Option(help=f"Just these instead of the role's, as CSV or JSON: {', '.join(Scope)}", show_default=False),
    ] = None,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="End the key of this name and hand what it owns to the new one.")
    ] = False,
) -> None:
    """Make a key and print it, once."""
    chosen_role = role_named(role)
    chosen_scopes = None if scopes is None else scopes_named(_listed(scopes))
    settings = load_settings()
    hasher = KeyHasher.from_settings(settings)
    with _keys(settings) as table:
        key = table.create(key_id, chosen_role, chosen_scopes, hasher, replace=replace)
    say(f"Key {key_id} works within 2 seconds. It is shown this once: keep it where your secrets are.")
    typer.echo(key)


@app.command()
def list_keys() -> None:
    """Show all keys, oldest first, revoked ones too; never the keys themselves."""
    with _keys(load_settings()) as table:
        lines = [COLUMNS, *map(_cells, table.all())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@app.command()
def revoke_key(key_id: KeyId) -> None:
    """End a key; the service refuses it within 2 seconds."""
    with _keys(load_settings()) as table:
        was_active = table.revoke(key_id)
    say(f"Key {key_id} is revoked." if was_active else f"Key {key_id} was revoked before.")


def run(arguments: Sequence[str]) -> int:
    """Run one command line; answers its exit code. Errors raised on purpose are told in one line."""
    try:
        app(list(arguments), prog_name="python -m ocrlty_api.auth_cli")
    except OcrltyError as error:
        say(f"Error: {error.message}")
        return 1
    except DBAPIError as error:
        say(f"Error: the database refused: {str(error.orig).splitlines()[0]}")
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


@contextmanager
def _keys(settings: Settings) -> Iterator[KeyTable]:
    """The table of keys, in a database that is up and migrated: the embedded one where none is named."""
    named = settings.database_url
    with ExitStack() as stack:
        url = named.get_secret_value() if named else stack.enter_context(embedded_postgres(settings.home / "postgres"))
        engine = create_engine(url)
        stack.callback(engine.dispose)
        migrate(engine)
        yield KeyTable(engine)


def _listed(text: str) -> list[str]:
    """
    Raises:
        InputError: the text begins like JSON and is no list of strings.
    """
    if not text.lstrip().startswith("["):
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f'--scopes {text!r} is no JSON list of strings, such as ["extract:run"].')
    return names


def _cells(key: StoredKey) -> tuple[str, ...]:
    times = (key.created_at, key.last_used_at, key.revoked_at)
    return (key.key_id, key.role, ",".join(key.scopes), *map(_shown, times))


def _shown(time: datetime | None) -> str:
    return "-" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S%z")


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
