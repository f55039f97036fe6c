from pathlib import Path

import pytest
from pydantic import ValidationError

from ocrlty_pipeline.errors import ConfigError
from ocrlty_pipeline.settings import OWN_PREFIXES, Settings, load_settings

MADE_UP = "not-really-a-secret"


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """Run without the machine's own variables, in a folder without a `.env`."""
    import os

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


def test_an_unknown_name_that_is_like_no_other_points_to_the_table(monkeypatch):
    monkeypatch.setenv("JOBS_ZZZZZZZZZZZZ", "1")
    assert "README.md" in refusal()


def test_other_programs_variables_are_none_of_our_business(monkeypatch):
    Path(".env").write_text("COMPOSE_PROJECT_NAME=x\n")
    monkeypatch.setenv("SOMEBODY_ELSES", "1")
    assert load_settings()


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
