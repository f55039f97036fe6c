import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from ocrlty_pipeline.errors import ConfigError
from ocrlty_pipeline.settings import OWN_PREFIXES, Settings, load_settings

MADE_UP = "not-really-a-secret"
# Of other programs; a command that refused one could not be used beside them.
USUAL = """
    SOMEBODY_ELSES HOME PATH LANG HOSTNAME VIRTUAL_ENV PYTHONPATH PYTHON_VERSION NODE_VERSION XCODE_VERSION DEBUG
    LOGLEVEL DATA_DIR DATABASE TEST_DATABASE_URL SQLALCHEMY_DATABASE_URI POSTGRES_PASSWORD REDIS_URL LLM_API_KEY
    LLM_BASE_URL AWS_ACCESS_KEY AWS_SECRET_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION
    AWS_ENDPOINT_URL DAGSTER_HOME DAGSTER_POSTGRES_URL DAGSTER_EVENT_BATCH_SIZE CELERY_BROKER_URL CELERY_RESULT_BACKEND
    RUN_IMAGE COMPOSE_PROJECT_NAME COMPOSE_API_BIND COMPOSE_IMAGE COMPOSE_DAGSTER_YAML FORWARDED_ALLOW_IPS
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """Run without the machine's own variables, in a folder without a `.env`."""
    for name in os.environ:
        if name.upper().startswith(OWN_PREFIXES) or name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refusal():
    with pytest.raises(ConfigError) as refused:
        load_settings()
    return refused.value.message


def test_everything_has_a_default_that_needs_nothing_installed(tmp_path):
    settings = load_settings()
    assert (settings.inference_backend, settings.database_url, settings.s3_bucket) == ("ocr", None, None)
    assert settings.home == tmp_path / ".ocrlty"
    assert settings.artifacts_path == tmp_path / ".ocrlty" / "artifacts"
    assert settings.data_root_path == tmp_path


def test_the_environment_wins_over_the_env_file(monkeypatch):
    Path(".env").write_text("VLLM_MODEL=from-file\nOCR_WORKERS=3\n")
    monkeypatch.setenv("VLLM_MODEL", "from-environment")
    settings = load_settings()
    assert (settings.vllm_model, settings.ocr_workers) == ("from-environment", 3)


def test_an_empty_variable_is_one_not_set(monkeypatch):
    monkeypatch.setenv("VLLM_MAX_TOKENS", "")
    assert load_settings().vllm_max_tokens == 1024


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VLLM_MAX_TOKENS", "many"),
        ("VLLM_MAX_TOKENS", "-1"),
        ("VLLM_READ_TIMEOUT_S", "0"),
        ("VLLM_READ_TIMEOUT_S", "nan"),
        ("VLLM_RETRY_MAX_S", "inf"),
        ("VLLM_CONTEXT_SHRINK", "1"),
        ("VLLM_TEMPERATURE", "2.5"),
        ("VLLM_BASE_URL", "localhost:8000"),
        ("S3_ENDPOINT_URL", "minio:9000"),
        ("MAX_IMAGE_PIXELS", "1000000000"),
        ("MAX_BATCH_FILES", "1.5"),
        ("JOBS_MAX_CONCURRENCY", "0"),
        ("INFERENCE_BACKEND", "gpt"),
        ("S3_ALLOW_OVERWRITE", "perhaps"),
    ],
)
def test_a_bad_value_is_refused_with_its_variable_wherever_it_stands(monkeypatch, name, value):
    Path(".env").write_text(f"{name}={value}\n")
    assert name in refusal()
    Path(".env").unlink()
    monkeypatch.setenv(name, value)
    assert name in refusal()
    assert value in refusal()


def test_all_bad_values_are_named_at_once(monkeypatch):
    monkeypatch.setenv("OCR_WORKERS", "0")
    monkeypatch.setenv("S3_FORCE_PATH_STYLE", "x")
    assert all(name in refusal() for name in ("OCR_WORKERS", "S3_FORCE_PATH_STYLE"))


@pytest.mark.parametrize("name", ["VLLM_MODLE", "vllm_modle"])
def test_a_misspelt_name_is_refused_with_the_likely_one_wherever_it_stands(monkeypatch, name):
    Path(".env").write_text(f"{name}=x\n")
    assert "VLLM_MODLE: did you mean VLLM_MODEL?" in refusal()
    Path(".env").unlink()
    monkeypatch.setenv(name, "x")
    assert "VLLM_MODLE: did you mean VLLM_MODEL?" in refusal()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("INFERENCE_BACKND", "INFERENCE_BACKEND"),
        ("ARTIFACTS_DR", "ARTIFACTS_DIR"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATA_ROT", "DATA_ROOT"),
        ("AWS_ACCES_KEY_ID", "AWS_ACCESS_KEY_ID"),
        ("DAGSTER_WEBSERVR_URL", "DAGSTER_WEBSERVER_URL"),
        ("CODE_VERSON", "CODE_VERSION"),
        ("VLM_BASE_URL", "VLLM_BASE_URL"),
    ],
)
def test_a_slip_in_any_setting_s_name_is_refused(monkeypatch, name, meant):
    monkeypatch.setenv(name, "x")
    assert f"{name}: did you mean {meant}?" in refusal()


