"""One image to one record, whatever happens on the way. The backends' own tests speak to real servers."""

import asyncio
import io

import orjson
import pytest
from PIL import Image

from ocrlty_pipeline.attempts import AttemptPolicy
from ocrlty_pipeline.backends.base import Completion, PageSource
from ocrlty_pipeline.errors import (
    ArtifactNotFoundError,
    BackendError,
    ContextTooLongError,
    OutputTruncatedError,
    TransientBackendError,
)
from ocrlty_pipeline.extraction import ExtractInput, ExtractionContext, extract_image
from ocrlty_pipeline.images import ImageLimits
from ocrlty_pipeline.plausibility.page import PrintedText
from ocrlty_pipeline.records import Auth, ExtractRecord
from ocrlty_pipeline.tasks.registry import load_tasks

TASK = load_tasks()["receipt_fields_v1"]
ANSWER = dict.fromkeys(TASK.schema["properties"]) | {"total": "8.20"}
POLICY = AttemptPolicy(
    temperature=0.0,
    max_tokens=512,
    max_model_len=4096,
    retry_max_attempts=3,
    retry_base_s=0.0,
    retry_max_s=0.0,
    context_max_attempts=3,
    context_shrink=0.5,
    context_min_tokens=64,
)


class ScriptedBackend:
    """Answers with the next line of its script; an exception is raised, text is the answer."""

    name = "scripted"
    model_id = "scripted-1"
    max_concurrency = 8

    def __init__(self, *script, page=None):
        self._script = iter(script)
        self._page = page
        self.requests = []

    async def complete(self, request):
        self.requests.append(request)
        line = next(self._script)
        if isinstance(line, Exception):
            raise line
        return Completion(
            line, finish_reason="stop", usage={"prompt_tokens": 100, "completion_tokens": 20}, page=self._page
        )

    async def aclose(self):
        pass


def png(width=200, height=100):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(buffer, "PNG")
    return buffer.getvalue()


def extract(backend, data=None, **options):
    context = ExtractionContext(TASK, backend, POLICY, ImageLimits(10**6, 10**6), "test", Auth(), **options)
    given = ExtractInput("r1", png() if data is None else data, {"file": "a.png", "image_ref": "inputs/x"})
    return asyncio.run(extract_image(given, context))


def test_figures_that_do_not_add_up_stand_in_the_record():
    wrong = ANSWER | {"subtotal": "8.00", "tax": "0.48", "cash": "10.00", "change": "1.80"}
    record = extract(ScriptedBackend(orjson.dumps(wrong).decode()))
    assert record.ok
    assert record.meta["checks"]["passed"] == ["change_adds_up"]
    [violation] = record.meta["checks"]["violated"]
    assert (violation["check"], violation["paths"]) == ("total_adds_up", ["subtotal", "tax", "total"])
    assert ExtractRecord.from_bytes(record.to_bytes()) == record


PAGE = (PrintedText("TOTAL 8.20", (0.1, 0.2, 0.5, 0.3), 0.97),)
WHERE = {"total": {"found": True, "box": [0.1, 0.2, 0.5, 0.3], "score": 0.97, "likeness": 1.0}}


def test_an_answer_is_looked_for_in_what_its_backend_has_read():
    record = extract(ScriptedBackend(orjson.dumps(ANSWER).decode(), page=PAGE))
    assert record.meta["grounding"] == WHERE
    assert record.meta["checks"] == {"passed": ["printed"], "violated": []}


def test_an_image_that_no_backend_has_read_is_read_where_that_is_wished():
    async def read(image):
        assert image.width == 200
        return PAGE

    answer = orjson.dumps(ANSWER).decode()
    assert "grounding" not in extract(ScriptedBackend(answer)).meta
    assert extract(ScriptedBackend(answer), page_source=PageSource(read=read)).meta["grounding"] == WHERE
    never = extract(ScriptedBackend(answer, page=PAGE), page_source=PageSource(use_backends=False))
    assert "grounding" not in never.meta


def test_that_an_image_could_not_be_read_is_no_fault_of_the_answer():
    async def read(_image):
        raise BackendError("The ocr engine failed.")

    record = extract(ScriptedBackend(orjson.dumps(ANSWER).decode()), page_source=PageSource(read=read))
    assert record.ok
    assert record.meta["grounding_error"]["message"] == "The ocr engine failed."


