import pytest

from ocrlty_api.auth.roles import LOCAL_ADMIN, SCOPES_OF, Principal, Scope, role_named, scopes_named
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.records import Auth


def test_roles_stand_for_the_scopes_of_the_contract():
    assert {role.value: sorted(scopes) for role, scopes in SCOPES_OF.items()} == {
        "client": ["extract:run"],
        "debugger": ["debug:run", "extract:run"],
        "admin": ["debug:read_raw", "debug:run", "extract:run", "runs:delete"],
    }


def test_an_explicit_list_gives_just_its_scopes():
    assert scopes_named(["debug:read_raw"]) == {Scope.DEBUG_READ_RAW}


@pytest.mark.parametrize("names", [["foo:bar"], ["extract:run", "foo:bar"], [""], ["EXTRACT:RUN"], ["extract:run "]])
def test_an_unknown_scope_is_refused_by_its_name_with_those_there_are(names):
    with pytest.raises(
        InputError, match=r"Unknown scope .*extract:run, debug:run, debug:read_raw, runs:delete"
    ) as info:
        scopes_named(names)
    assert repr(names[-1]) in info.value.message


def test_an_empty_list_of_scopes_is_no_way_to_ask_for_the_role_s():
    with pytest.raises(InputError, match="empty"):
        scopes_named([])


def test_an_unknown_role_is_refused_by_its_name_with_those_there_are():
    with pytest.raises(InputError, match=r"'root'.*client, debugger, admin"):
        role_named("root")


def test_owners_see_their_own_and_admins_everything():
    client = Principal("c", "client", frozenset({"extract:run"}))
    # All scopes make nobody an admin, and an admin of few scopes is one.
    mighty = Principal("c", "client", frozenset(Scope))
    weak_admin = Principal("a", "admin", frozenset())
    seen = [[who.may_see(owner) for owner in ("c", "other", None)] for who in (client, mighty, weak_admin)]
    assert seen == [[True, False, False], [True, False, False], [True, True, True]]


def test_records_name_who_asked():
    assert LOCAL_ADMIN.auth() == Auth(
        key_id="local", role="admin", scopes=["debug:read_raw", "debug:run", "extract:run", "runs:delete"]
    )
