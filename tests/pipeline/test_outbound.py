"""Calls to real servers of this machine, which the client would refuse but for the setting that allows them."""

import asyncio
import gzip
import ssl
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from ocrlty_pipeline.errors import OutboundFailedError, OutboundRefusedError
from ocrlty_pipeline.outbound import OutboundClient, OutboundLimits
from ocrlty_pipeline.settings import Settings

LIMITS = OutboundLimits(max_bytes=1000, timeout_s=30)
BODY = b"hello"
URL_LETTERS = st.one_of(st.characters(), st.characters(categories=["Cs"]), st.sampled_from("/:@?#[]%\\.019afx- \n\0"))


def answer(status="200 OK", body=BODY, **headers):
    fields = {"content-length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def redirect(location):
    return answer("302 Found", b"", location=location)


@asynccontextmanager
async def serving(answers, ssl_context=None):
    """A server that gives `answers` by path, and keeps the heads of the requests."""
    heads = []

    async def handle(reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            heads.append(head)
            given = answers[head.split()[1]]
            if given is None:
                await reader.read()
            else:
                writer.write(given)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=ssl_context)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


def settings(*allowed):
    return Settings(outbound_allow_private=allowed, _env_file=None)


def resolver(*answers):
    """Answers in turn, the last one for ever; counts the questions."""
    asked = []

    async def resolve(host, port):
        asked.append((host, port))
        found = answers[min(len(asked), len(answers)) - 1]
        if isinstance(found, Exception):
            raise found
        return found

    resolve.asked = asked
    return resolve


STRICT = OutboundClient(settings())


async def get(url, *allowed, limits=LIMITS, **options):
    async with OutboundClient(settings(*allowed), **options) as client:
        return await client.get(url, limits)


def refused(url, *allowed, **options):
    with pytest.raises(OutboundRefusedError) as error:
        asyncio.run(get(url, *allowed, **options))
    return error.value.message


async def failure(url, *allowed, **options):
    with pytest.raises(OutboundFailedError) as error:
        await get(url, *allowed, **options)
    return error.value.message


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com/a.jpg", "http or https"),
        ("file:///etc/passwd", "http or https"),
        ("javascript:alert(1)", "http or https"),
        ("/a.jpg", "http or https"),
        ("", "http or https"),
        ("http:///a.jpg", "no host"),
        ("http://me:pw@example.com/", "user name"),
        ("http://me@example.com/", "user name"),
        ("http://127.0.0.1\\@example.com/", "user name"),
        ("http://example.com:22/", "port is 22"),
        ("http://example.com:0/", "port is 0"),
        ("https://example.com:99999/", "port is 99999"),
        ("http://a\nb/", "not a URL"),
        ("http://[::1/", "not a URL"),
        ("http://example.com/" + "a" * 3000, "characters"),
        ("http://example.com/\ud800", "half a character"),
    ],
)
def test_a_url_that_is_none_to_call_is_refused_before_its_name_is_looked_up(url, why):
    resolve = resolver(["1.1.1.1"])
    assert why in refused(url, resolve=resolve)
    assert resolve.asked == []


@given(st.sampled_from(["http://", "https://", "//", ""]), st.text(URL_LETTERS, max_size=30))
def test_no_text_does_worse_than_a_refusal(scheme, rest):
    with suppress(OutboundRefusedError):
        STRICT.check_url(scheme + rest)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0x7f000001", "2130706433", "127.1", "0", "[::ffff:127.0.0.1]"]
)
def test_loopback_is_refused_however_it_is_written(host):
    assert "private" in refused(f"http://{host}/")


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.1.1", "fd00:ec2::254"])
def test_a_name_that_leads_to_a_private_address_is_refused_even_when_it_has_public_ones_too(address):
    message = refused("https://images.example/", resolve=resolver(["1.1.1.1", address]))
    assert address not in message


def test_a_name_is_looked_up_once_and_its_checked_address_is_the_one_connected_to():
    async def scenario():
        async with serving({"/": answer()}) as (port, heads):
            resolve = resolver(["127.0.0.1"], ["10.0.0.1"])
            got = await get(f"http://images.example:{port}/", f"images.example:{port}", resolve=resolve)
            assert (got.status, got.body) == (200, BODY)
            assert resolve.asked == [("images.example", port)]
            assert f"host: images.example:{port}" in heads[0].lower()

    asyncio.run(scenario())


def test_the_next_address_is_tried_when_one_takes_no_connection():
    async def scenario():
        async with serving({"/": answer()}) as (port, _):
            resolve = resolver(["127.0.0.2", "127.0.0.1"])
            assert (await get(f"http://two.example:{port}/", f"two.example:{port}", resolve=resolve)).body == BODY

    asyncio.run(scenario())


