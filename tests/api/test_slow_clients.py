"""Clients that send a byte now and then: they hold no worker, others are answered, and so are they in the end."""

import json
import socket
from contextlib import ExitStack

from tests.support.metrics import extracts_under_way
from tests.support.requests import extract_body, succeeded

SLOW_CLIENTS = 20


def begun(service, body):
    """A connection on which all but the end of a request was sent, byte by byte."""
    connection = socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(
        f"POST /v1/extract HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.keys['bob']}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    for byte in body[:20]:
        connection.sendall(bytes([byte]))
    return connection


def rest_answered(connection, rest):
    for byte in rest[:20]:
        connection.sendall(bytes([byte]))
    connection.sendall(rest[20:])
    with connection.makefile("rb") as answer:
        head, _, body = answer.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    return json.loads(body)


def test_bodies_that_come_byte_by_byte_hold_no_worker_and_others_are_answered(service, alice, model):
    bodies = [json.dumps(extract_body()).encode() for _ in range(SLOW_CLIENTS)]
    with ExitStack() as stack:
        connections = [stack.enter_context(begun(service, body)) for body in bodies]
        assert extracts_under_way(alice.get("/metrics").text) == 0
        for _ in range(3):
            assert succeeded(alice.post("/v1/extract", json=extract_body()))["error"] is None
        assert model.calls().calls == 3
        answers = [rest_answered(connection, body[20:]) for connection, body in zip(connections, bodies, strict=True)]
    assert [answer["error"] for answer in answers] == [None] * SLOW_CLIENTS
    assert model.calls().calls == 3 + SLOW_CLIENTS
