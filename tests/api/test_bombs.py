"""Files of a few kilobytes that announce or become enormous images: told as such, at no cost to the service.

An image beyond MAX_IMAGE_PIXELS is an item with its error, like any other that cannot be read; one just below is legal.
"""

import struct
import zlib

import pytest

from tests.support.memory import bounded
from tests.support.requests import TASK, extract_body, finished, succeeded, upload

# MAX_IMAGE_PIXELS is 50,000,000.
WITHIN, BEYOND = (7000, 7000), (30_000, 30_000)


def png(size, *, bits, pixels):
    """A black PNG of `size`, with `bits` a grey pixel; its data end with the row in which `pixels` do."""
    width, height = size
    row = bytes(1 + -(-width * bits // 8))
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(row) for _ in range(min(height, -(-pixels // width)))) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.fixture(scope="module")
def bombs():
    """An image that announces 10^10 pixels and holds a row, and one that holds all of its 9 * 10^8."""
    announced = png((100_000, 100_000), bits=8, pixels=1)
    whole = png(BEYOND, bits=1, pixels=BEYOND[0] * BEYOND[1])
    assert len(whole) < 200_000
    return {"announced.png": announced, "whole.png": whole}


def check_refused(error):
    assert error["code"] == "image_error"
    assert "MAX_IMAGE_PIXELS=50000000" in error["message"]


def test_a_bomb_in_base64_is_told_as_such(alice, model, service, bombs):
    succeeded(alice.post("/v1/extract", json=extract_body()))
    calls = model.calls().calls
    with bounded(service, 50):
        for bomb in bombs.values():
            check_refused(succeeded(alice.post("/v1/extract", json=extract_body(bomb)))["error"])
        job_id = succeeded(alice.post("/v1/extract_async", json=extract_body(bombs["whole.png"])), 202)["job_id"]
        assert finished(alice, job_id)["status"] == "failed"
        check_refused(succeeded(alice.get(f"/v1/jobs/{job_id}/error"))["error"])
    assert model.calls().calls == calls


def test_bombs_in_a_batch_are_items_with_their_error_and_cost_the_others_nothing(alice, model, service, bombs, new_id):
    folder = service.data / new_id("bombs")
    folder.mkdir()
    small = png((64, 64), bits=8, pixels=64 * 64)
    for name, data in {**bombs, "small.png": small}.items():
        (folder / name).write_bytes(data)
    with bounded(service, 50):
        by_upload = alice.post("/v1/batch_extract_upload", **upload({**bombs, "small.png": small}))
        from_folder = alice.post("/v1/batch_extract", json={"task_id": TASK, "images_dir": folder.name})
        for answer in map(succeeded, (by_upload, from_folder)):
            assert (answer["ok_count"], answer["error_count"]) == (1, 2)
            items = {item["file"].rpartition("/")[2]: item for item in answer["items"]}
            assert items["small.png"]["ok"]
            for name in bombs:
                check_refused(items[name]["error"])


def test_the_largest_image_allowed_grows_in_a_worker_alone(alice, model, service):
    # 16 bits a pixel are converted before they are sent: 98 MB, and 147 MB of RGB.
    image = png(WITHIN, bits=16, pixels=WITHIN[0] * WITHIN[1])
    assert len(image) < 200_000
    with bounded(service, 50):
        answer = succeeded(alice.post("/v1/extract", json=extract_body(image)))
        assert answer["error"] is None
    assert model.calls().last["image"][0] == "image/png"
    assert succeeded(alice.post("/v1/extract", json=extract_body()))["error"] is None
