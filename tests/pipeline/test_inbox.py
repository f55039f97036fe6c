"""What has arrived in the inbox, and what is still arriving."""

import pytest

from ocrlty_pipeline.inbox import MARKER, Seen, look


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def put(folder, name, content="x"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


def names(found):
    return [arrival.name for arrival in found.arrivals]


def test_a_folder_is_complete_when_nothing_changes_for_a_while(inbox):
    put(inbox / "march", "1.jpg")
    first = look(inbox, Seen(), now=100, stable_s=30)
    assert (names(first), first.waiting) == ([], ["march"])
    put(inbox / "march" / "more", "2.jpg")
    second = look(inbox, first.seen, now=125, stable_s=30)
    assert second.waiting == ["march"]
    assert look(inbox, second.seen, now=154, stable_s=30).waiting == ["march"]
    assert names(look(inbox, second.seen, now=155, stable_s=30)) == ["march"]


def test_a_marker_says_at_once_that_a_folder_is_complete(inbox):
    put(inbox / "march", "1.jpg")
    put(inbox / "march", "ground_truth.csv")
    put(inbox / "march", MARKER)
    [arrival] = look(inbox, Seen(), now=0, stable_s=30).arrivals
    assert arrival.ground_truth == inbox / "march" / "ground_truth.csv"


def test_a_folder_that_is_done_comes_again_only_with_other_content(inbox):
    put(inbox / "march", "1.jpg")
    put(inbox / "march", MARKER)
    first = look(inbox, Seen(), now=0, stable_s=30)
    done = Seen.model_validate_json(first.seen.done(["march"]).model_dump_json())
    again = look(inbox, done, now=1, stable_s=30)
    assert names(again) == []
    put(inbox / "march", "2.jpg")
    [changed] = look(inbox, again.seen, now=2, stable_s=30).arrivals
    assert changed.signature != first.arrivals[0].signature


def test_a_name_that_no_image_set_can_have_is_told_and_harms_no_other(inbox):
    put(inbox / "a|b", MARKER)
    put(inbox / "good", MARKER)
    put(inbox / ".arriving", MARKER)
    found = look(inbox, Seen(), now=0, stable_s=30)
    assert names(found) == ["good"]
    [problem] = found.refused
    assert "'a|b'" in problem
    assert "Rename the folder." in problem


def test_no_inbox_is_an_empty_one(tmp_path):
    assert look(tmp_path / "inbox", Seen(), now=0, stable_s=30).arrivals == []
