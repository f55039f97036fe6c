"""The environment of tests that read settings from it."""

from __future__ import annotations

import os

PREFIXES = ("DAGSTER_", "OCRLTY_", "VLLM_", "S3_")


def set_only(monkeypatch, **variables):
    """Have the environment hold these settings, and none of the developer's own."""
    for name in list(os.environ):
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
