import asyncio
import io
import json
import threading

import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrlty_pipeline.backends.base import InferenceRequest
from ocrlty_pipeline.backends.ocr import backend as backend_module
from ocrlty_pipeline.backends.ocr.backend import RULES, OcrBackend
from ocrlty_pipeline.backends.ocr.engine import OcrEngine, Reading
from ocrlty_pipeline.backends.ocr.layout import printed_lines
from ocrlty_pipeline.errors import BackendMisconfiguredError
from ocrlty_pipeline.images import ImageLimits, check_image
from ocrlty_pipeline.tasks.registry import Task, load_tasks
from tests.pipeline.backends.ocr.pages import box

LIMITS = ImageLimits(max_bytes=10**7, max_pixels=10**7)
RECEIPT = (
    ("PELANGI CAFE SDN BHD", ""),
    ("NO.5, JALAN KENARI,", ""),
    ("47100 PUCHONG, SELANGOR", ""),
    ("Date: 21/07/2018 10:22", ""),
    ("2 Nasi Lemak", "17.00"),
    ("1 Teh Tarik", "3.00"),
    ("Subtotal", "20.00"),
    ("GST 6%", "1.20"),
    ("TOTAL", "RM 21.20"),
    ("CASH", "50.00"),
    ("CHANGE", "28.80"),
)


def drawn(rows=RECEIPT):
    image = Image.new("RGB", (640, 80 + 48 * len(rows)), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=28)
    for number, (left, right) in enumerate(rows):
        y = 40 + 48 * number
        draw.text((40, y), left, "black", font)
        draw.text((600 - draw.textlength(right, font), y), right, "black", font)
    return image


def checked(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return check_image(buffer.getvalue(), LIMITS)


def request(task_id, image=None, scale=1.0):
    task = load_tasks()[task_id]
    return InferenceRequest(task, checked(image or Image.new("RGB", (64, 48), "white")), scale, 512, 0.0)


class FakeEngine:
    """Stands in where OCR itself is not the subject: counts loads, records sizes, may wait."""

    loads = 0

    def __init__(self, *, threads):
        type(self).loads += 1
        self.threads = threads

    def read(self, image):
        return Reading([box(f"TOTAL {image.width}.00", 40, 40)], None, image.size)


@pytest.fixture
def fake_engine(monkeypatch):
    monkeypatch.setattr(FakeEngine, "loads", 0)
    monkeypatch.setattr(backend_module, "OcrEngine", FakeEngine)
    # Engines belong to the process, not to a backend.
    backend_module.readers.cache_clear()
    yield FakeEngine
    backend_module.readers.cache_clear()


def complete(*requests, workers=1):
    async def run():
        backend = OcrBackend(workers=workers)
        try:
            return [await backend.complete(one) for one in requests]
        finally:
            await backend.aclose()

    return asyncio.run(run())


def test_a_drawn_receipt_is_read_by_the_real_engine_for_all_three_tasks(capfd):
    fields, header, items = complete(*(request(task_id, drawn()) for task_id in RULES))

    assert json.loads(fields.text) == {
        "total": "RM 21.20",
        "subtotal": "20.00",
        "tax": "1.20",
        "service": None,
        "discount": None,
        "cash": "50.00",
        "card": None,
        "change": "28.80",
    }
    assert json.loads(header.text) == {
        "company": "PELANGI CAFE SDN BHD",
        "date": "21/07/2018",
        "address": "NO.5, JALAN KENARI, 47100 PUCHONG, SELANGOR",
        "total": "RM 21.20",
    }
    assert [(one["cnt"], one["nm"], one["price"]) for one in json.loads(items.text)["menu"]] == [
        ("2", "Nasi Lemak", "17.00"),
        ("1", "Teh Tarik", "3.00"),
    ]
    assert (fields.finish_reason, fields.usage) == ("stop", None)
    assert fields.meta["ocr_lines"] == len(RECEIPT)
    company = next(piece for piece in header.page if piece.text == "PELANGI CAFE SDN BHD")
    height = 80 + 48 * len(RECEIPT)
    assert company.box[1] == pytest.approx(40 / height, abs=0.02)
    assert company.box[3] < 88 / height
    assert capfd.readouterr() == ("", ""), "the engine's own messages reached the terminal"


def test_a_page_on_its_side_is_read_as_if_it_were_upright():
    page = drawn(RECEIPT[:5]).transpose(Image.Transpose.ROTATE_90)
    lines = [line.text for line in printed_lines(OcrEngine(threads=2).read(page).boxes)]
    assert lines == [" ".join(row).strip() for row in RECEIPT[:5]]


def test_a_white_page_answers_with_nulls():
    (answer,) = complete(request("receipt_fields_v1", Image.new("RGB", (200, 200), "white")))
    assert set(json.loads(answer.text).values()) == {None}


def test_the_models_are_loaded_by_the_first_call_and_once_for_all_batches_of_a_process(fake_engine):
    OcrBackend(workers=1)
    assert fake_engine.loads == 0
    for _ in range(2):
        complete(*[request("receipt_fields_v1")] * 3)
    assert fake_engine.loads == 1


def test_the_image_is_reduced_by_the_scale(fake_engine):
    whole, half = complete(request("receipt_fields_v1"), request("receipt_fields_v1", scale=0.5))
    assert json.loads(whole.text)["total"] == "64.00"
    assert json.loads(half.text)["total"] == "32.00"


def test_the_event_loop_runs_on_while_an_image_is_read(fake_engine, monkeypatch):
    loop_ran = threading.Event()

    def wait_for_the_loop(self, image):
        assert loop_ran.wait(timeout=10), "the event loop stood still"
        return Reading([], None, image.size)

    monkeypatch.setattr(fake_engine, "read", wait_for_the_loop)

    async def run():
        backend = OcrBackend(workers=1)
        call = asyncio.create_task(backend.complete(request("receipt_fields_v1")))
        await asyncio.sleep(0.05)
        loop_ran.set()
        await call
        await backend.aclose()

    asyncio.run(run())


def test_cores_are_shared_out_among_the_workers(fake_engine, monkeypatch):
    monkeypatch.setattr(backend_module.os, "cpu_count", lambda: 4)
    threads = []
    monkeypatch.setattr(
        fake_engine, "read", lambda self, _: threads.append(self.threads) or Reading([], None, (64, 48))
    )
    complete(request("receipt_fields_v1"), workers=2)
    complete(request("receipt_fields_v1"), workers=16)
    assert threads == [2, 1]


def test_a_task_without_rules_is_refused_with_the_way_out():
    task = Task("invoice_v9", "Read it.", {"type": "object"}, "An invoice")
    unknown = InferenceRequest(task, checked(Image.new("RGB", (64, 64))), 1.0, 512, 0.0)
    with pytest.raises(BackendMisconfiguredError, match=r"receipt_fields_v1.*'invoice_v9'.*INFERENCE_BACKEND=vllm"):
        complete(unknown)


def test_every_task_with_rules_answers_with_all_properties_of_its_schema(fake_engine):
    for task in load_tasks():
        (answer,) = complete(request(task.task_id))
        assert list(json.loads(answer.text)) == list(task.schema["properties"])
