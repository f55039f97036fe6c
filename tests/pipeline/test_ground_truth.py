"""Reading ground truth and matching it to an image set's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ocrlty_pipeline.errors import GroundTruthError
from ocrlty_pipeline.ground_truth import GroundTruth, ground_truth_of, parse_ground_truth, read_ground_truth_file


def entries(*names: str) -> GroundTruth:
    return ground_truth_of([{"file": name, "total": name} for name in names])


def test_an_array_of_records_names_its_images_by_the_image_key() -> None:
    ground_truth = parse_ground_truth(b'[{"img": "x/a.jpg", "total": "5"}]', image_key="img")
    assert ground_truth.match(["a.jpg"]).by_file == {"a.jpg": {"total": "5"}}


def test_an_object_of_entries_names_its_images_by_the_image_key() -> None:
    ground_truth = parse_ground_truth(b'{"one": {"file": "data\\/images\\/a.jpg", "total": 5.0}}')
    assert ground_truth.match(["a.jpg"]).by_file == {"a.jpg": {"total": 5.0}}


@pytest.mark.parametrize("key", ["a.jpg", "a", "old/folder/a.jpg"])
def test_an_id_names_the_image_of_an_entry_without_image_key(key: str) -> None:
    ground_truth = parse_ground_truth(json.dumps({key: {"total": "5"}}).encode())
    assert ground_truth.match(["set/a.jpg"]).by_file == {"set/a.jpg": {"total": "5"}}


def test_what_finds_no_partner_is_listed_on_both_sides() -> None:
    match = entries("a.jpg", "z.jpg").match(["a.jpg", "b.jpg"])
    assert (match.unmatched_files, match.unmatched_entries) == (("b.jpg",), ("z.jpg",))


def test_by_file_follows_the_order_of_the_files() -> None:
    assert list(entries("b.jpg", "a.jpg").match(["a.jpg", "b.jpg"]).by_file) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("data/q/a.jpg", "q/a.jpg"),  # the whole of q/a.jpg is in it, of r/q/a.jpg only a part
        ("C:\\scans\\p\\a.jpg", "p/a.jpg"),
        ("r/q/a.jpg", "r/q/a.jpg"),  # shares more of its end
        ("a.jpg", "a.jpg"),  # the very path
    ],
)
def test_the_longest_common_end_decides_between_files_of_one_name(name: str, file: str) -> None:
    assert list(entries(name).match(["a.jpg", "p/a.jpg", "q/a.jpg", "r/q/a.jpg"]).by_file) == [file]


def test_an_entry_that_fits_two_files_equally_is_refused_naming_both() -> None:
    with pytest.raises(GroundTruthError, match=r"'p/a\.jpg' and 'q/a\.jpg'"):
        entries("x/a.jpg").match(["p/a.jpg", "q/a.jpg"])


def test_the_closer_of_two_entries_for_one_file_wins() -> None:
    match = entries("p/a.jpg", "q/a.jpg").match(["p/a.jpg"])
    assert match.by_file["p/a.jpg"]["total"] == "p/a.jpg"
    assert match.unmatched_entries == ("q/a.jpg",)


def test_two_entries_that_fit_one_file_equally_are_refused_naming_both() -> None:
    with pytest.raises(GroundTruthError, match=r"'p/a\.jpg' and 'q/a\.jpg'"):
        entries("p/a.jpg", "q/a.jpg").match(["z/a.jpg"])


def test_a_file_name_with_another_extension_is_another_file() -> None:
    match = entries("a.png", "b.jpg").match(["a.jpg", "b.jpg"])
    assert match.unmatched_files == ("a.jpg",)


def test_no_match_at_all_shows_an_example_of_each_side_and_the_key() -> None:
    with pytest.raises(GroundTruthError) as caught:
        entries("x/036.png").match(["041.jpg"])
    for part in ("'x/036.png'", "'041.jpg'", "'file'", "--gt-image-key"):
        assert part in caught.value.message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be read as JSON"),
        (b"{", "cannot be read as JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (b'[{"file": "a.jpg", "total": NaN}]', "NaN"),
        (b'[{"file": "a.jpg", "total": 1e999}]', "1e999"),
        (b'{"a": {"file": "a.jpg"}, "a": {"file": "b.jpg"}}', "'a' stands twice"),
        (b'[{"file": "a.jpg", "nm": "\\ud83d"}]', "invalid character"),
        (b"3", "not a number"),
        (b'"text"', "not a string"),
        (b"null", "not null"),
        (b"[]", "no entries"),
        (b"{}", "no entries"),
        (b'[{"file": "a.jpg"}, 3]', "Entry 1 of the array of the ground truth is a number"),
        (b'{"a": []}', "Entry 'a' of the ground truth is an array"),
        (b'[{"image": "a.jpg"}]', "no key 'file'"),
        (b'[{"file": 3}]', "not 3"),
        (b'[{"file": " "}]', "must name a file"),
        (b'[{"file": "a.jpg"}, {"file": "./a.jpg"}]', "two entries for './a.jpg'"),
    ],
)
def test_unusable_ground_truth_is_refused_in_one_clear_sentence(data: bytes, message: str) -> None:
    with pytest.raises(GroundTruthError) as caught:
        parse_ground_truth(data)
    assert message in caught.value.message


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert parse_ground_truth(b'\xef\xbb\xbf[{"file": "a.jpg"}]').match(["a.jpg"]).by_file == {"a.jpg": {}}


def test_escaped_text_outside_ascii_is_read() -> None:
    data = json.dumps([{"file": "a.jpg", "nm": "😀é"}]).encode()
    assert parse_ground_truth(data).match(["a.jpg"]).by_file["a.jpg"]["nm"] == "😀é"


def test_a_file_is_read_only_from_under_the_data_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "gt.json").write_bytes(b"[]")
    (tmp_path / "secret.json").write_bytes(b"[]")
    assert read_ground_truth_file(root / "gt.json", root) == b"[]"
    (root / "link.json").symlink_to(tmp_path / "secret.json")
    for outside in (tmp_path / "secret.json", root / "../secret.json", root / "link.json"):
        with pytest.raises(GroundTruthError, match="DATA_ROOT"):
            read_ground_truth_file(outside, root)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(GroundTruthError, match="cannot be read: No such file"):
        read_ground_truth_file(tmp_path / "gt.json", tmp_path)
