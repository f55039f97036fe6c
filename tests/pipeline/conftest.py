"""What tests of several parts of the pipeline stand on."""

from __future__ import annotations

import asyncio

import pytest

from ocrlty_pipeline.image_sets import FolderSource
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import Settings
from tests.support.receipts import tiny_images
from tests.support.storage import s3_settings


@pytest.fixture(params=["local", "s3"])
def store_services(request, tmp_path, database_url):
    """Services on a database of this test, with artifacts on disk and in a bucket in turn."""
    common = {
        "ocrlty_home": tmp_path / "home",
        "data_root": tmp_path,
        "database_url": database_url,
        "vllm_retry_base_s": 0.001,
    }
    if request.param == "local":
        settings = Settings(_env_file=None, **common)
    else:
        server, bucket = request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket")
        settings = s3_settings(server, bucket, **common)
    with open_services(settings) as opened:
        yield opened


@pytest.fixture
def image_set(store_services, tmp_path):
    """Image set `set` with four images; answers the names of its files."""
    folder = tiny_images(tmp_path / "images", 4)
    source = FolderSource(folder, tmp_path, store_services.folder_limits)
    manifest = asyncio.run(store_services.image_sets_of("alice").import_folder("set", source))
    return [item.file for item in manifest.items]
