"""Each way a call fails becomes the typed error that says what may help, in words that name the setting."""

import asyncio
import datetime as dt
import socket
import ssl
from email.utils import format_datetime

import httpx2
import pytest

from ocrlty_pipeline.backends.vllm.backend import VllmBackend
from ocrlty_pipeline.backends.vllm.errors import Failures
from ocrlty_pipeline.errors import (
    BackendError,
    BackendMisconfiguredError,
    ContextTooLongError,
    OutputTruncatedError,
    TransientBackendError,
)
from tests.support import openai_answers as answers
from tests.support.openai_answers import Answer
from tests.support.openai_server import openai_server


def named(table):
    return [pytest.param(words, id=name) for name, words in table.items()]


@pytest.fixture
def failure(server, complete):
    """The error of one call that the server answers as given."""

    def fail(answer, **changes):
        server.script(answer)
        with pytest.raises(BackendError) as caught:
            complete(**changes)
        assert server.calls().calls == 1
        return caught.value

    return fail


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_server_that_cannot_answer_now_is_transient(failure, status):
    error = failure(answers.server_error(status))
    assert type(error) is TransientBackendError
    assert error.detail["status"] == status
    assert "EngineCore encountered an issue" in error.message
    assert error.retry_after_s is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("999999", 300.0), ("soon", None), ("-3", None), (None, None)],
)
def test_the_wait_a_server_asks_for_is_passed_on_within_bounds(failure, header, seconds):
    assert failure(answers.rate_limited(header)).retry_after_s == seconds


@pytest.mark.parametrize(("offset_s", "least", "most"), [(60, 30, 60), (-60, 0, 0), (10**6, 300, 300)])
def test_the_wait_may_be_asked_for_as_a_date(failure, offset_s, least, most):
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=offset_s)
    error = failure(answers.rate_limited(format_datetime(moment, usegmt=True)))
    assert least <= error.retry_after_s <= most


@pytest.mark.parametrize("when", ["before", "middle"])
def test_a_dropped_connection_is_transient(failure, when):
    error = failure(answers.dropped(when))
    assert type(error) is TransientBackendError
    assert "the connection was dropped" in error.message


def test_a_server_that_is_not_there_is_transient_and_named_with_the_cause(complete):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(TransientBackendError) as caught:
            complete(with_settings={"vllm_base_url": base_url})
    assert f"VLLM_BASE_URL={base_url}" in caught.value.message
    assert "Connect call failed" in caught.value.message


def test_a_host_without_an_address_is_transient_and_named(complete):
    with pytest.raises(TransientBackendError, match=r"VLLM_BASE_URL=http://nowhere\.invalid/v1: .*[Nn]ame"):
        complete(with_settings={"vllm_base_url": "http://nowhere.invalid/v1"})


def test_a_silent_server_is_transient_and_the_timeout_named(failure):
    error = failure(Answer(delay_ms=3000), with_settings={"vllm_read_timeout_s": 0.05})
    assert type(error) is TransientBackendError
    assert "VLLM_READ_TIMEOUT_S" in error.message


def test_waiting_too_long_for_a_connection_is_transient_and_the_settings_named(server, settings, request_for):
    async def go():
        backend = VllmBackend(settings(vllm_http_max_connections=1, vllm_pool_timeout_s=0.05))
        calls = (backend.complete(request_for()) for _ in range(2))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        await backend.aclose()
        return outcomes

    server.script(Answer(status=500, delay_ms=500))
    _, error = asyncio.run(go())
    assert type(error) is TransientBackendError
    assert "VLLM_POOL_TIMEOUT_S" in error.message
    assert server.calls().calls == 1


@pytest.mark.parametrize("words", named(answers.CONTEXT_TOO_LONG))
def test_every_wording_of_a_full_context_is_context_too_long(failure, words):
    assert type(failure(answers.refusal(400, words))) is ContextTooLongError


@pytest.mark.parametrize(
    ("wording", "figures"),
    [
        ("text", {"input_tokens": 2049, "max_model_len": 2048}),
        ("image", {"input_tokens": 4124, "max_model_len": 2048}),
        ("older, prompt", {"input_tokens": 4124, "max_model_len": 2048}),
        ("older, with completion", {"input_tokens": 1900, "max_model_len": 2048}),
        ("older, max_tokens left", {"input_tokens": 1500, "max_model_len": 2048}),
        ("huge text", {"max_model_len": 2048}),
        ("prompt fills the context", {}),
    ],
)
def test_the_token_counts_a_server_names_go_with_the_error(failure, wording, figures):
    detail = failure(answers.refusal(400, answers.CONTEXT_TOO_LONG[wording])).detail
    assert {name: value for name, value in detail.items() if name not in {"status", "server"}} == figures


def test_an_image_too_large_for_the_context_fits_when_reduced(complete, picture):
    with openai_server(max_pixels=10_000, max_model_len=2048) as server:
        small = {"vllm_base_url": server.base_url}
        with pytest.raises(ContextTooLongError):
            complete(image=picture(size=(200, 200)), with_settings=small)
        assert complete(image=picture(size=(200, 200)), scale=0.5, with_settings=small).text


def test_a_budget_over_the_whole_context_is_a_matter_of_settings_not_of_the_image(complete):
    with openai_server(max_model_len=256) as server, pytest.raises(BackendMisconfiguredError) as caught:
        complete(max_tokens=500, with_settings={"vllm_base_url": server.base_url})
    assert "VLLM_MAX_TOKENS" in caught.value.message
    assert "max_model_len=256" in caught.value.message


