"""Baselines: the run of an image set and task that later ones are held against, as a person sets it.

Belongs here: the table and its rows. Does not: the comparison (`comparing`), or what a failed one stops.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, delete, select
from sqlalchemy.dialects.postgresql import insert

from ocrlty_pipeline.db.models import SCHEMA, Base
from ocrlty_pipeline.errors import InputError

_TABLE = Base.metadata.tables[f"{SCHEMA}.baselines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the runs of an image set through a task are held against.

    Attributes:
        max_drop: how far micro F1 may fall, in [0, 1]; 0.01 is a percentage point.
        blocking: whether a run that falls further fails the job, and what depends on it is not made.
    """

    image_set: str
    task_id: str
    run_id: str
    max_drop: float
    blocking: bool
    set_at: datetime


class Baselines:
    """The table of baselines; every method raises `StorageUnavailableError` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def set(self, image_set: str, task_id: str, run_id: str, *, max_drop: float, blocking: bool) -> Baseline:
        """Set the baseline of an image set and task in place of the one before.

        Raises:
            InputError: `max_drop` is no share.
        """
        if not 0 <= max_drop <= 1:
            raise InputError(f"max_drop is {max_drop}; give a share from 0 to 1, such as 0.01 for a percentage point.")
        baseline = Baseline(
            image_set=image_set,
            task_id=task_id,
            run_id=run_id,
            max_drop=max_drop,
            blocking=blocking,
            set_at=datetime.now(UTC),
        )
        values = asdict(baseline)
        statement = insert(_TABLE).values(values)
        with self._engine.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["image_set", "task_id"], set_=values))
        return baseline

    def get(self, image_set: str, task_id: str) -> Baseline | None:
        return next((b for b in self.all() if (b.image_set, b.task_id) == (image_set, task_id)), None)

    def all(self) -> list[Baseline]:
        """Every baseline, by image set and task: a person sets each, so they are few."""
        query = select(_TABLE).order_by(_TABLE.c.image_set, _TABLE.c.task_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [Baseline(**{**row, "set_at": row["set_at"].astimezone(UTC)}) for row in rows]

    def clear(self, image_set: str, task_id: str) -> bool:
        """Forget a baseline; answers whether there was one."""
        mine = (_TABLE.c.image_set == image_set) & (_TABLE.c.task_id == task_id)
        with self._engine.begin() as connection:
            return connection.execute(delete(_TABLE).where(mine)).rowcount > 0
