"""A Redis of the test's own, where one is installed."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.support.waiting import wait_until

REDIS = shutil.which("redis-server")


@contextlib.contextmanager
def redis_server(folder):
    """Yields its process and its port."""
    port = _free_port()
    command = [REDIS, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _answers(port))
            yield process, port
        finally:
            process.terminate()


def _answers(port):
    try:
        with Redis(port=port) as client:
            return client.ping()
    except RedisConnectionError:
        return False


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
