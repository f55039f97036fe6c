"""Bad input ends in one sentence, before any run is launched. What needs a run is tested end to end."""

import pytest

from ocrlty_pipeline.cli.app import run
from tests.support.receipts import tiny_images


@pytest.fixture
def refused(tmp_path, database_url, monkeypatch, capsys):
    """Run a command in this process and answer the sentence with which it refuses."""
    data = tmp_path / "data"
    tiny_images(data / "images", 1)
    (data / "empty").mkdir()
    (data / "text.json").write_text("not json")
    (data / "other.json").write_text('[{"file": "other.png", "total": "1"}]')
    monkeypatch.chdir(data)
    for name, value in {"DATABASE_URL": database_url, "OCRLTY_HOME": tmp_path / "home", "DATA_ROOT": data}.items():
        monkeypatch.setenv(name, str(value))

    def refused(*arguments):
        assert run(arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("Error: ")

    return refused


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("import", "nowhere", "--name", "s"), "nowhere is not a folder"),
        (("import", "empty", "--name", "s"), "No image in"),
        (("import", "/", "--name", "s"), "outside DATA_ROOT"),
        (("import", "images", "--name", "a|b"), "'a|b'"),
        (("import", "images", "--name", "s", "--glob", "../*"), "'../*'"),
        (("import", "images", "--name", "s", "--gt", "text.json"), "cannot be read as JSON"),
        (("import", "images", "--name", "s", "--gt", "other.json"), "other.png"),
        (("import", "images", "--name", "s", "--gt", "/etc/passwd"), "outside DATA_ROOT"),
        (("run", "nothing", "--task", "receipt_fields_v1"), "No image set named 'nothing'"),
        (("run", "s", "--task", "receipt_v9"), "Unknown task 'receipt_v9'"),
    ],
)
def test_bad_input_is_named_with_its_value(refused, arguments, expected):
    assert expected in refused(*arguments)


def test_a_database_that_is_down_is_named(refused, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://u@127.0.0.1:9/x")
    assert "127.0.0.1:9/x cannot be reached" in refused("import", "images", "--name", "s")


def test_a_bucket_that_does_not_exist_is_named(refused, monkeypatch, s3_server):
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("S3_BUCKET", "no-such-bucket")
    assert "no-such-bucket" in refused("run", "s", "--task", "receipt_fields_v1")


@pytest.mark.parametrize(
    ("name", "value"), [("VLLM_BASE_URI", "http://x/v1"), ("VLLM_MAX_TOKENS", "-3"), ("S3_ENDPOINT_URL", "r2")]
)
def test_an_unknown_or_bad_variable_is_refused_by_its_name(refused, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert name in refused("reindex")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_models_address_that_is_the_apis_own_is_refused_with_the_way_out(refused, monkeypatch, host):
    monkeypatch.setenv("INFERENCE_BACKEND", "vllm")
    monkeypatch.setenv("VLLM_BASE_URL", f"http://{host}:8000/v1")
    sentence = refused("up")
    assert f"VLLM_BASE_URL=http://{host}:8000/v1 is the API's own address" in sentence
    assert "--api-port 8001" in sentence
