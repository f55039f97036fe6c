"""The command line as a person uses it: real processes, a real database, Dagster runs that execute."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from ocrlty_pipeline.cli.app import run
from ocrlty_pipeline.environment import environment

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "ocrlty_pipeline.cli"]


@dataclass
class Workplace:
    """A folder to work in: images below `data`, everything else below `home`, and the environment that says so."""

    data: Path
    home: Path
    environment: dict[str, str]

    def start(self, *arguments, **variables):
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=self.data.parent,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ocrlty(self, *arguments, **variables):
        """Run a command to its end."""
        process = self.start(*arguments, **variables)
        output, errors = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def succeed(self, *arguments, **variables):
        done = self.ocrlty(*arguments, **variables)
        assert done.returncode == 0, done.stderr
        return done

    def here(self, *arguments, **variables):
        """Run a command to its end in this process, which has imported it already: seconds less each time."""
        output, errors = io.StringIO(), io.StringIO()
        with (
            environment(self.environment | variables),
            contextlib.chdir(self.data.parent),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
        ):
            code = run([*map(str, arguments)])
        return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())

    def imported(self, folder, name="s"):
        done = self.here("import", folder, "--name", name)
        assert done.returncode == 0, done.stderr

    def run_json(self, *arguments, **variables):
        done = self.here("run", *arguments, "--json", **variables)
        assert done.returncode == 0, done.stderr
        return orjson.loads(done.stdout)

    def refused(self, *arguments, **variables):
        """The one sentence with which a command refuses."""
        done = self.here(*arguments, **variables)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        return line.removeprefix("Error: ")

    def artifacts(self, kind):
        return sorted((self.home / "artifacts" / kind).rglob("*.json"))


@pytest.fixture
def workplace(tmp_path, database_url):
    """A place of its own for each test, on the test session's database server."""
    data = tmp_path / "data"
    data.mkdir()
    inherited = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "XDG_RUNTIME_DIR")
    }
    environment = inherited | {
        "PYTHONPATH": str(ROOT),
        "OCRLTY_HOME": str(tmp_path / "home"),
        "DATA_ROOT": str(data),
        "DATABASE_URL": database_url,
        "INFERENCE_BACKEND": "mock",
    }
    return Workplace(data, tmp_path / "home", environment)
