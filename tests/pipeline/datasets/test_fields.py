"""Ground truth in plain tables."""

import pytest

from ocrlty_pipeline.datasets.sources import read_ground_truth
from ocrlty_pipeline.errors import GroundTruthError


@pytest.fixture
def read(tmp_path):
    def read(name, content, given="auto"):
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return read_ground_truth(tmp_path / name, tmp_path, given)

    return read


def test_a_csv_row_is_a_record_whose_empty_cells_are_null(read):
    content = '\ufefffile,total,company\n1.jpg,"1,200.00",\n\n2.jpg,,"A ""B"""\n'
    assert read("gt.csv", content) == [
        {"file": "1.jpg", "total": "1,200.00", "company": None},
        {"file": "2.jpg", "total": None, "company": 'A "B"'},
    ]


def test_a_csv_column_may_name_a_place_within_the_record(read):
    content = (
        "file,menu[0].nm,menu[0].price,menu[1].nm,menu[1].price,seller.name\n1.jpg,Tea,5,Rice,7,A\n2.jpg,Tea,5,,,\n"
    )
    first, second = read("gt.csv", content)
    assert first["menu"] == [{"nm": "Tea", "price": "5"}, {"nm": "Rice", "price": "7"}]
    assert first["seller"] == {"name": "A"}
    assert second == {"file": "2.jpg", "menu": [{"nm": "Tea", "price": "5"}]}


def test_a_line_of_json_is_a_record(read):
    assert read("gt.jsonl", '{"file": "1.jpg", "total": 5}\n\n{"file": "2.jpg", "note": "a\u2028b"}\n') == [
        {"file": "1.jpg", "total": 5},
        {"file": "2.jpg", "note": "a\u2028b"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("gt.csv", "", "is empty"),
        ("gt.csv", b"file\n\xff\n", "not UTF-8"),
        ("gt.csv", "file,total,total\n", "names 'total' twice"),
        ("gt.csv", "file,total\n1.jpg\n", "Line 2 .* has 1 cells"),
        ("gt.csv", 'file,total\n1.jpg,"5\n', "cannot be read"),
        ("gt.csv", "file,menu[x].nm\n", "'menu\\[x\\].nm' is no field"),
        ("gt.csv", "file,menu,menu[0].nm\n1.jpg,a,b\n", "'menu' both"),
        ("gt.csv", "file,menu[0].nm,menu\n1.jpg,a,b\n", "'menu' both"),
        ("gt.csv", "file,menu[0],menu.nm\n1.jpg,a,b\n", "both in an array and in an object"),
        ("gt.jsonl", '{"a": 1}\n{', "Line 2: .*cannot be read as JSON"),
        ("gt.jsonl", '{"a": NaN}', "Line 1: .*NaN"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_place(read, name, content, expected):
    with pytest.raises(GroundTruthError, match=expected):
        read(name, content)


def test_a_folder_needs_its_format_and_a_data_set_its_folder(tmp_path, read):
    with pytest.raises(GroundTruthError, match="is a folder: name its format, sroie or cord"):
        read_ground_truth(tmp_path, tmp_path)
    with pytest.raises(GroundTruthError, match="cord is read from the folder"):
        read("gt.json", "{}", "cord")
    with pytest.raises(GroundTruthError, match="outside DATA_ROOT"):
        read_ground_truth(tmp_path.parent, tmp_path, "cord")
