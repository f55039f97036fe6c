"""Opening the object store that the settings name, and saying in words what it answers when it fails.

Belongs here: everything that differs between local disk and S3/R2. Does not: what a write means, which is `store`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from ocrlty_pipeline.errors import ConfigError, StorageUnavailableError
from ocrlty_pipeline.settings import Settings

if TYPE_CHECKING:  # obstore has these names for type checkers only
    from obstore.store import ClientConfig, RetryConfig, S3Config

# The library retries for three minutes by default; a wrong endpoint has to show within seconds. Eight seconds of
# retries still ride out a short throttling, and a batch that meets a longer one is continued by its next execution.
RETRIES: RetryConfig = {
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=8),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
}
CLIENT: ClientConfig = {"allow_http": True, "connect_timeout": "3s", "timeout": "60s"}

# S3's error code, or a trace of the failure in the library's text -> what is wrong, and the setting to look at.
_S3_CAUSES = (
    # The path of the instance metadata service, asked where no keys are set.
    ("latest/api/token", "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ("NoSuchBucket", "the bucket does not exist; create it or correct S3_BUCKET"),
    ("InvalidAccessKeyId", "the access key is unknown; check AWS_ACCESS_KEY_ID"),
    ("SignatureDoesNotMatch", "the secret key does not fit the access key; check AWS_SECRET_ACCESS_KEY"),
    ("AccessDenied", "access is denied; give the access key permission to list, read and write S3_BUCKET"),
    ("AllAccessDisabled", "access is denied; give the access key permission to list, read and write S3_BUCKET"),
    ("PermanentRedirect", "the bucket is in another region; check S3_REGION"),
    ("AuthorizationHeaderMalformed", "the bucket is in another region; check S3_REGION"),
    ("dns error", "the endpoint's name is unknown; check S3_ENDPOINT_URL"),
    ("Connection refused", "the endpoint refuses connections; check S3_ENDPOINT_URL"),
    ("kind: Timeout", "the endpoint does not answer; check S3_ENDPOINT_URL"),
    ("kind: Connect", "the endpoint cannot be reached; check S3_ENDPOINT_URL"),
    ("404 Not Found", "the endpoint does not know the bucket; check S3_ENDPOINT_URL and S3_BUCKET"),
)


@dataclass(frozen=True, slots=True)
class ObjectLocation:
    """Where artifacts are.

    Attributes:
        kind: as the index's column `storage` says it.
        name: the folder, or `s3://bucket/prefix`.
        endpoint: of an S3-compatible service; None for disk and for AWS itself.
    """

    kind: Literal["local", "s3"]
    name: str
    endpoint: str | None = None

    def unavailable(self, error: BaseException) -> StorageUnavailableError:
        """The error for a person: which store, what is wrong with it, which setting to look at."""
        if self.kind == "local":
            return StorageUnavailableError(
                f"The artifacts folder {self.name} cannot be used: {_reason(error)}; check ARTIFACTS_DIR, "
                "its permissions and the free space."
            )
        at = f" at {self.endpoint}" if self.endpoint else ""
        return StorageUnavailableError(f"The artifact store {self.name}{at} cannot be used: {_s3_cause(error)}.")


def open_objects(settings: Settings) -> tuple[LocalStore | S3Store, ObjectLocation]:
    """The store on `ARTIFACTS_DIR`, created if missing, or in `S3_BUCKET`; nothing is asked of a bucket yet.

    Raises:
        ConfigError: the S3 settings do not fit together.
        StorageUnavailableError: the folder cannot be made.
    """
    if settings.s3_bucket is None:
        return _open_folder(settings.artifacts_path)
    return _open_bucket(settings, settings.s3_bucket)


def _open_folder(folder: Path) -> tuple[LocalStore, ObjectLocation]:
    location = ObjectLocation("local", str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder), location
    except (OSError, BaseError) as error:
        raise location.unavailable(error) from error


def _open_bucket(settings: Settings, bucket: str) -> tuple[S3Store, ObjectLocation]:
    name = f"s3://{bucket}/{settings.s3_prefix}".rstrip("/")
    try:
        store = S3Store(
            bucket,
            prefix=settings.s3_prefix or None,
            config=_s3_config(settings, bucket),
            client_options=CLIENT,
            retry_config=RETRIES,
        )
    except (BaseError, ValueError) as error:
        raise ConfigError(f"{name} cannot be opened: {_reason(error)}; check the S3_* and AWS_* settings.") from error
    return store, ObjectLocation("s3", name, settings.s3_endpoint_url)


def _s3_config(settings: Settings, bucket: str) -> S3Config:
    config: S3Config = {"virtual_hosted_style_request": _virtual_hosted(settings, bucket)}
    if settings.s3_endpoint_url is not None:
        if not urlsplit(settings.s3_endpoint_url).hostname:
            raise ConfigError(f"S3_ENDPOINT_URL={settings.s3_endpoint_url} names no host.")
        config["endpoint"] = settings.s3_endpoint_url
    # "auto" is R2's one region; AWS has none of that name, and the library then looks for AWS_REGION by itself.
    if settings.s3_endpoint_url is not None or settings.s3_region != "auto":
        config["region"] = settings.s3_region
    key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
    if (key is None) != (secret is None):
        raise ConfigError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together; one of them is not set.")
    if key is not None and secret is not None:
        config["access_key_id"] = key.get_secret_value()
        config["secret_access_key"] = secret.get_secret_value()
    return config


def _virtual_hosted(settings: Settings, bucket: str) -> bool:
    """AWS wants the bucket in the host's name; other services take it in the path, unless the endpoint names it."""
    if settings.s3_force_path_style:
        return False
    endpoint = settings.s3_endpoint_url
    return endpoint is None or (urlsplit(endpoint).hostname or "").startswith(f"{bucket}.")


def _s3_cause(error: BaseException) -> str:
    text = str(error)
    for trace, cause in _S3_CAUSES:
        if trace in text:
            return cause
    return f"{_reason(error)}; check S3_BUCKET, S3_ENDPOINT_URL and the AWS_* keys"


def _reason(error: BaseException) -> str:
    """The library's sentence without its dump of nested causes, and without XML."""
    sentence = re.sub(r"<[^>]*>", " ", str(error).partition("\n\nDebug source")[0])
    return " ".join(sentence.split()).rstrip(".")
