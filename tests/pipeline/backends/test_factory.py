"""`create_backend` makes the backend that is asked for and loads no other."""

import subprocess
import sys

import pytest

from ocrlty_pipeline.backends.factory import create_backend
from ocrlty_pipeline.errors import ConfigError
from ocrlty_pipeline.settings import Settings


@pytest.mark.parametrize(("name", "model_id"), [("mock", "mock"), ("vllm", "some/model")])
def test_the_backend_is_the_one_of_the_settings_unless_another_is_asked_for(name, model_id):
    settings = Settings(_env_file=None, inference_backend=name, vllm_model="some/model")
    for backend in (create_backend(settings), create_backend(Settings(_env_file=None, vllm_model="some/model"), name)):
        assert (backend.name, backend.model_id) == (name, model_id)


def test_the_ocr_backend_works_as_many_images_at_once_as_configured():
    backend = create_backend(Settings(_env_file=None, inference_backend="ocr", ocr_workers=3))
    assert (backend.name, backend.max_concurrency) == ("ocr", 3)


def test_an_unknown_backend_is_refused_and_the_known_ones_named():
    with pytest.raises(ConfigError, match="'gpt': choose one of mock, ocr, vllm"):
        create_backend(Settings(_env_file=None), "gpt")


@pytest.mark.parametrize(
    ("name", "unwanted"), [("mock", "onnxruntime,httpx2,rapidocr"), ("vllm", "onnxruntime,rapidocr")]
)
def test_a_backend_loads_nothing_of_another(name, unwanted):
    code = (
        "import sys; from ocrlty_pipeline.backends.factory import create_backend;"
        "from ocrlty_pipeline.settings import Settings;"
        f"create_backend(Settings(_env_file=None), {name!r});"
        f"print(*sorted(set({unwanted!r}.split(',')) & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == ""
