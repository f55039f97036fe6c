"""The store on local disk and on an S3 endpoint over HTTP: every test that takes `store` runs on both."""

from __future__ import annotations

import os
import pwd
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.settings import Settings


def local_settings(folder, **changes):
    return Settings(_env_file=None, **{"artifacts_dir": folder, "s3_bucket": None} | changes)


def s3_settings(server, bucket, **changes):
    values = {
        "s3_bucket": bucket,
        "s3_endpoint_url": server.url,
        "s3_prefix": "receipts/eu",
        "aws_access_key_id": "test-key",
        "aws_secret_access_key": "test-secret",
    }
    return Settings(_env_file=None, **values | changes)


@pytest.fixture(params=["local", "s3"])
def settings(request, tmp_path):
    if request.param == "local":
        return local_settings(tmp_path / "artifacts")
    return s3_settings(request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket"))


@pytest.fixture
def store(settings):
    return ArtifactStore.from_settings(settings)


@contextmanager
def not_root():
    """Go on as a user for whom permissions hold, if the tests run as root."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(me)


@pytest.fixture
def open_folder():
    """A folder every user may write to, with no folder above it that keeps them out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder
