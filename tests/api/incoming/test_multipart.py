import asyncio
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from ocrlty_api.errors import BadMultipartError, InvalidFieldError, PayloadTooLargeError, UnsupportedMediaTypeError
from ocrlty_api.incoming.multipart import MultipartLimits, read_multipart

LIMITS = MultipartLimits(max_files=50, max_file_bytes=1000, max_fields=3, max_field_bytes=100)
END = b"--XX--\r\n"


def part(disposition, content=b"", *headers):
    lines = [f"Content-Disposition: form-data; {disposition}".encode(), *headers]
    return b"--XX\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + content + b"\r\n"


def file(name, content=b"", field="files"):
    return part(f'name="{field}"; filename="{name}"', content)


def field(name, value):
    return part(f'name="{name}"', value)


async def receive_all(chunks, limits=LIMITS, content_type="multipart/form-data; boundary=XX", on_file=None):
    """The fields, the files, and how many chunks had been asked for when each file came."""
    asked, files = 0, []
    chunks = iter(chunks)

    async def receive():
        nonlocal asked
        asked += 1
        chunk = next(chunks, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def keep(given):
        files.append((given, asked))

    headers = [(b"content-type", content_type.encode())] if content_type is not None else []
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    return await read_multipart(request, limits, on_file or keep), files


def read(*parts, **options):
    fields, files = asyncio.run(receive_all([b"".join(parts) + END], **options))
    return fields, [file for file, _ in files]


def refusal(*parts, error=BadMultipartError, **options):
    with pytest.raises(error) as refused:
        read(*parts, **options)
    assert 400 <= refused.value.status < 500
    assert len(refused.value.message) < 400
    return refused.value.message


BODY = (
    field("task_id", b"receipt")
    + file("a/1.jpg", b"\r\n--X\r\n--XX-\r\n--XXX\r\n--")
    + file("b/1.jpg", b"\r")
    + file("empty.jpg")
    + file("b/1.jpg", b"again")
    + file("large.jpg", bytes(1001))
    + field("run_id", "ü".encode())
    + END
    + b"epilogue"
)
EXPECTED = (
    {"task_id": "receipt", "run_id": "ü"},
    [
        ("a/1.jpg", b"\r\n--X\r\n--XX-\r\n--XXX\r\n--", 23),
        ("b/1.jpg", b"\r", 1),
        ("empty.jpg", b"", 0),
        ("b/1 (2).jpg", b"again", 5),
        ("large.jpg", None, 1001),
    ],
)


def outcome(chunks):
    fields, files = asyncio.run(receive_all(chunks))
    return fields, [(file.name, file.data, file.size) for file, _ in files]


@settings(max_examples=50)
@given(st.lists(st.integers(0, len(BODY)), max_size=40))
def test_however_the_body_is_cut_the_same_parts_come_out(cuts):
    edges = [0, *sorted(cuts), len(BODY)]
    assert outcome(BODY[start:end] for start, end in pairwise(edges)) == EXPECTED


def test_byte_by_byte_too():
    assert outcome(BODY[i : i + 1] for i in range(len(BODY))) == EXPECTED


def test_a_file_too_large_becomes_an_item_that_says_so_and_the_others_go_on():
    _, files = read(file("large.jpg", bytes(1001)), file("fits.jpg", bytes(1000)))
    large, fits = files
    assert (large.data, large.size, large.error.code) == (None, 1001, "image_error")
    assert "1001 bytes, more than MAX_IMAGE_BYTES=1000" in large.error.message
    assert (len(fits.data), fits.error) == (1000, None)


def test_a_file_is_handed_over_before_more_is_received():
    async def scenario():
        chunks = [file("1.jpg", b"1"), file("2.jpg", b"2")[:-2], b"\r\n--XX", b"--"]
        _, files = await receive_all(chunks)
        # A part ends where the boundary of the next is complete.
        assert [(file.name, asked) for file, asked in files] == [("1.jpg", 2), ("2.jpg", 4)]

    asyncio.run(scenario())


def test_nothing_is_received_while_a_file_is_stored():
    async def scenario():
        stored, asked = asyncio.Event(), []

        def chunks():
            for chunk in (file("1.jpg", b"1") + b"--XX", b"\r\n" + file("2.jpg", b"2")[6:], END):
                asked.append(chunk)
                yield chunk

        async def on_file(file):
            await stored.wait()

        reading = asyncio.create_task(receive_all(chunks(), on_file=on_file))
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(asked) == 2
        stored.set()
        await reading
        assert len(asked) == 3

    asyncio.run(scenario())


def peak_of(chunks, limits):
    async def forget(file):
        pass

    tracemalloc.start()
    try:
        asyncio.run(receive_all(chunks, limits=limits, on_file=forget))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_bounded_by_one_file_whatever_the_body_holds():
    mib = 1024 * 1024

    def body():
        for number in range(20):
            yield file(f"{number}.jpg")[:-2]
            yield from (bytes(mib) for _ in range(4 if number % 2 else 6))
            yield b"\r\n"
        yield END

    assert peak_of(body(), MultipartLimits(max_files=50, max_file_bytes=4 * mib)) < 7 * mib


def test_thousands_of_empty_parts_in_one_piece_take_no_memory_beyond_their_names_and_have_a_limit():
    body = file("a.jpg") * 5_000 + END
    assert peak_of([body], MultipartLimits(5_000, 1000)) < 3 * 1024 * 1024
    with pytest.raises(PayloadTooLargeError, match="MAX_BATCH_FILES=4999"):
        asyncio.run(receive_all([body], limits=MultipartLimits(4_999, 1000)))


def test_names_come_in_the_ways_clients_write_them():
    names = ["ü.jpg", "=?utf-8?B?w7wuanBn?=", "=?utf-8?B?w7?=", 'q\\"q.jpg', "C:\\\\scans\\\\a.jpg"]
    _, files = read(*[part(f'name="files"; filename="{name}"'.replace("Content", "")) for name in names])
    assert [file.name for file in files] == ["ü.jpg", "ü (2).jpg", "=?utf-8?B?w7?=", 'q"q.jpg', "a.jpg"]
    latin = b'--XX\r\nContent-Disposition: form-data; name="files"; filename="\xfc.jpg"\r\n\r\n\r\n'
    assert [file.name for file in read(latin)[1]] == ["ü.jpg"]


def test_several_fields_may_bring_files_each_with_names_of_its_own():
    limits = MultipartLimits(5, 1000, file_fields=("files", "gt"))
    _, files = read(file("a"), file("a", field="gt"), limits=limits)
    assert [(file.field, file.name) for file in files] == [("files", "a"), ("gt", "a")]


def test_a_form_without_any_part_is_read_as_one():
    assert read() == ({}, [])


@pytest.mark.parametrize("content_type", [None, "", "application/json", "multipart/mixed; boundary=XX", "text/plain"])
def test_a_body_of_another_type_is_refused(content_type):
    assert "multipart/form-data" in refusal(error=UnsupportedMediaTypeError, content_type=content_type)


@pytest.mark.parametrize("boundary", ["", "; boundary=", '; boundary=""', "; boundary=" + "a" * 71, "; boundary=ä"])
def test_a_boundary_that_is_none_is_refused(boundary):
    assert "boundary" in refusal(content_type="multipart/form-data" + boundary)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([b"no multipart at all"], "malformed"),
        ([b'{"task_id": "x"}'], "malformed"),
        ([b"--YY\r\n"], "malformed"),
        ([b"--XX\r\n\r\nx\r\n"], "no `Content-Disposition"),
        ([b"--XX\r\nContent-Disposition: attachment; filename=a\r\n\r\n\r\n"], "no `Content-Disposition"),
        ([part("filename=a.jpg")], "no `Content-Disposition"),
        ([part('name=""; filename=a.jpg')], "no `Content-Disposition"),
        ([part("name=a", b"", b"Content-Disposition: form-data; name=b")], "two content-disposition"),
        ([part("name=a", b"", b"X-Long: " + b"x" * 5000)], "header size"),
        ([part("name=a", b"", *[b"X-%d: x" % i for i in range(9)])], "header count"),
        ([part("name=a", b"", b"Bad Header: x")], "malformed"),
        ([part("name=files; filename=a", b"", b"Content-Type: multipart/mixed; boundary=Y")], "multipart body itself"),
        ([part("name=files; filename=a", b"", b"Content-Transfer-Encoding: base64")], "as they are"),
        ([field("task_id", b"a"), field("task_id", b"b")], "given twice"),
        ([field("task_id", b"a" * 101)], "more than 100 bytes"),
        ([field("task_id", b"\xff")], "not UTF-8"),
        ([field("task_id", b"a\0b")], "NUL"),
        ([field(str(i), b"") for i in range(4)], "more than 3 fields"),
        ([field("files", b"a.jpg")], "without a file name"),
        ([file("a.jpg", field="image")], "files go in: files"),
    ],
)
def test_a_malformed_or_unreasonable_form_is_refused_in_words(parts, why):
    assert why in refusal(*parts)


