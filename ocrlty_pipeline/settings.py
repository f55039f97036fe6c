"""The one Settings object: every environment variable the system reads, its type, default and bounds.

Belongs here: names, defaults, validation. Does not: reading the environment anywhere else, or connecting to anything.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, get_args

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ocrlty_pipeline.errors import ConfigError

ENV_FILE = ".env"
# Names that begin so are ours to judge; of all others, which are other programs', only what is a slip of one of ours.
OWN_PREFIXES = (
    "INFERENCE_",
    "ARTIFACTS_",
    "VLLM_",
    "OCRLTY_",
    "OCR_",
    "S3_",
    "MAX_IMAGE_",
    "MAX_BATCH_",
    "MAX_REQUEST_",
    "JOBS_",
    "WARM_",
    "ONLINE_",
    "API_",
    "AUTH_",
    "CORS_",
    "DEBUG_MODE",
    "LOG_",
    "OUTBOUND_",
    "INBOX_",
    "PRUNE_",
)
# How like a setting a name is that must be meant for it: DATABSE_URL is, DATA_DIR is not.
SLIP = 0.9
# Like a setting, but other programs'.
OF_OTHERS = frozenset({"AWS_ACCESS_KEY", "LOGLEVEL"})
# What follows the name of a Service in the variables that Kubernetes sets in every pod of its namespace.
_OF_A_SERVICE = re.compile(
    r"_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, allow_inf_nan=False)]
# Pillow opens no larger image: twice its MAX_IMAGE_PIXELS.
PILLOW_MAX_PIXELS = 178_956_970
_ORIGIN = re.compile(r"https?://[^\s/?#@*]+\Z")
_OWNER = re.compile(r"team:[A-Za-z0-9_.-]+|[^\s@:,]+@[^\s@:,]+\.[^\s@:,]+")
_HOST_PORT = re.compile(r"([^\s:/@]+|\[[0-9a-f:.]+\]):[0-9]{1,5}\Z")


class Settings(BaseSettings):
    """Configuration of one process, read once. Field `vllm_base_url` is the variable `VLLM_BASE_URL`, and so on."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", frozen=True, env_ignore_empty=True)

    # Where things are kept
    ocrlty_home: Path = Path(".ocrlty")
    ocrlty_workspace: Path | None = None
    ocrlty_owners: Annotated[tuple[str, ...], NoDecode] = ()
    database_url: SecretStr | None = None
    artifacts_dir: Path | None = None
    data_root: Path = Path()
    s3_bucket: str | None = None
    s3_endpoint_url: str | None = None
    s3_region: str = "auto"
    s3_prefix: str = ""
    s3_allow_overwrite: bool = False
    s3_force_path_style: bool = False
    # S3 signs for a week at most.
    s3_presigned_url_s: Annotated[int, Field(ge=0, le=604_800)] = 300
    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None

    # What extracts
    inference_backend: Literal["mock", "vllm", "ocr"] = "ocr"
    ocrlty_tasks_dir: Path | None = None
    vllm_base_url: str = "http://localhost:8000/v1"
    vllm_api_key: SecretStr | None = None
    vllm_model: str = "Qwen/Qwen3-VL-8B-Instruct"
    vllm_max_model_len: Positive = 8192
    vllm_temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    vllm_max_tokens: Positive = 1024
    vllm_price_in: Price | None = None
    vllm_price_out: Price | None = None
    vllm_connect_timeout_s: Seconds = 5.0
    vllm_read_timeout_s: Seconds = 120.0
    vllm_write_timeout_s: Seconds = 30.0
    vllm_pool_timeout_s: Seconds = 60.0
    vllm_retry_max_attempts: Positive = 4
    vllm_retry_base_s: Pause = 0.5
    vllm_retry_max_s: Pause = 20.0
    vllm_http_max_connections: Positive = 64
    vllm_http_max_keepalive: Positive = 64
    vllm_context_max_attempts: Positive = 4
    vllm_context_shrink: Annotated[float, Field(gt=0, lt=1)] = 0.7
    vllm_context_min_tokens: Positive = 256
    ocr_workers: Positive = 1
    ocr_grounding: Literal["auto", "always", "never"] = "auto"

    # The service that remote commands talk to
    ocrlty_url: str = "http://127.0.0.1:8000"
    ocrlty_api_key: SecretStr | None = None

    # Limits
    max_image_bytes: Positive = 20 * 1024 * 1024
    max_image_pixels: Annotated[int, Field(gt=0, le=PILLOW_MAX_PIXELS)] = 50_000_000
    max_batch_files: Positive = 100_000
    max_batch_bytes: Positive = 50 * 1024**3
    max_batch_sync_files: Positive = 100
    max_request_bytes: Positive | None = None
    api_body_timeout_s: Seconds = 30.0
    # Tests reach servers of their own machine so; everywhere else such calls are an attacker's.
    outbound_allow_private: Annotated[tuple[str, ...], NoDecode] = ()

    # Who may ask, and how much
    auth_enabled: bool = True
    api_key_pepper: SecretStr | None = None
    api_rate_limit: str | None = None
    api_image_quota: str | None = None
    api_failure_limit: str = "120/minute"
    # May hold a password.
    api_limits_storage: SecretStr = SecretStr("async+memory://")

    # The API
    debug_mode: bool = False
    cors_allow_origins: Annotated[tuple[str, ...], NoDecode] = ()
    dagster_webserver_url: str = "http://127.0.0.1:3000"
    api_shutdown_timeout_s: Seconds = 25.0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"

    # Worker processes
    warm_workers: Positive = 6
    warm_worker_max_runs: Positive = 1000
    warm_worker_max_mb: Positive = 2048
    online_workers: Positive = 2
    online_max_in_flight: Positive = 128
    online_max_waiting: Annotated[int, Field(ge=0)] = 256
    online_max_shared: Positive = 64
    online_batch_workers: Positive = 2
    online_max_waiting_batches: Annotated[int, Field(ge=0)] = 16

    # What arrives under DATA_ROOT/inbox
    inbox_stable_s: Seconds = 30.0
    inbox_tasks: Annotated[tuple[str, ...], NoDecode] = ("receipt_fields_v1",)

    # What the schedule nightly_prune removes
    prune_older_than_days: Positive = 90
    prune_keep_runs: Positive = 1

    # How batches are cut, spread and reported
    jobs_max_concurrency: Positive = 32
    jobs_shard_size: Positive = 1000
    jobs_shard_executor: Literal["in_process", "multiprocess", "celery", "k8s"] = "multiprocess"
    jobs_shard_processes: Positive = 2
    jobs_progress_every_n: Positive = 1
    jobs_progress_min_seconds: Seconds = 1.0
    code_version: str = "unknown"

    @field_validator("database_url")
    @classmethod
    def _psycopg3_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith("postgresql+psycopg://"):
            raise ValueError("must start with postgresql+psycopg:// (psycopg 3)")
        return url

    @field_validator("vllm_base_url", "s3_endpoint_url", "ocrlty_url", "dagster_webserver_url")
    @classmethod
    def _http_url(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return url.rstrip("/") if url else url

    @field_validator("outbound_allow_private", mode="before")
    @classmethod
    def _hosts_and_ports(cls, value: object) -> object:
        entries = tuple(part.strip().lower() for part in value.split(",")) if isinstance(value, str) else value
        if isinstance(entries, tuple) and any(entry != "*" and not _HOST_PORT.match(entry) for entry in entries):
            raise ValueError("must be host:port, several with commas between, or * for everything")
        return entries

    @field_validator("cors_allow_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        origins = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value
        if isinstance(origins, tuple) and any(origin != "*" and not _ORIGIN.match(origin) for origin in origins):
            raise ValueError("must be origins such as https://app.example.org, with commas between, or * for all")
        return origins

    @field_validator("ocrlty_owners")
    @classmethod
    def _teams_and_people(cls, owners: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(_OWNER.fullmatch, owners)):
            raise ValueError("must be team:NAME or an e-mail address, several with commas between")
        return owners

    @field_validator("inbox_tasks", "ocrlty_owners", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("s3_prefix")
    @classmethod
    def _no_outer_slashes(cls, prefix: str) -> str:
        return prefix.strip("/")

    @property
    def request_bytes(self) -> int:
        """The most bytes of a request's body, uploads aside: an image in base64, and 1 MiB for what is about it."""
        return self.max_request_bytes or -(-self.max_image_bytes // 3) * 4 + 1024 * 1024

    @property
    def home(self) -> Path:
        """Absolute folder of the embedded defaults: PostgreSQL, Dagster's home, artifacts."""
        return self.ocrlty_home.expanduser().resolve()

    @property
    def log_dir(self) -> Path:
        """Absolute folder of the logs of processes that commands start."""
        return self.home / "logs"

    @property
    def artifacts_path(self) -> Path:
        """Absolute folder of local artifacts."""
        return (self.artifacts_dir or self.home / "artifacts").expanduser().resolve()

    @property
    def data_root_path(self) -> Path:
        """Absolute folder outside which no image is read by name."""
        return self.data_root.expanduser().resolve()


def load_settings() -> Settings:
    """Read the environment and `.env`.

    Raises:
        ConfigError: a value is bad, or a variable is named like ours but is not one; names the variable.
    """
    injected = _injected_by_kubernetes()
    for name in (*(name for name in os.environ if name not in injected), *_names_in_env_file()):
        _refuse_unknown(name.upper())
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(map(_described, error.errors()))
        raise ConfigError(f"Bad configuration: {problems}. Correct it in the environment or in {ENV_FILE}.") from None


def _described(problem: ErrorDetails) -> str:
    """The variable, what is wrong with it, and its value unless it holds a secret."""
    name = str(problem["loc"][0])
    secret = SecretStr in (Settings.model_fields[name].annotation, *get_args(Settings.model_fields[name].annotation))
    value = "a secret" if secret else repr(problem["input"])
    return f"{name.upper()}: {problem['msg'].removeprefix('Value error, ')} (got {value})"


def _names_in_env_file() -> Iterable[str]:
    try:
        return dotenv_values(ENV_FILE, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{Path(ENV_FILE).absolute()}: cannot be read as UTF-8 text: {error}.") from None


def _injected_by_kubernetes() -> set[str]:
    """The variables of the environment that are there because of a Service in the pod's namespace."""
    services = [name.removesuffix("_SERVICE_HOST") for name in os.environ if name.endswith("_SERVICE_HOST")]
    return {
        name
        for service in services
        for name in os.environ
        if name.startswith(service) and _OF_A_SERVICE.fullmatch(name, len(service))
    }


def _refuse_unknown(name: str) -> None:
    known = {field.upper() for field in Settings.model_fields}
    if name not in known and (name.startswith(OWN_PREFIXES) or _is_slip(name, known)):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see the configuration table in README.md."
        raise ConfigError(f"Unknown configuration variable {name}: {hint}")


def _is_slip(name: str, known: Iterable[str]) -> bool:
    """Whether a name is a setting's with a slip in it. Hardly any slip is in the first letter; NODE_VERSION is none."""
    alike = [other for other in known if other[0] == name[:1]]
    return name not in OF_OTHERS and bool(difflib.get_close_matches(name, alike, n=1, cutoff=SLIP))
