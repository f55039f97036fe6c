"""The embedded PostgreSQL's life: who starts it, who stops it, and what a crash leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from ocrlty_pipeline.db.cluster import Cluster
from ocrlty_pipeline.db.embedded import embedded_postgres
from ocrlty_pipeline.db.engine import create_engine, to_dagster_url
from ocrlty_pipeline.errors import StorageUnavailableError

ROOT = Path(__file__).parents[3]
# Says when it may use the database, and leaves when its input ends.
USER = """
import sys
from pathlib import Path
from ocrlty_pipeline.db.embedded import embedded_postgres

with embedded_postgres(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


class OtherProcess:
    """Another process that uses the server of a folder."""

    def __init__(self, data_dir):
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", USER, data_dir],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    def __enter__(self):
        self.url = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *error):
        self.leave()

    def leave(self):
        self.output = self.process.communicate()

    def crash(self):
        self.process.kill()
        self.leave()


@pytest.fixture(scope="module")
def made():
    """A data directory that is made once; each test finds it stopped."""
    with tempfile.TemporaryDirectory(prefix="ocrlty tests ") as folder:
        data_dir = Path(folder) / "home" / "postgres"
        with embedded_postgres(data_dir):
            pass
        yield data_dir


@pytest.fixture
def data_dir(made):
    yield made
    assert Cluster(made).running() is None, "the test left the server running"


def ask(url, question="SELECT current_database()"):
    address = make_url(url)
    with psycopg.connect(user=address.username, dbname=address.database, **address.query) as connection:
        return connection.execute(question).fetchone()[0]


def server_pid(data_dir):
    return int((data_dir / "postmaster.pid").read_text().split()[0])


def test_it_serves_our_database_and_stops_afterwards(data_dir):
    with embedded_postgres(data_dir) as url:
        assert url.startswith("postgresql+psycopg://")
        assert ask(url) == "ocrlty"
        assert int(ask(url, "SHOW max_connections")) == 200
        assert ask(url, "SHOW listen_addresses") == ""
    assert Cluster(data_dir).running() is None


def test_what_was_written_is_there_the_next_time(data_dir):
    with embedded_postgres(data_dir) as url:
        ask(url, "WITH made AS (SELECT lo_from_bytea(4711, 'kept')) SELECT 1 FROM made")
    with embedded_postgres(data_dir) as url:
        assert ask(url, "SELECT convert_from(lo_get(4711), 'UTF8')") == "kept"


def test_its_url_serves_sqlalchemy_and_dagster_s_driver_alike(data_dir):
    with embedded_postgres(data_dir) as url:
        for form in (url, to_dagster_url(url)):
            engine = create_engine(url) if form == url else psycopg2_engine(form)
            with engine.connect() as connection:
                assert connection.exec_driver_sql("SELECT current_database()").scalar() == "ocrlty"
            engine.dispose()


def psycopg2_engine(url):
    import sqlalchemy

    return sqlalchemy.create_engine(url)


def test_uses_within_one_process_share_a_server(data_dir):
    with embedded_postgres(data_dir) as outer:
        pid = server_pid(data_dir)
        with embedded_postgres(data_dir) as inner:
            assert inner == outer
        assert ask(outer) == "ocrlty"
        assert server_pid(data_dir) == pid


def test_it_stays_while_another_process_uses_it_and_goes_with_the_last(data_dir):
    with OtherProcess(data_dir) as other:
        with embedded_postgres(data_dir) as url:
            assert url == other.url
        assert ask(other.url) == "ocrlty"
    assert Cluster(data_dir).running() is None


def test_the_one_that_started_it_may_leave_first(data_dir):
    with OtherProcess(data_dir) as starter, embedded_postgres(data_dir) as url:
        starter.leave()
        assert ask(url) == "ocrlty"


def test_a_user_that_crashed_is_no_user_any_more(data_dir):
    with OtherProcess(data_dir) as other:
        other.crash()
    assert Cluster(data_dir).running() is not None
    with embedded_postgres(data_dir) as url:
        assert ask(url) == "ocrlty"
    assert Cluster(data_dir).running() is None


def test_a_crash_takes_the_server_from_nobody(data_dir):
    with OtherProcess(data_dir) as other, embedded_postgres(data_dir) as url:
        other.crash()
        assert ask(url) == "ocrlty"


def test_a_killed_server_is_started_again(data_dir):
    with embedded_postgres(data_dir):
        os.kill(server_pid(data_dir), signal.SIGKILL)
        with embedded_postgres(data_dir) as url:
            assert ask(url) == "ocrlty"


def test_a_process_id_left_by_a_crash_and_reused_since_is_no_server(data_dir):
    """As after a restart of a container, where low process ids come again."""
    with embedded_postgres(data_dir):
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
    (data_dir / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
    with embedded_postgres(data_dir) as url:
        assert ask(url) == "ocrlty"


def test_processes_that_begin_and_end_together_share_one_server(data_dir):
    others = [OtherProcess(data_dir) for _ in range(3)]
    with ExitStack() as stack:
        urls = {stack.enter_context(other).url for other in others}
        assert [ask(url) for url in urls] == ["ocrlty"]
        for other in others:
            other.process.stdin.close()
            other.process.stdin = None
    assert [other.process.returncode for other in others] == [0, 0, 0]


def test_it_prints_nothing(data_dir):
    with OtherProcess(data_dir) as other:
        pass
    assert other.output == ("", "")


def test_the_person_s_own_postgresql_settings_do_not_divert_it(data_dir, monkeypatch):
    for name, value in {"PGPORT": "1", "PGHOST": "elsewhere", "PGDATABASE": "mine", "PGDATA": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    with embedded_postgres(data_dir) as url:
        assert ask(url) == "ocrlty"


@pytest.mark.parametrize("parent", ["n" * 100, "a,b"], ids=["too long for a socket", "with a comma"])
def test_a_path_no_socket_can_have_is_served_from_elsewhere(parent):
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / parent / "postgres"
        with embedded_postgres(data_dir) as url:
            assert ask(url) == "ocrlty"
            assert not make_url(url).query["host"].startswith(folder)


def test_an_interrupted_making_is_begun_again(tmp_path):
    data_dir = tmp_path / "postgres"
    unfinished = tmp_path / "postgres.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18")
    with embedded_postgres(data_dir) as url:
        assert ask(url) == "ocrlty"
    assert not unfinished.exists()


def test_a_server_that_cannot_start_says_why(tmp_path):
    data_dir = tmp_path / "postgres"
    data_dir.mkdir()
    (data_dir / "PG_VERSION").write_text("12\n")
    if os.geteuid() == 0:
        os.chown(data_dir, 65534, 65534)
    data_dir.chmod(0o700)
    with (
        pytest.raises(StorageUnavailableError, match=r"does not start: .*; see .*server\.log"),
        embedded_postgres(data_dir),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailableError, match="OCRLTY_HOME"), embedded_postgres(tmp_path / "file" / "postgres"):
        pass
