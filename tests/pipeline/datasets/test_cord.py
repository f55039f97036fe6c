"""CORD's gt_parse, in both of the forms in which it is shipped."""

import json

import pytest

from ocrlty_pipeline.datasets.sources import read_ground_truth
from ocrlty_pipeline.errors import GroundTruthError

PARSE = {
    "menu": [
        {"nm": "Nasi Campur", "cnt": "1 x", "price": "75,000"},
        {"nm": ["Ice", "Tea"], "cnt": "2", "price": "20,000", "sub": {"nm": "Less sugar"}},
    ],
    "sub_total": {"subtotal_price": "95,000", "tax_price": "9,500", "etc": "0"},
    "total": {"total_price": "104,500", "emoneyprice": "104,500", "menuqty_cnt": "3"},
}
FIELDS = {
    "total": "104,500",
    "subtotal": "95,000",
    "tax": "9,500",
    "service": None,
    "discount": None,
    "cash": None,
    "card": "104,500",
    "change": None,
}
NOTHING = {"unitprice": None, "discountprice": None, "num": None}
MENU = [
    {"nm": "Nasi Campur", "cnt": "1 x", "price": "75,000", **NOTHING, "sub": None},
    {
        "nm": "Ice Tea",
        "cnt": "2",
        "price": "20,000",
        **NOTHING,
        "sub": [{"nm": "Less sugar", "cnt": None, "price": None}],
    },
]


def test_a_json_file_an_image_becomes_the_fields_of_the_built_in_tasks(tmp_path):
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "receipt_00000.json").write_text(json.dumps({"gt_parse": PARSE, "meta": {}}))
    assert read_ground_truth(tmp_path, tmp_path, "cord") == [{"file": "json/receipt_00000", **FIELDS, "menu": MENU}]


def test_metadata_lines_name_images_beside_them(tmp_path):
    (tmp_path / "train").mkdir()
    line = {"file_name": "r0.png", "ground_truth": json.dumps({"gt_parse": PARSE})}
    (tmp_path / "train" / "metadata.jsonl").write_text(json.dumps(line) + "\n\n")
    assert read_ground_truth(tmp_path, tmp_path, "cord") == [{"file": "train/r0.png", **FIELDS, "menu": MENU}]


def test_a_group_of_one_is_an_object_and_of_several_an_array(tmp_path):
    parse = {"menu": {"nm": "Tea"}, "total": [{"total_price": "5"}, {"total_price": "7"}, {"cashprice": "10"}]}
    (tmp_path / "r.json").write_text(json.dumps({"gt_parse": parse}))
    [record] = read_ground_truth(tmp_path, tmp_path, "cord")
    assert (record["total"], record["cash"], [item["nm"] for item in record["menu"]]) == ("7", "10", ["Tea"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"gt_parse": []}', "r.json: gt_parse must be an object"),
        ('{"gt_parse": {"menu": {"nm": {"a": 1}}}}', "r.json: .*nm must be a text|r: nm must be a text"),
        ('{"valid_line": []}', "holds nothing with a gt_parse"),
        ("{", "r.json: .*cannot be read as JSON"),
    ],
)
def test_what_is_no_gt_parse_is_refused_by_name(tmp_path, content, expected):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(GroundTruthError, match=expected):
        read_ground_truth(tmp_path, tmp_path, "cord")


def test_a_line_without_ground_truth_is_named(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "r0.png"}\n')
    with pytest.raises(GroundTruthError, match=r"metadata\.jsonl, line 1 must have"):
        read_ground_truth(tmp_path, tmp_path, "cord")
