"""This project's code location seen from inside it: its jobs, and how other processes find their code."""

from __future__ import annotations

from functools import cache

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.origin import JobPythonOrigin
from dagster._core.remote_origin import RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.workspace.load import location_origin_from_module_name

from ocrlty_pipeline import definitions

CODE_LOCATION = "ocrlty_pipeline"
REPOSITORY = "__repository__"
# How Dagster's UI finds the job of a run that it did not launch itself.
REPOSITORY_TAG = {".dagster/repository": f"{REPOSITORY}@{CODE_LOCATION}"}


@cache
def resolved_job(name: str) -> dg.JobDefinition:
    """A job of this process's definitions, which take a tenth of a second to build."""
    return definitions.defs().resolve_job_def(name)


def job_code_origin(name: str) -> JobPythonOrigin:
    """What a run says of its job's code, for whichever process executes it."""
    repository = ReconstructableRepository.for_module(definitions.__name__, "defs")
    return repository.get_reconstructable_job(name).get_python_origin()


def remote_job_origin(name: str) -> RemoteJobOrigin:
    """What a run says of its job to Dagster's daemon, which executes no run again that does not say it."""
    location = location_origin_from_module_name(definitions.__name__, None, None, CODE_LOCATION)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, REPOSITORY), name)
