"""From the end of a job to a real receiver: once, in spite of everything that may go wrong between."""

import base64
import hashlib
import hmac
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from ocrlty_pipeline.webhooks.delivery import CLAIMED_FOR, KEPT_FOR, LONGEST_PAUSE, MAX_ATTEMPTS, pause_after
from ocrlty_pipeline.webhooks.model import EVENTS
from ocrlty_pipeline.webhooks.sending import AT_ONCE_OF_A_KEY
from tests.support.waiting import wait_until


def verified(call, secret):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{call.id}.{call.headers['webhook-timestamp']}.".encode() + call.body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return call.headers["webhook-signature"] == f"v1,{expected}"


def test_each_receiver_that_wants_the_event_is_called_once_and_with_its_own_secret(
    webhooks, deliveries, receiver, signer, send, ended, clock
):
    every = webhooks.add("alice", receiver.at("/every"), EVENTS)
    webhooks.add("alice", receiver.at("/failed"), ("job.failed",))
    webhooks.add("bob", receiver.at("/bob"), EVENTS)
    job = ended(webhook_url=receiver.at("/job"))
    assert deliveries.note([job], clock()) == 2
    assert deliveries.note([job], clock()) == 0
    assert deliveries.noted([("job-1", "job.succeeded"), ("job-2", "job.failed")]) == {("job-1", "job.succeeded")}
    assert send().delivered == 2
    assert send().delivered == 0
    assert sorted(call.path for call in receiver.calls) == ["/every", "/job"]
    [call] = receiver.calls_of("/every")
    assert (call.body, call.headers["content-type"]) == (job.body, "application/json")
    assert verified(call, signer.secret(every.webhook_id))
    assert not verified(replace(call, body=call.body + b" "), signer.secret(every.webhook_id))
    [call] = receiver.calls_of("/job")
    assert verified(call, signer.secret("key:alice"))
    [told] = deliveries.latest_of(every.webhook_id, 10)
    assert (told.attempts, told.last_status, told.last_error, told.next_attempt_at) == (1, 200, None, None)
    assert told.delivered_at == clock()


def test_a_webhook_is_not_called_for_what_ended_before_it_was_made(webhooks, deliveries, receiver, ended, clock):
    webhook = webhooks.add("alice", receiver.at("/"), EVENTS)
    before = replace(ended(), ended_at=webhook.created_at - timedelta(seconds=1))
    assert deliveries.note([before], clock()) == 0


def test_what_fails_is_sent_again_later_and_later_under_the_same_id(webhooks, deliveries, receiver, send, ended, clock):
    webhook = webhooks.add("alice", receiver.at("/"), EVENTS)
    receiver.answers["/"] = [500, 302]
    deliveries.note([ended()], clock())
    assert (send().failed, send().failed) == (1, 0)
    [told] = deliveries.latest_of(webhook.webhook_id, 10)
    assert (told.last_status, told.last_error) == (500, "The receiver answered 500.")
    for pause in (timedelta(seconds=10), timedelta(seconds=40)):
        clock.advance(seconds=pause.total_seconds() - 1)
        assert send().delivered + send().failed == 0
        clock.advance(seconds=1)
        send()
    assert len({call.id for call in receiver.calls}) == 1
    assert len({call.headers["webhook-timestamp"] for call in receiver.calls}) == len(receiver.calls) == 3
    [told] = deliveries.latest_of(webhook.webhook_id, 10)
    assert (told.attempts, told.last_status, told.delivered_at) == (3, 200, clock())


def test_what_nobody_takes_is_given_up_after_a_day(webhooks, deliveries, receiver, send, ended, clock):
    webhook = webhooks.add("alice", receiver.at("/"), EVENTS)
    receiver.answers["/"] = [503] * 99
    deliveries.note([ended()], clock())
    for _ in range(MAX_ATTEMPTS + 3):
        send()
        clock.advance(seconds=LONGEST_PAUSE.total_seconds())
    [told] = deliveries.latest_of(webhook.webhook_id, 10)
    assert (told.attempts, told.next_attempt_at, told.delivered_at) == (MAX_ATTEMPTS, None, None)
    total = sum(map(pause_after, range(1, MAX_ATTEMPTS)), timedelta())
    assert timedelta(hours=20) < total < timedelta(hours=30)