def test_an_unknown_name_that_is_like_no_other_points_to_the_table(monkeypatch):
    monkeypatch.setenv("JOBS_ZZZZZZZZZZZZ", "1")
    assert "README.md" in refusal()


def test_other_programs_variables_are_none_of_our_business(monkeypatch):
    names = [
        "SOMEBODY_ELSES",
        "HOME",
        "PATH",
        "LANG",
        "HOSTNAME",
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "PYTHON_VERSION",
        "NODE_VERSION",
        "XCODE_VERSION",
        "LOGLEVEL",
        "DEBUG",
        "DATA_DIR",
        "DATABASE",
        "TEST_DATABASE_URL",
        "SQLALCHEMY_DATABASE_URI",
        "POSTGRES_PASSWORD",
        "REDIS_URL",
        "LLM_API_KEY",
        "LLM_BASE_URL",
        "AWS_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "DAGSTER_HOME",
        "DAGSTER_POSTGRES_URL",
        "DAGSTER_EVENT_BATCH_SIZE",
        "CELERY_BROKER_URL",
        "CELERY_RESULT_BACKEND",
        "RUN_IMAGE",
        "COMPOSE_PROJECT_NAME",
        "COMPOSE_API_BIND",
        "COMPOSE_IMAGE",
        "COMPOSE_DAGSTER_YAML",
        "FORWARDED_ALLOW_IPS",
    ]
    Path(".env").write_text("".join(f"{name}=x\n" for name in names))
    for name in names:
        monkeypatch.setenv(name, os.environ.get(name, "x"))
    assert load_settings()


def service_variables(service, port_name, port):
    """What Kubernetes puts into every pod of a Service's namespace."""
    name, address = service.upper().replace("-", "_"), "10.0.0.7"
    by_port = f"{name}_PORT_{port}_TCP"
    return {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": port,
        f"{name}_SERVICE_PORT_{port_name.upper()}": port,
        f"{name}_PORT": f"tcp://{address}:{port}",
        by_port: f"tcp://{address}:{port}",
        f"{by_port}_PROTO": "tcp",
        f"{by_port}_PORT": port,
        f"{by_port}_ADDR": address,
    }


@pytest.mark.parametrize("service", ["ocrlty-api", "vllm", "s3", "ocr-service-port", "api-port"])
def test_what_kubernetes_sets_for_a_service_is_no_setting(monkeypatch, service):
    variables = service_variables(service, "http", "80")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load_settings()
    for name in variables:
        monkeypatch.delenv(name)
    _host, *others = variables
    for name in others:
        monkeypatch.setenv(name, variables[name])
        assert f"{name}:" in refusal()
        monkeypatch.delenv(name)


def test_beside_a_service_s_variables_a_misspelt_name_is_refused(monkeypatch):
    monkeypatch.setenv("VLLM_SERVICE_HOST", "10.0.0.7")
    for name in ("VLLM_MODLE", "VLLM_PORTS", "VLLM_PORT_HTTP", "OCR_PORT"):
        monkeypatch.setenv(name, "x")
        assert f"{name}:" in refusal()
        monkeypatch.delenv(name)
    Path(".env").write_text("VLLM_PORT=8000\n")
    assert "VLLM_PORT:" in refusal()


def test_an_env_file_that_is_no_text_is_named(tmp_path):
    Path(".env").write_bytes(b"VLLM_MODEL=\xff\xfe\n")
    assert str(tmp_path / ".env") in refusal()


def test_secrets_are_in_no_repr_and_no_message(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"postgresql+psycopg://me:{MADE_UP}@db/ocrlty")
    for name in ("VLLM_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, MADE_UP)
    settings = load_settings()
    assert settings.database_url.get_secret_value().endswith("@db/ocrlty")
    assert MADE_UP not in repr(settings) + str(settings) + settings.model_dump_json()
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{MADE_UP}@db/ocrlty")
    message = refusal()
    assert "DATABASE_URL" in message
    assert MADE_UP not in message


def test_addresses_and_prefixes_are_kept_without_outer_slashes(monkeypatch):
    monkeypatch.setenv("VLLM_BASE_URL", "http://model:8000/v1/")
    monkeypatch.setenv("S3_PREFIX", "/receipts/2025/")
    settings = load_settings()
    assert (settings.vllm_base_url, settings.s3_prefix) == ("http://model:8000/v1", "receipts/2025")


def test_settings_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().vllm_model = "another"


def test_the_readme_names_every_setting():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [name.upper() for name in Settings.model_fields if f"`{name.upper()}`" not in readme] == []


def test_the_readme_lists_how_names_begin_that_are_refused():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    listed = re.search(r"an unknown name that begins with (.*?),\s+or", readme, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", listed)) == set(OWN_PREFIXES)
