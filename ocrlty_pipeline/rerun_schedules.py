"""Which image sets are to be run again when: entries that a person makes, kept in the database.

Belongs here: the entries. Does not: reading the clock or launching anything (`orchestration.schedules`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from ocrlty_pipeline.artifacts.keys import check_id
from ocrlty_pipeline.db.models import SCHEMA, Base
from ocrlty_pipeline.errors import InputError

_TABLE = Base.metadata.tables[f"{SCHEMA}.rerun_schedules"]


@dataclass(frozen=True, slots=True)
class RerunSchedule:
    """One entry.

    Attributes:
        name: unique; in the tags of the runs that it starts.
        cron: five fields, as cron(5) has them.
        timezone: of the cron's hours, by its IANA name.
        active: a paused one starts nothing, and makes up for nothing later.
        since: when it was made or last resumed; times before that are not due.
    """

    name: str
    image_set: str
    task_id: str
    cron: str
    timezone: str
    active: bool
    since: datetime


class RerunSchedules:
    """The entries; every method raises `StorageUnavailableError` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, name: str, *, image_set: str, task_id: str, cron: str, timezone: str) -> RerunSchedule:
        """
        Raises:
            InputError: the name is not allowed, or in use.
        """
        check_id("schedule", name)
        entry = RerunSchedule(name, image_set, task_id, cron, timezone, active=True, since=datetime.now(UTC))
        values = {field: getattr(entry, field) for field in RerunSchedule.__dataclass_fields__}
        with self._engine.begin() as connection:
            added = connection.scalar(insert(_TABLE).values(values).on_conflict_do_nothing().returning(_TABLE.c.name))
        if added is None:
            raise InputError(f"A schedule named {name!r} exists; remove it first, or name this one with --name.")
        return entry

    def all(self, *, active_only: bool = False) -> list[RerunSchedule]:
        """By name."""
        query = select(_TABLE).order_by(_TABLE.c.name)
        if active_only:
            query = query.where(_TABLE.c.active)
        with self._engine.connect() as connection:
            return [RerunSchedule(**row) for row in connection.execute(query).mappings()]

    def set_active(self, name: str, active: bool) -> None:  # noqa: FBT001 -- the value itself
        """
        Raises:
            InputError: there is none of that name.
        """
        since = {"since": datetime.now(UTC)} if active else {}
        self._change(name, update(_TABLE).values(active=active, **since))

    def remove(self, name: str) -> None:
        """
        Raises:
            InputError: there is none of that name.
        """
        self._change(name, delete(_TABLE))

    def _change(self, name: str, statement: Any) -> None:
        with self._engine.begin() as connection:
            changed = connection.scalar(statement.where(_TABLE.c.name == name).returning(_TABLE.c.name))
        if changed is None:
            raise InputError(f"There is no schedule named {name!r}; `ocrlty schedule list` shows them.")
