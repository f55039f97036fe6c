"""Roles, the scopes they stand for, and who asks.

Belongs here: what a key may be given and what that allows. Does not: keys, requests, or the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.records import Auth

LOCAL_KEY_ID = "local"


class Scope(StrEnum):
    EXTRACT_RUN = "extract:run"
    DEBUG_RUN = "debug:run"
    DEBUG_READ_RAW = "debug:read_raw"
    RUNS_DELETE = "runs:delete"


class Role(StrEnum):
    """A name for a set of scopes; an admin besides sees everybody's jobs and runs."""

    CLIENT = "client"
    DEBUGGER = "debugger"
    ADMIN = "admin"


SCOPES_OF: Mapping[Role, frozenset[Scope]] = MappingProxyType(
    {
        Role.CLIENT: frozenset({Scope.EXTRACT_RUN}),
        Role.DEBUGGER: frozenset({Scope.EXTRACT_RUN, Scope.DEBUG_RUN}),
        Role.ADMIN: frozenset(Scope),
    }
)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as one key's row says: the scopes decide what is allowed, the role whose things are seen."""

    key_id: str
    role: str
    scopes: frozenset[str]

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN

    def may_see(self, owner_key_id: str | None) -> bool:
        """Whether what `owner_key_id` owns is this one's to see."""
        return self.is_admin or self.key_id == owner_key_id

    def auth(self) -> Auth:
        """The same for records, with the scopes in order."""
        return Auth(key_id=self.key_id, role=self.role, scopes=sorted(self.scopes))


LOCAL_ADMIN = Principal(LOCAL_KEY_ID, Role.ADMIN.value, frozenset(scope.value for scope in Scope))


def role_named(name: str) -> Role:
    """
    Raises:
        InputError: there is no such role.
    """
    try:
        return Role(name)
    except ValueError:
        raise InputError(f"Unknown role {name!r}: use one of {', '.join(Role)}.") from None


def scopes_named(names: Iterable[str]) -> frozenset[Scope]:
    """Just the scopes that are named: a key with an explicit list gets nothing of its role beside.

    Raises:
        InputError: a name is no scope, or none is given.
    """
    scopes = frozenset(map(_scope_named, names))
    if not scopes:
        raise InputError(f"The list of scopes is empty: name some of {', '.join(Scope)}, or leave it out.")
    return scopes


def _scope_named(name: str) -> Scope:
    try:
        return Scope(name)
    except ValueError:
        raise InputError(f"Unknown scope {name!r}: use some of {', '.join(Scope)}.") from None
