"""Where Dagster keeps what runs print: beside the artifacts, on disk or in the bucket, as the settings say.

One entry of every `dagster.yaml` names `ComputeLogs`; which of Dagster's own managers that becomes is decided here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
from dagster._core.instance.ref import compute_logs_directory
from dagster._core.storage.compute_log_manager import ComputeLogManager
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from ocrlty_pipeline.environment import environment
from ocrlty_pipeline.settings import Settings, load_settings

# Below S3_PREFIX; Dagster adds storage/<run id>/...
FOLDER = "dagster"
# How long those who follow a run on another machine wait for what it prints.
UPLOAD_INTERVAL_S = 30
# botocore adds checksums that S3 itself understands and not every other service does.
_PLAIN_S3 = {
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}


class ComputeLogs(ComputeLogManager, ConfigurableClass):
    """Dagster's manager of compute logs on disk, or in `S3_BUCKET` when that is set."""

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        return {"dagster_home": dg.Field(dg.StringSource, description="Folder in which logs are written first.")}

    @classmethod
    def from_config_value(  # type: ignore[override]  # it makes other managers, never itself
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> ComputeLogManager:
        folder = compute_logs_directory(config_value["dagster_home"])
        settings = load_settings()
        if settings.s3_bucket is None:
            return LocalComputeLogManager(folder, inst_data=inst_data)
        return _in_bucket(settings, settings.s3_bucket, folder, inst_data)


def _in_bucket(
    settings: Settings, bucket: str, folder: str, inst_data: ConfigurableClassData | None
) -> ComputeLogManager:
    # It takes seconds and 50 MB; whoever keeps logs on disk need not pay.
    from dagster_aws.s3.compute_log_manager import S3ComputeLogManager  # noqa: PLC0415

    with environment(_of_client(settings)):
        return S3ComputeLogManager(
            bucket,
            local_dir=folder,
            inst_data=inst_data,
            prefix=f"{settings.s3_prefix}/{FOLDER}",
            endpoint_url=_endpoint(settings.s3_endpoint_url, bucket),
            skip_empty_files=True,
            upload_interval=UPLOAD_INTERVAL_S,
        )


def _of_client(settings: Settings) -> dict[str, str]:
    """What boto3 takes from the environment only, and our settings may have from `.env`."""
    values = dict(_PLAIN_S3)
    region = settings.s3_region
    if settings.s3_endpoint_url is None and region == "auto":
        # AWS has no region of that name; boto3 does not look at the variable that AWS sets for its own services.
        region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION", "us-east-1")
    values["AWS_DEFAULT_REGION"] = region
    key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
    if key is not None and secret is not None:
        values |= {"AWS_ACCESS_KEY_ID": key.get_secret_value(), "AWS_SECRET_ACCESS_KEY": secret.get_secret_value()}
    return values


def _endpoint(url: str | None, bucket: str) -> str | None:
    """The endpoint without the bucket in its name: boto3 puts the bucket into the path."""
    host = urlsplit(url).netloc if url else ""
    return url.replace(host, host.removeprefix(f"{bucket}."), 1) if url and host else url