@pytest.mark.parametrize("words", named(answers.SCHEMA_REFUSED))
def test_a_refused_schema_stops_all_calls_with_the_server_s_words(failure, words):
    error = failure(answers.refusal(400, words))
    assert type(error) is BackendMisconfiguredError
    assert words[:60] in error.message


@pytest.mark.parametrize("words", named(answers.IMAGE_REFUSED))
def test_a_refused_image_concerns_this_image_alone(failure, words):
    error = failure(answers.refusal(400, words))
    assert type(error) is BackendError
    assert "refuses the image" in error.message


def test_a_decompression_bomb_is_permanent_although_it_is_answered_as_500(failure):
    words = "Image size (400000000 pixels) exceeds limit of 178956970 pixels, could be decompression bomb DOS attack."
    assert type(failure(answers.server_error(500, words))) is BackendError


@pytest.mark.parametrize("answer", [answers.refusal(400, "temperature must be non-negative"), Answer(409), Answer(422)])
def test_another_refusal_is_permanent(failure, answer):
    assert type(failure(answer)) is BackendError


def test_an_upload_limit_is_permanent_and_says_whose_limit(failure):
    error = failure(answers.page(413, "Request Entity Too Large"))
    assert type(error) is BackendError
    assert "raise the limit on request bodies" in error.message


@pytest.mark.parametrize("key", [None, "wrong-key-456"])
def test_a_missing_or_wrong_key_is_misconfigured_and_never_shown(complete, key):
    with openai_server(api_key="right-key-123") as server, pytest.raises(BackendMisconfiguredError) as caught:
        complete(with_settings={"vllm_base_url": server.base_url, "vllm_api_key": key})
    assert "VLLM_API_KEY" in caught.value.message
    assert "-key-" not in f"{caught.value.message} {caught.value.detail}"


def test_an_unknown_model_is_misconfigured_and_the_served_ones_named(complete):
    with pytest.raises(BackendMisconfiguredError, match=r"VLLM_MODEL=nope .*Valid aliases: test-model.*set VLLM_MODEL"):
        complete(with_settings={"vllm_model": "nope"})


def test_a_base_url_without_v1_is_misconfigured_and_the_missing_part_named(server, complete):
    root = server.base_url.removesuffix("/v1")
    with pytest.raises(BackendMisconfiguredError, match=rf"VLLM_BASE_URL={root} .*probably lacks /v1: try {root}/v1"):
        complete(with_settings={"vllm_base_url": root})


def test_a_base_url_with_v1_twice_is_misconfigured(server, complete):
    with pytest.raises(BackendMisconfiguredError, match="check host, port and path"):
        complete(with_settings={"vllm_base_url": f"{server.base_url}/v1"})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (answers.page(), "a web page"),
        (Answer(body='{"ok": true}'), 'without "choices"'),
        (Answer(body="[]"), 'without "choices"'),
        (Answer(307, headers={"Location": "https://elsewhere.example/v1"}), "https://elsewhere.example/v1"),
        (Answer(405), "HTTP 405"),
        (answers.page(404), "HTTP 404"),
    ],
    ids=["page", "other object", "list", "redirect", "method", "page not found"],
)
def test_what_is_no_completion_server_is_misconfigured(failure, answer, words):
    error = failure(answer)
    assert type(error) is BackendMisconfiguredError
    assert "VLLM_BASE_URL" in error.message
    assert words in error.message


@pytest.mark.parametrize("body", ['{"choices": [{"mess', "", "upstream connect error"])
def test_an_answer_cut_short_is_transient(failure, body):
    assert type(failure(Answer(body=body))) is TransientBackendError


def test_a_failure_that_a_gateway_wraps_into_a_200_counts_as_the_failure_it_is(failure):
    wrapped = Answer(body='{"error": {"message": "Provider returned error", "code": 429}}')
    assert type(failure(wrapped)) is TransientBackendError


def test_an_answer_cut_at_the_budget_is_truncated_and_keeps_text_and_usage(failure):
    error = failure(answers.completed('{"vendor"', finish_reason="length"))
    assert type(error) is OutputTruncatedError
    assert error.text == '{"vendor"'
    assert error.detail["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (answers.completed(None), "the text is empty"),
        (answers.completed(""), "the text is empty"),
        (answers.completed(None, refused="I cannot read this."), "I cannot read this."),
        (Answer(body='{"choices": []}'), "without a choice"),
    ],
    ids=["null", "empty", "refusal", "no choice"],
)
def test_a_model_that_gives_nothing_is_permanent(failure, answer, words):
    error = failure(answer)
    assert type(error) is BackendError
    assert words in error.message


def test_what_a_server_sends_back_is_clipped_and_without_key_or_image(failure):
    echoed = f"Bad thing k-456 in data:image/png;base64,{'QUJD' * 5000} and " + "word " * 500
    error = failure(answers.refusal(400, echoed, kind="x"), with_settings={"vllm_api_key": "k-456"})
    shown = f"{error.message} {error.detail}"
    assert "k-456" not in shown
    assert "QUJDQUJD" not in shown
    assert len(error.message) < 520


def test_credentials_in_the_base_url_are_not_shown(complete):
    with pytest.raises(TransientBackendError) as caught:
        complete(with_settings={"vllm_base_url": "http://user:pass-789@127.0.0.1:9/v1"})
    assert "pass-789" not in caught.value.message


def test_an_untrusted_certificate_is_misconfigured():
    error = httpx2.ConnectError("")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    failure = Failures(base_url="https://host/v1", model="m", secret=None).of_transport(error)
    assert type(failure) is BackendMisconfiguredError
    assert "SSL_CERT_FILE" in failure.message
