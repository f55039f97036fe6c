import pytest

from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.webhooks.model import EVENTS
from ocrlty_pipeline.webhooks.registry import MAX_OF_A_KEY


def test_webhooks_are_found_listed_newest_first_by_owner_and_deleted(webhooks):
    made = [webhooks.add(key_id, f"https://{key_id}.example/{n}", EVENTS) for n in range(2) for key_id in ("a", "b")]
    assert webhooks.find(made[0].webhook_id) == made[0]
    assert webhooks.page(limit=9, after=None, owner=None) == made[::-1]
    first = webhooks.page(limit=1, after=None, owner="a")
    assert first == [made[2]]
    assert webhooks.page(limit=9, after=(first[0].created_at, first[0].webhook_id), owner="a") == [made[0]]
    assert webhooks.remove(made[0].webhook_id)
    assert not webhooks.remove(made[0].webhook_id)
    assert webhooks.find(made[0].webhook_id) is None
    assert sorted(webhooks.called_keys()) == ["a", "b"]


def test_a_key_calls_an_address_once_and_has_no_end_of_webhooks(webhooks):
    first = webhooks.add("a", "https://a.example/0", EVENTS)
    with pytest.raises(InputError, match=f"url is called already, by your webhook {first.webhook_id}"):
        webhooks.add("a", first.url, ("job.failed",))
    for number in range(1, MAX_OF_A_KEY):
        webhooks.add("a", f"https://a.example/{number}", EVENTS)
    with pytest.raises(InputError, match="the most that one may have"):
        webhooks.add("a", "https://a.example/more", EVENTS)
    assert webhooks.add("b", first.url, EVENTS)
