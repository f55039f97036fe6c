"""Settings of a store on local disk and of one in a bucket, and a user whom permissions hold back."""

from __future__ import annotations

import os
import pwd
from contextlib import contextmanager

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
