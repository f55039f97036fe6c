"""Key files of SROIE as the competition and its copies ship them."""

import json

import pytest

from ocrlty_pipeline.datasets.sources import read_ground_truth
from ocrlty_pipeline.errors import GroundTruthError

KEY = {"company": "BOOK TA .K (TAMAN DAYA) SDN BHD", "date": "25/12/2018", "address": "NO.53 55", "total": "9.00"}


def test_key_files_are_read_and_files_of_boxes_passed_over(tmp_path):
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "X1.txt").write_text(json.dumps(KEY, indent=4))
    (tmp_path / "key" / "X2.json").write_text(json.dumps({"company": "A", "total": "1.00"}))
    (tmp_path / "X1.txt").write_text("72,25,326,25,326,64,72,64,TAN WOON YANN\n")
    records = read_ground_truth(tmp_path, tmp_path, "sroie", "image")
    assert records == [
        {"image": "key/X1", **KEY},
        {"image": "key/X2", "company": "A", "date": None, "address": None, "total": "1.00"},
    ]


def test_a_broken_key_file_is_named(tmp_path):
    (tmp_path / "X1.txt").write_text('{"company": "A"')
    with pytest.raises(GroundTruthError, match=r"^X1.txt: .*cannot be read as JSON"):
        read_ground_truth(tmp_path, tmp_path, "sroie")


def test_a_folder_without_key_files_is_refused(tmp_path):
    (tmp_path / "other.json").write_text('{"menu": []}')
    with pytest.raises(GroundTruthError, match="holds no SROIE key file"):
        read_ground_truth(tmp_path, tmp_path, "sroie")