def test_a_name_rebound_between_two_calls_is_refused_at_the_second():
    async def scenario():
        async with serving({"/": answer()}) as (port, heads):
            url = f"http://127.0.0.1:{port}/"
            async with OutboundClient(settings(f"127.0.0.1:{port}"), resolve=resolver(["127.0.0.1"], [])) as client:
                await client.get(url, LIMITS)
                with pytest.raises(OutboundFailedError, match="has no address"):
                    await client.get(url, LIMITS)
            assert len(heads) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "//10.0.0.1/",
        "http://[::1]/",
        "http://localhost:1/",
        "file:///etc/passwd",
        "http://me:pw@example.com/",
        "http://a\tb/",
    ],
)
def test_a_redirect_to_what_may_not_be_called_is_refused(location):
    async def scenario():
        async with serving({"/": redirect(location)}) as (port, heads):
            with pytest.raises(OutboundRefusedError):
                await get(f"http://127.0.0.1:{port}/", f"127.0.0.1:{port}")
            assert len(heads) == 1

    asyncio.run(scenario())


def test_three_redirects_are_followed_and_a_fourth_is_not():
    async def scenario():
        answers = {"/0": redirect("/1"), "/1": redirect("2"), "/2": redirect("?end"), "/2?end": answer()}
        answers["/before"] = redirect("/0")
        async with serving(answers) as (port, _):
            here, allowed = f"http://127.0.0.1:{port}", f"127.0.0.1:{port}"
            assert (await get(f"{here}/0", allowed)).body == BODY
            assert "3 times" in await failure(f"{here}/before", allowed)

    asyncio.run(scenario())


def test_an_answer_too_large_is_given_up_whether_announced_or_not():
    async def scenario():
        chunk = b"400\r\n" + bytes(1024) + b"\r\n"
        endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 4
        answers = {"/said": answer(body=bytes(1001)), "/unsaid": endless, "/fits": answer(body=bytes(1000))}
        async with serving(answers) as (port, _):
            here, allowed = f"http://127.0.0.1:{port}", f"127.0.0.1:{port}"
            assert "more than 1000 bytes" in await failure(f"{here}/said", allowed)
            assert "more than 1000 bytes" in await failure(f"{here}/unsaid", allowed)
            assert len((await get(f"{here}/fits", allowed)).body) == 1000

    asyncio.run(scenario())


def test_a_compressed_answer_is_refused_unopened():
    async def scenario():
        bomb = gzip.compress(bytes(500_000))
        async with serving({"/": answer(body=bomb, content_encoding="gzip")}) as (port, heads):
            assert "compressed" in await failure(f"http://127.0.0.1:{port}/", f"127.0.0.1:{port}")
            assert "accept-encoding: identity" in heads[0].lower()

    asyncio.run(scenario())


def test_whatever_goes_wrong_on_the_way_is_said_in_words():
    async def scenario():
        answers = {"/silent": None, "/rubbish": b"\x00\x01\r\n\r\n", "/cut": answer()[:-2], "/nothing": b""}
        async with serving(answers) as (port, _):
            here, allowed = f"http://127.0.0.1:{port}", f"127.0.0.1:{port}"
            soon = OutboundLimits(1000, timeout_s=0.2)
            assert "within 0.2 s" in await failure(f"{here}/silent", allowed, limits=soon)
            for path in ("/rubbish", "/cut", "/nothing"):
                assert "broke" in await failure(here + path, allowed)
        assert "No connection" in await failure(f"{here}/", allowed)
        for unknown in (OSError("no such name"), UnicodeError("label too long")):
            assert "has no address" in await failure("http://nowhere.example/", resolve=resolver(unknown))

    asyncio.run(scenario())


def test_the_time_allowed_covers_the_name_server_too():
    async def scenario():
        async def resolve(host, port):
            await asyncio.Event().wait()

        soon = OutboundLimits(1000, timeout_s=0.1)
        assert "within 0.1 s" in await failure("http://slow.example/", limits=soon, resolve=resolve)

    asyncio.run(scenario())


def test_a_post_sends_its_body_and_follows_no_redirect():
    async def scenario():
        async with serving({"/hook": redirect("/elsewhere")}) as (port, heads):
            async with OutboundClient(settings("*")) as client:
                got = await client.post(f"http://127.0.0.1:{port}/hook", b"{}", {"x-signature": "s"}, LIMITS)
            assert (got.status, len(heads)) == (302, 1)
            assert "content-length: 2" in heads[0].lower()
            assert "x-signature: s" in heads[0].lower()

    asyncio.run(scenario())


def certificate(name, folder):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / f"{name}.pem"
    file.write_bytes(private + signed.public_bytes(pem))
    return file


def test_tls_names_and_verifies_the_host_though_the_connection_is_made_by_address(tmp_path):
    file = certificate("images.example", tmp_path)
    serving_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving_context.load_cert_chain(file)
    names = []
    serving_context.sni_callback = lambda _socket, name, _context: names.append(name)
    trusting = ssl.create_default_context(cafile=file)

    async def scenario():
        async with serving({"/": answer()}, serving_context) as (port, _):
            options = {"resolve": resolver(["127.0.0.1"]), "ssl_context": trusting}
            assert (await get(f"https://images.example:{port}/", "*", **options)).body == BODY
            assert "No connection" in await failure(f"https://other.example:{port}/", "*", **options)
            assert names == ["images.example", "other.example"]

    asyncio.run(scenario())
