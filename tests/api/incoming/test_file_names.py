import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrlty_api.errors import InvalidFieldError
from ocrlty_api.incoming.file_names import FileNames, safe_file_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.jpg", "a.jpg"),
        ("a/b.jpg", "a/b.jpg"),
        ("a\\b.jpg", "a/b.jpg"),
        ("./a//b/./c.jpg", "a/b/c.jpg"),
        ("Beleg Nr. 1 (Kopie).jpg", "Beleg Nr. 1 (Kopie).jpg"),
        ("u\u0308ber.jpg", "\u00fcber.jpg"),
        ("領収書/👨\u200d👩.png", "領収書/👨\u200d👩.png"),
        ("..a/b..jpg", "..a/b..jpg"),
        ("a/c:b.jpg", "a/c:b.jpg"),
        (".hidden", ".hidden"),
    ],
)
def test_a_name_is_kept_as_a_path_within_the_upload(name, safe):
    assert safe_file_name(name) == safe


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd", "absolute"),
        ("\\\\server\\share\\a.jpg", "absolute"),
        ("\\a.jpg", "absolute"),
        ("../a.jpg", "leads out"),
        ("a/../../b.jpg", "leads out"),
        ("a\\..\\b.jpg", "leads out"),
        ("..", "leads out"),
        ("C:\\a.jpg", "drive"),
        ("./c:a.jpg", "drive"),
        ("", "empty"),
        ("./.", "empty"),
        ("a\0.jpg", "control"),
        ("a\r\nX-Injected: 1.jpg", "control"),
        ("a\u202egpj.exe", "control"),
        ("a\ud800.jpg", "control"),
        ("a" * 256, "longer"),
        ("ä" * 128, "longer"),
        ("/".join(["a" * 100] * 11), "longer"),
    ],
)
def test_a_name_that_could_be_more_than_that_is_refused(name, why):
    with pytest.raises(InvalidFieldError, match=why) as refused:
        safe_file_name(name, field="images")
    assert refused.value.field == "images"
    assert len(refused.value.message) < 500


@given(st.text(st.sampled_from("a.b/\\:C \0\u0308\u202e"), max_size=12))
def test_whatever_is_accepted_stays_below_its_folder_on_any_system(name):
    try:
        safe = safe_file_name(name)
    except InvalidFieldError:
        return
    for path in (PurePosixPath(safe), PureWindowsPath(safe)):
        assert not path.is_absolute()
        assert not path.anchor
        assert ".." not in path.parts
    assert "\\" not in safe
    assert safe_file_name(safe) == safe == unicodedata.normalize("NFC", safe)


def test_equal_names_are_numbered_and_equal_base_names_in_other_folders_left_alone():
    names = FileNames()
    given = ["a/1.jpg", "b/1.jpg", "1.jpg", "a/1.jpg", "a/./1.jpg", "1 (2).jpg", "1.jpg", "x/README", "x/README"]
    assert [names.take(name) for name in given] == [
        "a/1.jpg",
        "b/1.jpg",
        "1.jpg",
        "a/1 (2).jpg",
        "a/1 (3).jpg",
        "1 (2).jpg",
        "1 (3).jpg",
        "x/README",
        "x/README (2)",
    ]


@given(st.lists(st.sampled_from(["a", "a (2)", "a (2) (2)", "./a", "b/a"]), max_size=20))
def test_the_names_of_an_upload_are_distinct(given):
    names = FileNames()
    taken = [names.take(name) for name in given]
    assert len(set(taken)) == len(given)