@pytest.mark.parametrize("cut", [0, 1, 30, 60, -1, -3, -5, -7])
def test_a_body_that_ends_before_its_closing_boundary_is_refused(cut):
    whole = file("a.jpg", b"12345") + END[:-2]
    with pytest.raises(BadMultipartError, match="closing boundary"):
        asyncio.run(receive_all([whole[:cut]]))


def test_a_client_that_goes_away_ends_the_reading_after_its_complete_files():
    async def scenario():
        messages = iter(
            [
                {"type": "http.request", "body": file("1.jpg", b"1") + file("2.jpg", b"2")[:-2], "more_body": True},
                {"type": "http.disconnect"},
            ]
        )
        names = []

        async def receive():
            return next(messages)

        async def keep(file):
            names.append(file.name)

        headers = [(b"content-type", b"multipart/form-data; boundary=XX")]
        with pytest.raises(ClientDisconnect):
            await read_multipart(Request({"type": "http", "headers": headers}, receive), LIMITS, keep)
        assert names == ["1.jpg"]

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.jpg", ""])
def test_a_file_name_that_is_more_than_a_name_is_refused(name):
    assert "not allowed" in refusal(file(name), error=InvalidFieldError)


def test_an_endless_header_is_given_up_at_its_limit():
    async def scenario():
        taken = 0

        def chunks():
            nonlocal taken
            yield b"--XX\r\nX-Endless: "
            while True:
                taken += 1
                yield b"x" * 1000

        with pytest.raises(BadMultipartError, match="header size"):
            await receive_all(chunks())
        assert taken == 5

    asyncio.run(scenario())
