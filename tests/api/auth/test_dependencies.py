"""The dependencies through an application of a few routes, with real keys."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel
from starlette.testclient import TestClient

from ocrlty_api.auth.authenticator import Authenticator
from ocrlty_api.auth.dependencies import AnyKey, Debugger, Extractor, KeyFirst, RawReader, RunDeleter
from ocrlty_api.auth.limiter import Limiter
from ocrlty_api.auth.roles import Role
from ocrlty_api.error_responses import install_error_handlers
from ocrlty_pipeline.settings import Settings
from tests.api.auth.conftest import PEPPER


class Body(BaseModel):
    number: int


def _app(engine, settings):
    @asynccontextmanager
    async def life(_):
        async with Authenticator(engine, settings) as authenticator:
            yield {"app_state": SimpleNamespace(authenticator=authenticator, limiter=Limiter(settings))}

    app = FastAPI(lifespan=life)
    install_error_handlers(app)

    @app.get("/me")
    async def me(key: AnyKey, request: Request):
        return {"key_id": key.key_id, "scopes": sorted(key.scopes), "log": request.scope["state"]["key_id"]}

    @app.get("/several")
    async def several(key: AnyKey, extractor: Extractor, debugger: Debugger):
        return key == extractor == debugger

    @app.get("/debug")
    async def debug(key: Debugger):
        return key.key_id

    @app.get("/raw")
    async def raw(key: RawReader):
        return key.key_id

    @app.delete("/run")
    async def run(key: RunDeleter):
        return key.key_id

    router = APIRouter(route_class=KeyFirst)

    @router.post("/extract")
    async def extract(key: Extractor, body: Body):
        return body.number

    app.include_router(router)
    return app


@pytest.fixture
def client(engine):
    """A client of the application under settings like these."""
    clients = []

    def client(**values):
        settings = Settings(**{"auth_enabled": True, "api_key_pepper": PEPPER, **values}, _env_file=None)
        clients.append(TestClient(_app(engine, settings)))
        return clients[-1].__enter__()

    yield client
    for each in clients:
        each.__exit__(None, None, None)


def _with(key):
    return {"X-API-Key": key}


def test_a_handler_learns_who_asks_and_so_does_the_access_log(client, make_key):
    key = make_key("shop-1")
    answer = client().get("/me", headers={"Authorization": f"Bearer {key}"})
    assert answer.json() == {"key_id": "shop-1", "scopes": ["extract:run"], "log": "shop-1"}


def test_without_a_good_key_the_answer_is_401_in_the_envelope(client):
    service = client()
    for headers in ({}, _with("ocrlty_wrong"), {"Authorization": "Basic eDp5"}, {b"x-api-key": b"\xff\x80"}):
        answer = service.get("/me", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json()["error"]["code"] == "unauthorized"


def test_a_missing_scope_is_403_and_named(client, make_key):
    keys = {role.value: make_key(role.value, role) for role in Role}
    service = client()
    routes = {"/debug": "debug:run", "/raw": "debug:read_raw", "/run": "runs:delete"}
    allowed = {"client": set(), "debugger": {"/debug"}, "admin": set(routes)}
    for role, key in keys.items():
        for path, scope in routes.items():
            answer = service.request("DELETE" if path == "/run" else "GET", path, headers=_with(key))
            if path in allowed[role]:
                assert answer.json() == role
            else:
                error = answer.json()["error"]
                assert (answer.status_code, error["code"]) == (403, "forbidden")
                assert scope in error["message"]
                assert error["details"] == {"missing_scope": scope}


def test_a_request_is_counted_once_however_many_keys_its_handler_takes(client, make_key):
    key = make_key(role=Role.DEBUGGER)
    service = client(api_rate_limit="2/hour")
    assert [service.get("/several", headers=_with(key)).status_code for _ in range(3)] == [200, 200, 429]
    answer = service.post("/extract", headers=_with(key), json={"number": 1})
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "rate_limited"
    assert int(answer.headers["Retry-After"]) > 0


def test_who_fails_too_often_gets_429_and_a_good_key_is_let_in_from_the_same_address(client, make_key):
    key = make_key()
    service = client(api_failure_limit="3/minute")
    assert [service.get("/me").status_code for _ in range(5)] == [401, 401, 401, 429, 429]
    assert service.get("/me", headers=_with(key)).status_code == 200


def test_the_key_comes_before_the_body(client, make_key):
    key = make_key()
    service = client()
    for body in (b"{", b'{"number": "x"}', b'{"number": 7}'):
        assert service.post("/extract", content=body).status_code == 401
    assert service.post("/extract", headers=_with(key), json={"number": 7}).json() == 7


def test_nothing_of_a_body_is_read_for_a_bad_key(engine, settings):
    app = _app(engine, settings)

    async def receive():
        raise AssertionError("the body was read")

    async def go():
        sent = []

        async def send(message):
            sent.append(message)

        async with Authenticator(engine, settings) as authenticator:
            state = {"app_state": SimpleNamespace(authenticator=authenticator, limiter=Limiter(settings))}
            scope = {
                "type": "http",
                "method": "POST",
                "path": "/extract",
                "query_string": b"",
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"100000000")],
                "state": state,
            }
            await app(scope, receive, send)
        return sent[0]["status"]

    assert asyncio.run(go()) == 401


def test_without_auth_everybody_is_the_local_admin(client):
    service = client(auth_enabled=False, api_key_pepper=None)
    assert service.get("/me").json()["key_id"] == "local"
    assert service.delete("/run").json() == "local"


def test_openapi_tells_the_two_ways_to_show_a_key(client):
    schema = client().get("/openapi.json").json()
    assert schema["paths"]["/debug"]["get"]["security"] == [{"HTTPBearer": []}, {"APIKeyHeader": []}]
    assert schema["paths"]["/extract"]["post"]["security"] == [{"HTTPBearer": []}, {"APIKeyHeader": []}]
    schemes = schema["components"]["securitySchemes"]
    assert (schemes["HTTPBearer"]["scheme"], schemes["APIKeyHeader"]["name"]) == ("bearer", "X-API-Key")