def test_one_that_died_between_claiming_and_sending_leaves_it_to_another(
    webhooks, deliveries, receiver, send, ended, clock
):
    webhooks.add("alice", receiver.at("/"), EVENTS)
    deliveries.note([ended()], clock())
    claimed = deliveries.claim(clock())
    assert claimed.attempts == 1
    assert send().delivered == 0
    clock.advance(seconds=CLAIMED_FOR.total_seconds())
    assert send().delivered == 1
    assert [call.id for call in receiver.calls] == [claimed.delivery_id]


def test_two_that_send_at_the_same_time_send_nothing_twice(webhooks, deliveries, receiver, send, ended, clock):
    webhooks.add("alice", receiver.at("/"), EVENTS)
    deliveries.note([ended(f"job-{number}") for number in range(40)], clock())
    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.calls) == len({call.id for call in receiver.calls}) == 40


def test_a_receiver_that_hangs_holds_nobody_up(webhooks, deliveries, receiver, send, ended, clock):
    webhooks.add("alice", receiver.at("/slow"), EVENTS)
    webhooks.add("bob", receiver.at("/quick"), EVENTS)
    receiver.held.add("/slow")
    deliveries.note([ended(f"slow-{number}") for number in range(30)], clock())
    clock.advance(seconds=1)
    deliveries.note([ended(f"quick-{number}", key_id="bob") for number in range(30)], clock())
    round_ = threading.Thread(target=send)
    round_.start()
    wait_until(lambda: len(receiver.calls_of("/quick")) == 30, 60)
    assert len(receiver.calls_of("/slow")) <= AT_ONCE_OF_A_KEY
    receiver.answers["/slow"] = [500] * 99
    receiver.release.set()
    round_.join()
    assert len(receiver.calls_of("/slow")) <= AT_ONCE_OF_A_KEY


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_of_a_private_network_is_never_called(host, webhooks, deliveries, receiver, send, ended, clock):
    port = receiver.url.rpartition(":")[2]
    webhook = webhooks.add("alice", f"http://{host}:{port}/", EVENTS)
    at_80 = webhooks.add("alice", f"http://{host}/", EVENTS)
    deliveries.note([ended()], clock())
    assert send("elsewhere:1").failed == 2
    assert receiver.calls == []
    for webhook_id, why in ((webhook.webhook_id, f"port is {port}"), (at_80.webhook_id, "private or reserved network")):
        [told] = deliveries.latest_of(webhook_id, 1)
        assert (told.next_attempt_at, told.last_status) == (None, None)
        assert why in told.last_error


def test_deleting_a_webhook_stops_its_deliveries(webhooks, deliveries, receiver, send, ended, clock):
    webhook = webhooks.add("alice", receiver.at("/"), EVENTS)
    deliveries.note([ended()], clock())
    webhooks.remove(webhook.webhook_id)
    assert send().delivered == 0
    assert receiver.calls == []
    assert not deliveries.is_any_due(clock())


def test_a_receiver_that_is_gone_is_called_no_more(webhooks, deliveries, receiver, send, ended, clock):
    webhook = webhooks.add("alice", receiver.at("/"), EVENTS)
    receiver.answers["/"] = [410]
    deliveries.note([ended("job-1")], clock())
    assert send().failed == 1
    assert not webhooks.find(webhook.webhook_id).active
    assert deliveries.note([ended("job-2")], clock()) == 0
    assert webhooks.called_keys() == []
    assert not deliveries.is_any_due(clock() + timedelta(days=9))


def test_deliveries_are_forgotten_after_a_month(webhooks, deliveries, receiver, ended, clock):
    webhook = webhooks.add("alice", receiver.at("/"), EVENTS)
    deliveries.note([ended()], clock())
    assert deliveries.prune(clock() + KEPT_FOR) == 0
    assert deliveries.prune(clock() + KEPT_FOR + timedelta(seconds=1)) == 1
    assert deliveries.latest_of(webhook.webhook_id, 1) == []
