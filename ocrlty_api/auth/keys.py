"""API keys: made at random, stored as a keyed hash only, and the table that holds them.

Belongs here: making, hashing, creating, listing and revoking keys. Does not: requests, or who may do what (`roles`).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import DateTime, Engine, Text, cast, column, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from ocrlty_api.auth.roles import LOCAL_KEY_ID, SCOPES_OF, Principal, Role, Scope
from ocrlty_pipeline.artifacts.keys import check_id
from ocrlty_pipeline.db.models import ApiKeyRow
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.pepper import pepper_of
from ocrlty_pipeline.settings import Settings

# Scanners for leaked secrets, and people, know a key by this.
PREFIX = "ocrlty_"
KEY_BYTES = 32
_TIME = DateTime(timezone=True)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as its table knows it, for listings."""

    key_id: str
    role: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class ActiveKey:
    """What a request's key is compared with: the hash, and who it stands for."""

    digest: bytes
    principal: Principal


class KeyHasher:
    """HMAC-SHA256 of keys under the pepper: without it the table is worth nothing to who reads it."""

    def __init__(self, pepper: str) -> None:
        self._pepper = pepper.encode()

    @classmethod
    def from_settings(cls, settings: Settings) -> KeyHasher:
        """
        Raises:
            ConfigError: API_KEY_PEPPER is missing or too short.
        """
        return cls(pepper_of(settings, "API keys are stored as hashes under it"))

    def digest(self, key: str) -> bytes:
        """32 bytes. Any text is hashed, also what no header should hold."""
        return hmac.digest(self._pepper, key.encode("utf-8", "surrogatepass"), "sha256")


def new_key() -> str:
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


class KeyTable:
    """The keys in the database. Its methods block; each is one short transaction.

    All raise StorageUnavailableError when the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self, key_id: str, role: Role, scopes: Iterable[Scope] | None, hasher: KeyHasher, *, replace: bool = False
    ) -> str:
        """Make a key and return it: the only time it is seen.

        Args:
            key_id: its name, which owns what is made with it.
            role: whose things it sees, and its scopes unless these are given.
            scopes: just these; the role's when None.
            hasher: with the pepper that the service has too.
            replace: take the place of the key of this name, revoked or not, and what it owns.

        Raises:
            InputError: the key_id is not allowed, reserved, or in use, by a revoked key too.
        """
        if check_id("key_id", key_id) == LOCAL_KEY_ID:
            raise InputError(f"key_id {key_id!r} is reserved for who works without a key: choose another.")
        key = new_key()
        granted = sorted(SCOPES_OF[role] if scopes is None else scopes)
        row = {"key_hash": hasher.digest(key), "role": role.value, "scopes": granted, "created_at": func.now()}
        statement = insert(ApiKeyRow).values(key_id=key_id, **row)
        if replace:
            fresh = row | {"revoked_at": None, "last_used_at": None}
            statement = statement.on_conflict_do_update(index_elements=[ApiKeyRow.key_id], set_=fresh)
        else:
            statement = statement.on_conflict_do_nothing()
        with self._engine.begin() as connection:
            if connection.scalar(statement.returning(ApiKeyRow.key_id)) is None:
                raise InputError(
                    f"key_id {key_id!r} is taken, by a revoked key perhaps, and owns what was made with it: choose "
                    "another, or use --replace to end its key and hand what it owns to a new one."
                )
        return key

    def all(self) -> list[StoredKey]:
        """All keys, oldest first, revoked ones too."""
        with Session(self._engine) as session:
            rows = session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at, ApiKeyRow.key_id))
            return [
                StoredKey(row.key_id, row.role, tuple(row.scopes), row.created_at, row.revoked_at, row.last_used_at)
                for row in rows
            ]

    def revoke(self, key_id: str) -> bool:
        """End a key for good; False when it was revoked before.

        Raises:
            InputError: there is no such key.
        """
        revocation = (
            update(ApiKeyRow)
            .where(ApiKeyRow.key_id == key_id, ApiKeyRow.revoked_at.is_(None))
            .values(revoked_at=func.now())
        )
        with Session(self._engine) as session, session.begin():
            if session.scalar(revocation.returning(ApiKeyRow.key_id)) is not None:
                return True
            if session.get(ApiKeyRow, key_id) is None:
                raise InputError(f"There is no key {key_id!r}: list-keys shows those there are.")
        return False

    def active(self) -> list[ActiveKey]:
        """All keys that are not revoked, in one query."""
        columns = select(ApiKeyRow.key_hash, ApiKeyRow.key_id, ApiKeyRow.role, ApiKeyRow.scopes)
        with self._engine.connect() as connection:
            rows = connection.execute(columns.where(ApiKeyRow.revoked_at.is_(None)))
            return [ActiveKey(bytes(row[0]), Principal(row[1], row[2], frozenset(row[3]))) for row in rows]

    def note_use(self, last_used: Mapping[str, datetime]) -> None:
        """Write when keys were last used, all in one statement. Moves no time back: other processes write too."""
        used = (
            func.unnest(cast(list(last_used), ARRAY(Text)), cast(list(last_used.values()), ARRAY(_TIME)))
            .table_valued(column("key_id", Text), column("at", _TIME), name="used")
            .render_derived()
        )
        statement = (
            update(ApiKeyRow)
            .where(ApiKeyRow.key_id == used.c.key_id)
            .values(last_used_at=func.greatest(ApiKeyRow.last_used_at, used.c.at))
        )
        with self._engine.begin() as connection:
            connection.execute(statement)
