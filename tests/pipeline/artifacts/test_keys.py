from __future__ import annotations

from datetime import date
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrlty_pipeline.artifacts import keys
from ocrlty_pipeline.errors import InputError

DAY = date(2026, 11, 24)
SHA = "ab12" + "0" * 60
ID_CHARACTERS = "ABCXYZabcxyz019_.-"
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", fullmatch=True, alphabet=ID_CHARACTERS)
# What a hostile client sends: mostly legal characters, with the few that once did harm.
near_ids = st.text(alphabet=ID_CHARACTERS + "/\\\n\x00 é|", max_size=140)


def test_keys_are_laid_out_as_specified():
    assert keys.extract_key(DAY, "r1") == "extracts/2026-11-24/r1.json"
    assert keys.batch_key(DAY, "b1") == "batches/2026-11-24/b1.json"
    assert keys.eval_key(DAY, "e1") == "evals/2026-11-24/e1.json"
    assert keys.input_key("local", SHA, ".jpg") == f"inputs/local/ab/12/{SHA}.jpg"
    assert keys.image_sha256(f"inputs/local/ab/12/{SHA}.jpg") == keys.image_sha256(f"uploads/x/{SHA}") == SHA
    assert keys.image_sha256(f"inputs/local/{SHA}/cat.jpg") is None
    assert keys.image_set_key("sroie", 7) == "image_sets/sroie/000007.json"
    assert keys.ground_truth_key("sroie", 1_234_567) == "ground_truths/sroie/1234567.json"


@pytest.mark.parametrize(
    "value", ["", "../x", "a/b", "a\n", "\n", ".hidden", "-rf", "_x", "é", "a b", "a\x00", "a|b", "x" * 129, "١"]
)
def test_an_id_that_could_leave_its_place_is_refused_by_name(value):
    with pytest.raises(InputError, match=r"^run_id ") as refusal:
        keys.check_id("run_id", value)
    assert len(refusal.value.message) < 400


@given(near_ids)
def test_an_accepted_id_is_one_harmless_path_segment(value):
    try:
        keys.check_id("run_id", value)
    except InputError:
        return
    assert PurePosixPath(value).parts == (value,)
    assert set(value) <= set(ID_CHARACTERS)
    assert 1 <= len(value) <= 128


@given(ids)
def test_the_key_of_any_id_is_a_key_and_tells_the_id_again(value):
    rel = keys.batch_key(DAY, value)
    assert keys.check_key(rel) == rel
    assert keys.parse_document_key(rel) == ("batch", DAY, value)


@pytest.mark.parametrize(
    "rel",
    [
        "",
        "/etc/passwd",
        "a//b",
        "a/",
        "../a",
        "a/../b",
        "a/..",
        ".",
        "a/./b",
        "a\\b",
        "a\x00",
        "a\n",
        "a b",
        "a#1",
        "%2e%2e/a",
    ],
)
def test_what_is_not_a_key_is_refused(rel):
    with pytest.raises(InputError, match="not an artifact's key"):
        keys.check_key(rel)


def test_a_key_too_long_for_a_bucket_is_refused():
    with pytest.raises(InputError):
        keys.check_key("/".join(["x" * 100] * 11))


@pytest.mark.parametrize(
    "rel",
    [
        "inputs/local/ab/12/x.jpg",
        "extracts/2026-13-01/r1.json",
        "extracts/2026-11-24/.json",
        "extracts/2026-11-24/a/b.json",
        "extracts/2026-11-24/r1.json\n",
        "jobs/2026-11-24/r1.json",
    ],
)
def test_other_keys_name_no_document(rel):
    assert keys.parse_document_key(rel) is None


@pytest.mark.parametrize(
    ("owner", "sha256", "extension"),
    [
        ("../x", SHA, ".jpg"),
        ("me", SHA.upper(), ".jpg"),
        ("me", SHA + "\n", ".jpg"),
        ("me", SHA, "/x"),
        ("me", SHA, "jpg"),
    ],
)
def test_an_input_key_takes_only_an_owner_a_hash_and_an_extension(owner, sha256, extension):
    with pytest.raises(InputError):
        keys.input_key(owner, sha256, extension)


def test_versions_begin_at_one():
    with pytest.raises(InputError, match="Version 0"):
        keys.image_set_key("sroie", 0)


def test_a_version_is_read_from_its_key():
    assert keys.version_of("image_sets/sroie/000012.json") == 12
    assert keys.version_of("image_sets/sroie/notes.json") is None
