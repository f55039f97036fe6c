"""Which files of a folder count as images, and what lies out of bounds."""

import pytest

from ocrlty_pipeline.errors import ImageSetError
from ocrlty_pipeline.image_folders import EVERY_FILE, folder_files

JPEG = b"\xff\xd8\xff\xe0" + bytes(64)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data"
    for name, content in {
        "b.jpg": JPEG,
        "a.png": b"not really an image",
        "scan": JPEG,
        "gt.json": b"{}",
        "sub/b.jpg": JPEG,
        ".hidden/c.jpg": JPEG,
        ".DS_Store": b"x",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def test_images_are_known_by_suffix_or_content_and_listed_in_order(folder):
    found = folder_files(folder, EVERY_FILE, folder)
    assert found.names == ["a.png", "b.jpg", "scan", "sub/b.jpg"]
    assert found.skipped == 1


def test_a_glob_chooses_among_them(folder):
    assert folder_files(folder, "*.jpg", folder).names == ["b.jpg"]


@pytest.mark.parametrize("glob", ["../*", "/etc/*", "sub/../../*", "", "a**b", "**x/*.jpg", "\0"])
def test_a_glob_that_leaves_the_folder_or_is_none_is_refused_by_its_value(folder, glob):
    with pytest.raises(ImageSetError) as caught:
        folder_files(folder, glob, folder)
    assert repr(glob) in caught.value.message


def test_a_folder_outside_the_root_is_refused_even_through_a_link(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.jpg").write_bytes(JPEG)
    (folder / "link").symlink_to(outside)
    for path in (outside, folder / "link", folder / ".." / "outside"):
        with pytest.raises(ImageSetError, match="outside DATA_ROOT"):
            folder_files(path, EVERY_FILE, folder)


def test_a_link_to_a_file_outside_is_not_followed(folder, tmp_path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(JPEG)
    (folder / "innocent.jpg").symlink_to(secret)
    assert "innocent.jpg" not in folder_files(folder, EVERY_FILE, folder).names


def test_a_missing_folder_and_one_without_images_say_so(folder, tmp_path):
    with pytest.raises(ImageSetError, match="is not a folder"):
        folder_files(folder / "nowhere", EVERY_FILE, folder)
    (folder / "empty").mkdir()
    with pytest.raises(ImageSetError, match="No image in"):
        folder_files(folder / "empty", EVERY_FILE, folder)
