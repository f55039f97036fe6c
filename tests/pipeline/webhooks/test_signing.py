"""Signatures against the words of the standard: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from ocrlty_pipeline.errors import ConfigError
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.webhooks.model import Message
from ocrlty_pipeline.webhooks.signing import Signer

AT = datetime(2026, 11, 28, 12, 0, 0, 900_000, tzinfo=UTC)
BODY = '{"type":"job.failed","data":{"name":"Café"}}'.encode()


def hmac_sha256(key, message):
    """RFC 2104 in its own words."""
    key = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def test_a_receiver_with_its_secret_computes_the_same_signature(signer):
    headers = signer.headers(Message("msg_1", "https://a.example", "wh_1", BODY), AT)
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", str(int(AT.timestamp())))
    key = base64.b64decode(signer.secret("wh_1").removeprefix("whsec_"), validate=True)
    assert len(key) == 32
    expected = hmac_sha256(key, b"msg_1." + headers["webhook-timestamp"].encode() + b"." + BODY)
    version, _, signature = headers["webhook-signature"].partition(",")
    assert (version, base64.b64decode(signature)) == ("v1", expected)


def test_the_standards_own_library_takes_a_call_and_refuses_anothers(signer):
    message = Message("msg_1", "https://a.example", "wh_1", BODY)
    headers = signer.headers(message, datetime.now(UTC))
    assert Webhook(signer.secret("wh_1")).verify(BODY, headers)["type"] == "job.failed"
    for secret, body in ((signer.secret("wh_2"), BODY), (signer.secret("wh_1"), BODY + b" ")):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, headers)


def test_secrets_depend_on_the_receiver_and_on_the_pepper_and_are_no_hash_of_a_key(signer):
    other = Signer("another pepper of the tests")
    assert len({signer.secret("wh_1"), signer.secret("wh_2"), signer.secret("key:wh_1"), other.secret("wh_1")}) == 4
    key = base64.b64decode(signer.secret("wh_1").removeprefix("whsec_"))
    assert key != hmac.digest(b"a pepper of the tests, and of nothing else", b"wh_1", "sha256")


def test_without_a_pepper_nothing_is_signed():
    with pytest.raises(ConfigError, match="API_KEY_PEPPER is not set: webhooks are signed"):
        Signer.from_settings(Settings(_env_file=None, api_key_pepper=None))
    with pytest.raises(ConfigError, match="fewer than 16 characters"):
        Signer.from_settings(Settings(_env_file=None, api_key_pepper="short"))
