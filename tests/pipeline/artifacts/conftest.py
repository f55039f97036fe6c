"""The store on local disk and on an S3 endpoint over HTTP: every test that takes `store` runs on both."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from ocrlty_pipeline.artifacts.store import ArtifactStore
from tests.support.storage import local_settings, s3_settings


@pytest.fixture(params=["local", "s3"])
def settings(request, tmp_path):
    if request.param == "local":
        return local_settings(tmp_path / "artifacts")
    return s3_settings(request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket"))


@pytest.fixture
def store(settings):
    return ArtifactStore.from_settings(settings)


@pytest.fixture
def open_folder():
    """A folder every user may write to, with no folder above it that keeps them out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder
