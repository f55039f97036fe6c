"""Which image sets have ground truth, or a draft of one, so that lists of them need no look at the store.

One row is the latest version; storage stays the source of truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from ocrlty_pipeline.artifacts.keys import DRAFTS, GROUND_TRUTHS, version_of
from ocrlty_pipeline.db.models import SCHEMA, Base
from ocrlty_pipeline.errors import StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedGroundTruth:
    """The latest version of an image set's ground truth or, where `draft`, of its draft.

    Attributes:
        deleted: the latest version says that there is none any more.
    """

    draft: bool
    image_set: str
    version: int
    created_at: datetime
    owner_key_id: str | None
    source: str
    image_key: str
    entry_count: int
    deleted: bool


_TABLE = Base.metadata.tables[f"{SCHEMA}.ground_truths"]
_COLUMNS = [_TABLE.c[field.name] for field in fields(ListedGroundTruth)]
_NEW = insert(_TABLE)
_ADD = _NEW.on_conflict_do_update(
    index_elements=[_TABLE.c.draft, _TABLE.c.image_set],
    set_={column.name: _NEW.excluded[column.name] for column in _COLUMNS},
    where=_TABLE.c.version < _NEW.excluded.version,
)


def ground_truth_row(rel: str, document: Mapping[str, Any]) -> ListedGroundTruth:
    """The row of one version, from its key and its document.

    Raises:
        StorageError: they are none of a ground truth.
    """
    folder, _, rest = rel.partition("/")
    version = version_of(rel)
    if folder not in (GROUND_TRUTHS, DRAFTS) or version is None:
        raise StorageError(f"{rel} is not the key of a ground truth.")
    try:
        return ListedGroundTruth(
            draft=folder == DRAFTS,
            image_set=rest.partition("/")[0],
            version=version,
            created_at=datetime.fromisoformat(document["created_at"]),
            owner_key_id=document.get("owner_key_id"),
            source=document["source"],
            image_key=document["image_key"],
            entry_count=len(document["content"] or ()),
            deleted=document.get("deleted", False),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{rel} is not a ground truth: {error!r}.") from error


class GroundTruthIndex:
    """Rows of ground truths; every method raises `StorageUnavailableError` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, rows: Sequence[ListedGroundTruth]) -> int:
        """Note versions; an older one than is known changes nothing. Returns how many did."""
        if not rows:
            return 0
        # In one order, so that two processes that note the same sets never wait for each other.
        values = [asdict(row) for row in sorted(rows, key=lambda row: (row.draft, row.image_set, row.version))]
        with self._engine.begin() as connection:
            return int(connection.execute(_ADD, values, execution_options={"preserve_rowcount": True}).rowcount)

    def page(
        self, *, limit: int, after: str | None = None, owner: str | None = None, draft: bool = False
    ) -> list[ListedGroundTruth]:
        """Ground truths in the order of their image sets' names.

        Args:
            limit: how many at most.
            after: image set of the last one of the page before.
            owner: only those of this key.
            draft: drafts instead.
        """
        query = select(*_COLUMNS).where(_TABLE.c.draft.is_(draft), ~_TABLE.c.deleted)
        if owner is not None:
            query = query.where(_TABLE.c.owner_key_id == owner)
        if after is not None:
            query = query.where(_TABLE.c.image_set > after)
        with self._engine.connect() as connection:
            found = connection.execute(query.order_by(_TABLE.c.image_set).limit(limit)).mappings().all()
        return [ListedGroundTruth(**{**row, "created_at": row["created_at"].astimezone(UTC)}) for row in found]
