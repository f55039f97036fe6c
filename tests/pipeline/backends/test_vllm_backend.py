"""What the backend sends, and what it makes of a good answer."""

import asyncio
import io
import json
import threading
from dataclasses import replace

import httpx2
import pytest
from jsonschema import Draft202012Validator
from PIL import ExifTags, Image

from ocrlty_pipeline.backends.vllm.backend import VllmBackend
from ocrlty_pipeline.backends.vllm.wire_schema import wire_schema
from ocrlty_pipeline.errors import ConfigError
from ocrlty_pipeline.images import CheckedImage
from tests.support.openai_server import openai_server


def test_one_call_is_one_post_with_prompt_image_wire_schema_and_settings(server, complete, tasks, picture):
    task, image = tasks["items_light_v1"], picture()
    complete(task=task, image=image, max_tokens=321, temperature=0.25)
    calls = server.calls()
    assert calls.calls == 1
    assert calls.images == {image.sha256: 1}
    assert calls.last["image"] == ["image/jpeg", len(image.data)]
    body = calls.last["body"]
    (message,) = body.pop("messages")
    assert message["role"] == "user"
    assert message["content"][0] == {"type": "text", "text": task.prompt}
    assert message["content"][1]["type"] == "image_url"
    schema = {"name": task.task_id, "schema": wire_schema(task.schema), "strict": True}
    assert body == {
        "model": "test-model",
        "response_format": {"type": "json_schema", "json_schema": schema},
        "temperature": 0.25,
        "max_tokens": 321,
    }


@pytest.mark.parametrize("task_id", ["receipt_fields_v1", "receipt_header_v1", "items_light_v1"])
def test_each_built_in_task_is_answered_by_a_server_that_refuses_what_vllm_refuses(complete, tasks, task_id):
    completion = complete(task=tasks[task_id])
    Draft202012Validator(tasks[task_id].schema).validate(json.loads(completion.text))


def test_the_task_s_own_schema_would_be_refused(server, tasks, picture):
    with httpx2.Client() as client:
        content = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]
        schema = {"name": "x", "schema": dict(tasks["receipt_fields_v1"].schema), "strict": True}
        call = {
            "model": "test-model",
            "max_tokens": 10,
            "messages": [{"role": "user", "content": content}],
            "response_format": {"type": "json_schema", "json_schema": schema},
        }
        answer = client.post(f"{server.base_url}/chat/completions", json=call)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Grammar error: Unknown format: x-money"


def test_a_completion_carries_text_usage_finish_reason_and_what_was_sent(complete, picture):
    image = picture(fmt="PNG")
    completion = complete(image=image)
    assert completion.finish_reason == "stop"
    assert set(completion.usage) == {"prompt_tokens", "completion_tokens", "total_tokens"}
    assert completion.usage["total_tokens"] == (
        completion.usage["prompt_tokens"] + completion.usage["completion_tokens"]
    )
    assert completion.meta == {"sent_mime_type": "image/png", "sent_bytes": len(image.data)}


def test_different_images_get_different_answers_and_the_same_image_the_same(complete, picture):
    red, blue = picture(color="red"), picture(color="blue")
    assert complete(image=red).text == complete(image=red).text
    assert complete(image=red).text != complete(image=blue).text


@pytest.mark.parametrize(("fmt", "mime_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/png")])
def test_a_reduced_image_is_sent_under_the_type_of_its_new_bytes(server, complete, picture, fmt, mime_type):
    image = picture(fmt=fmt, size=(400, 300))
    completion = complete(image=image, scale=0.5)
    assert server.calls().last["image"] == [mime_type, completion.meta["sent_bytes"]]
    assert image.sha256 not in server.calls().images


@pytest.mark.parametrize("fmt", ["BMP", "TIFF", "GIF"])
def test_a_type_that_servers_may_not_decode_is_sent_as_png(server, complete, picture, fmt):
    complete(image=picture(fmt=fmt))
    assert server.calls().last["image"][0] == "image/png"


def test_pixels_are_encoded_outside_the_event_loop_and_ready_bytes_inside(complete, picture):
    threads = []

    class Watched(CheckedImage):
        def encoded(self, scale=1.0):
            threads.append(threading.current_thread())
            return super().encoded(scale)

    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (60, 40)).save(buffer, "JPEG", exif=exif)
    ready = Watched(**{name: getattr(picture(), name) for name in CheckedImage.__dataclass_fields__})
    turned = replace(ready, data=buffer.getvalue(), oriented=False)
    for image, scale in ((ready, 1.0), (ready, 0.5), (turned, 1.0)):
        complete(image=image, scale=scale)
    assert [thread is threading.main_thread() for thread in threads] == [True, False, False]


def test_a_prompt_that_looks_like_the_request_s_own_json_arrives_unchanged(server, complete, tasks):
    prompt = 'Ünïcode "url":"data:image"}}]}],"model":"other"} \\ end'
    complete(task=replace(tasks["receipt_fields_v1"], prompt=prompt))
    assert server.calls().last["body"]["messages"][0]["content"][0]["text"] == prompt
    assert server.calls().last["body"]["model"] == "test-model"


def test_an_overridden_prompt_or_schema_is_not_answered_with_the_cached_one(server, settings, request_for, tasks):
    task = tasks["receipt_fields_v1"]
    other = {"type": "object", "properties": {"only": {"type": "string"}}, "required": ["only"]}
    seen = []

    async def go():
        backend = VllmBackend(settings())
        for changed in (task, replace(task, prompt="Other"), replace(task, schema=other)):
            await backend.complete(request_for(task=changed))
            seen.append(server.calls().last["body"])
        await backend.aclose()

    asyncio.run(go())
    prompts = [body["messages"][0]["content"][0]["text"] for body in seen]
    assert prompts == [task.prompt, "Other", task.prompt]
    schemas = [body["response_format"]["json_schema"]["schema"] for body in seen]
    assert [next(iter(schema["properties"])) for schema in schemas] == ["total", "total", "only"]


def test_the_key_goes_as_bearer_and_without_a_key_nothing_goes(server, complete):
    complete(with_settings={"vllm_api_key": "k-123"})
    assert server.calls().last["headers"]["Authorization"] == "Bearer k-123"
    complete()
    assert "Authorization" not in server.calls().last["headers"]


def test_a_server_with_a_key_answers_the_right_key(complete):
    with openai_server(api_key="k-123") as guarded:
        completion = complete(with_settings={"vllm_base_url": guarded.base_url, "vllm_api_key": "k-123"})
    assert completion.text


def test_no_more_connections_are_used_than_configured(settings, request_for):
    async def go(base_url):
        backend = VllmBackend(settings(vllm_base_url=base_url, vllm_http_max_connections=3))
        assert backend.max_concurrency == 3
        await asyncio.gather(*(backend.complete(request_for()) for _ in range(9)))
        await backend.aclose()

    with openai_server(latency_ms=50) as slow:
        asyncio.run(go(slow.base_url))
        assert slow.calls().max_concurrency == 3


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"vllm_base_url": "http://host/v1/chat/completions"}, "give the part before /chat/completions"),
        ({"vllm_base_url": "http://host:port/v1"}, "is not a URL"),
        ({"vllm_api_key": "one\ntwo"}, "VLLM_API_KEY"),
    ],
)
def test_settings_that_no_request_can_be_made_of_are_refused_at_once(settings, variables, words):
    with pytest.raises(ConfigError, match=words) as caught:
        VllmBackend(settings(**variables))
    assert "one\ntwo" not in caught.value.message
