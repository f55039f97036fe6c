import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from examples.make_receipts import make_receipt, make_receipts
from examples.receipts.drawing import TYPEFACES, load_typeface, typefaces_for
from examples.receipts.layout import Row, lay_out
from examples.receipts.places import PLACES
from examples.receipts.sales import draw_sale
from examples.receipts.wording import MoneyStyle, word
from ocrlty_pipeline.images import ImageLimits, check_image
from ocrlty_pipeline.tasks.registry import load_tasks

VALIDATORS = [Draft202012Validator(task.schema) for task in load_tasks()]
SHOPS = [(place, shop) for place in PLACES for shop in place.shops]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out_dir = tmp_path_factory.mktemp("receipts")
    make_receipts(out_dir, count=4, seed=7)
    return out_dir


def contents(out_dir):
    return {str(path.relative_to(out_dir)): path.read_bytes() for path in out_dir.rglob("*") if path.is_file()}


@settings(deadline=None)
@given(st.randoms(), st.sampled_from(SHOPS))
def test_the_arithmetic_holds_on_every_receipt(rng, place_and_shop):
    sale = draw_sale(rng, *place_and_shop)
    assert all(item.price == item.count * item.unit_price for item in sale.items)
    charges = sale.subtotal - sale.discount + sale.service + sale.rounding
    assert sale.total == charges + (0 if sale.place.tax_included else sale.tax) > 0
    assert abs(sale.rounding) < sale.place.rounding
    assert sale.by_card or sale.total % sale.place.rounding == 0
    assert sale.total <= sale.cash < sale.total + sale.note


@settings(deadline=None)
@given(st.randoms(), st.sampled_from(SHOPS))
def test_what_is_expected_is_what_is_printed_and_fits_the_tasks(rng, place_and_shop):
    wording = word(rng, draw_sale(rng, *place_and_shop))
    rows = lay_out(rng, wording)
    printed = " ".join(text for row in rows for text in (row.left, *row.right))
    assert all(text in printed for text in leaves({**wording.truth, "address": list(wording.address)}))
    for validator in VALIDATORS:
        answer = {name: wording.truth[name] for name in validator.schema["properties"]}
        validator.validate(json.loads(json.dumps(answer)))


def leaves(value):
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, str) or value is None:
        return [] if value is None else [value]
    return [leaf for child in value for leaf in leaves(child)]


@pytest.mark.parametrize(
    ("style", "amount", "text"),
    [
        (MoneyStyle(",", ".", 2, "${}", "all"), 123450, "$1,234.50"),
        (MoneyStyle(".", ",", 2, "{} €", "all"), 123405, "1.234,05 €"),
        (MoneyStyle(".", ",", 0, "Rp {}", "totals"), 75000, "75.000"),
        (MoneyStyle(",", ".", 2, "RM{}", "all"), -50, "-RM0.50"),
    ],
)
def test_amounts_are_written_as_the_place_does(style, amount, text):
    assert style.write(amount) == text


def test_a_mark_on_the_totals_alone_spares_the_items():
    style = MoneyStyle(".", ",", 0, "Rp {}", "totals")
    assert (style.write(500), style.write(500, of_totals=True)) == ("500", "Rp 500")


def test_no_currency_mark_is_drawn_as_an_empty_box():
    assert typefaces_for([Row("Total", ("£1.00",))]) == TYPEFACES
    for font in (load_typeface(name).regular for name in TYPEFACES):
        box = bytes(font.getmask("\uffff"))
        assert box not in {bytes(font.getmask(mark)) for mark in "£€$"}


def test_the_same_seed_gives_the_same_bytes_in_another_process(folder, tmp_path):
    command = [sys.executable, "-m", "examples.make_receipts", str(tmp_path), "--count", "4", "--seed", "7"]
    first = subprocess.run(command, check=True, capture_output=True, text=True)
    second = subprocess.run(command, check=True, capture_output=True, text=True)
    assert contents(tmp_path) == contents(folder)
    assert first.stdout.startswith("Made 4 receipts")
    assert second.stdout.startswith("Found 4 receipts")


def test_another_seed_gives_other_receipts():
    one, other = make_receipt(7, 0), make_receipt(8, 0)
    assert one.data != other.data
    assert one.truth != other.truth


def test_every_file_is_an_image_with_its_truth_and_nothing_else_lies_among_them(folder):
    truth = json.loads((folder / "ground_truth.json").read_text(encoding="utf-8"))
    assert sorted(entry["file"] for entry in truth.values()) == sorted(
        path.name for path in (folder / "images").iterdir()
    )
    for path in (folder / "images").iterdir():
        image = check_image(path.read_bytes(), ImageLimits(max_bytes=2_000_000, max_pixels=5_000_000))
        assert image.extension == path.suffix


def test_receipts_that_are_there_are_kept_and_damaged_ones_made_anew(tmp_path):
    assert make_receipts(tmp_path, count=1)
    before = contents(tmp_path)
    assert not make_receipts(tmp_path, count=1)
    (tmp_path / "images" / "receipt_00.jpg").write_bytes(b"")
    assert make_receipts(tmp_path, count=1)
    assert contents(tmp_path) == before


def test_fewer_receipts_leave_none_behind_that_has_no_truth(tmp_path):
    make_receipts(tmp_path, count=2)
    make_receipts(tmp_path, count=1)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["receipt_00.jpg"]