def test_a_good_answer_gives_a_record_that_names_all_it_was_made_with():
    record = extract(ScriptedBackend(orjson.dumps(ANSWER).decode()))
    assert record.ok
    assert record.schema_valid is True
    assert record.parsed == ANSWER
    assert (record.backend, record.model_id) == ("scripted", "scripted-1")
    assert (record.prompt_sha256, record.schema_sha256) == (TASK.prompt_sha256, TASK.schema_sha256)
    assert record.usage == {"prompt_tokens": 100, "completion_tokens": 20}
    assert record.input["image_ref"] == "inputs/x"
    assert record.meta["attempts"] == 1


def test_a_record_reads_back_as_it_was_written():
    record = extract(ScriptedBackend(TransientBackendError("down"), "{}"))
    assert ExtractRecord.from_bytes(record.to_bytes()) == record


def test_no_record_holds_image_bytes():
    image = png()
    text = extract(ScriptedBackend("{}"), image).to_bytes()
    assert image[:16] not in text
    assert len(text) < 4000


def test_json_that_departs_from_the_schema_is_kept_and_its_faults_are_listed():
    record = extract(ScriptedBackend('{"total": 5}'))
    assert record.ok
    assert record.schema_valid is False
    assert record.parsed == {"total": 5}
    assert "$.total" in [fault.path for fault in record.schema_errors]


def test_text_that_is_no_json_is_an_error_with_the_text_kept():
    record = extract(ScriptedBackend("no idea"))
    assert record.error.code == "output_not_json"
    assert (record.raw, record.parsed, record.schema_valid) == ("no idea", None, None)


def test_what_surrounded_the_json_is_said_in_meta():
    record = extract(ScriptedBackend(f"Sure: {orjson.dumps(ANSWER).decode()}"))
    assert record.schema_valid is True
    assert record.meta["json_found_after"] == ["leading_text"]


@pytest.mark.parametrize("data", [b"", b"not an image", png()[:-20]])
def test_a_broken_image_is_an_error_of_its_own_and_never_reaches_the_backend(data):
    backend = ScriptedBackend()
    record = extract(backend, data)
    assert record.error.code == "image_error"
    assert not record.error.retryable
    assert backend.requests == []
    assert record.meta["attempts"] == 0


def test_bytes_that_could_not_be_had_leave_their_error_in_the_record():
    record = extract(ScriptedBackend(), ArtifactNotFoundError("inputs/x is gone"))
    assert (record.error.code, record.error.message) == ("artifact_not_found", "inputs/x is gone")


def test_a_passing_failure_is_tried_again_and_stays_in_the_history():
    record = extract(ScriptedBackend(TransientBackendError("down"), orjson.dumps(ANSWER).decode()))
    assert record.ok
    assert [failed.message for failed in record.error_history] == ["down"]
    assert record.meta["attempts"] == 2


def test_a_service_that_stays_down_ends_in_a_retryable_error():
    backend = ScriptedBackend(*[TransientBackendError("down")] * 3)
    record = extract(backend)
    assert record.error.code == "backend_unavailable"
    assert record.error.retryable
    assert len(backend.requests) == 3


def test_a_permanent_refusal_is_final_at_once():
    backend = ScriptedBackend(BackendError("bad request"))
    assert extract(backend).error.message == "bad request"
    assert len(backend.requests) == 1


def test_an_image_too_large_for_the_context_is_sent_smaller():
    backend = ScriptedBackend(ContextTooLongError("long"), ContextTooLongError("long"), orjson.dumps(ANSWER).decode())
    record = extract(backend)
    assert record.ok
    assert [request.scale for request in backend.requests] == [1.0, 0.5, 0.25]
    assert record.meta["resize_scale"] == 0.25
    assert record.meta["image_size"] == [50, 25]


def test_a_truncated_answer_keeps_its_text():
    record = extract(ScriptedBackend(*[OutputTruncatedError("cut", text='{"total": "8')] * 3))
    assert record.error.code == "output_truncated"
    assert record.raw == '{"total": "8'


def test_an_unforeseen_exception_is_not_taken_for_an_outcome():
    with pytest.raises(ZeroDivisionError):
        extract(ScriptedBackend(ZeroDivisionError()))
