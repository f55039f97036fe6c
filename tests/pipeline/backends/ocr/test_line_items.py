from ocrlty_pipeline.backends.ocr.line_items import line_items
from tests.pipeline.backends.ocr.pages import page

NULLS = {"nm": None, "cnt": None, "unitprice": None, "price": None, "discountprice": None, "num": None, "sub": None}
HEAD = ("Warung Kita", "21/07/2018 10:22")
FOOT = ("Subtotal|99.000", "Total|99.000", "Tunai|100.000")


def menu(*rows):
    return line_items(page(*HEAD, *rows, *FOOT))["menu"]


def item(**values):
    return NULLS | values


def test_a_name_and_a_price_on_one_line_are_an_item():
    assert menu("Nasi Uduk|25.000", "Es Teh|0") == [
        item(nm="Nasi Uduk", price="25.000"),
        item(nm="Es Teh", price="0"),
    ]


def test_a_count_before_the_name_is_kept_as_printed():
    assert menu("2 Sate Ayam|50.000", "1 x Gado Gado|30.000", "1/4 Ayam|19.000") == [
        item(nm="Sate Ayam", cnt="2", price="50.000"),
        item(nm="Gado Gado", cnt="1 x", price="30.000"),
        item(nm="1/4 Ayam", price="19.000"),
    ]


def test_a_table_gives_count_and_unit_price():
    assert menu("Item|Qty|Price|Amount", "Bakso Urat|2|18.000|36.000") == [
        item(nm="Bakso Urat", cnt="2", unitprice="18.000", price="36.000")
    ]


def test_a_count_and_unit_price_below_the_name_belong_to_it():
    assert menu("Kopi Susu", "2 x 18.000|36.000", "Roti", "1 x 12.000|12.000") == [
        item(nm="Kopi Susu", cnt="2 x", unitprice="18.000", price="36.000"),
        item(nm="Roti", cnt="1 x", unitprice="12.000", price="12.000"),
    ]


def test_an_article_number_above_the_name_belongs_to_it():
    assert menu("Item|Qty|Price|Amount", "955123456|1|14.90|14.90 S", "Sarung Tangan Getah") == [
        item(nm="Sarung Tangan Getah", cnt="1", unitprice="14.90", price="14.90", num="955123456")
    ]


def test_a_unit_price_keeps_its_mark():
    assert menu("Thai Tea|@20.000|2|40.000") == [item(nm="Thai Tea", cnt="2", unitprice="@20.000", price="40.000")]


def test_an_indented_line_without_price_is_an_addition():
    assert menu("Steak Sirloin|165.000", "   WELL DONE", "Es Krim|20.000") == [
        item(nm="Steak Sirloin", price="165.000", sub=[{"nm": "WELL DONE", "cnt": None, "price": None}]),
        item(nm="Es Krim", price="20.000"),
    ]


def test_a_name_broken_over_two_lines_is_put_together():
    assert menu("Bakpao Isi Kacang|42.000", "Merah Besar", "Teh|5.000")[0] == item(
        nm="Bakpao Isi Kacang Merah Besar", price="42.000"
    )


def test_a_discount_below_an_item_is_the_items():
    assert menu("Lemper|9.000", "   Disc 10%|-900") == [item(nm="Lemper", price="9.000", discountprice="-900")]


def test_totals_header_and_rules_are_no_items():
    assert menu("----------------", "Item|Price", "Risoles|7.000", "================") == [
        item(nm="Risoles", price="7.000")
    ]


def test_a_page_without_items_has_an_empty_menu():
    assert line_items(page()) == {"menu": []}
    assert menu() == []


def test_an_indented_line_with_a_price_is_an_addition_too():
    assert menu("Soto Ayam|30.000", "   Extra Sambal|5.000") == [
        item(nm="Soto Ayam", price="30.000", sub=[{"nm": "Extra Sambal", "cnt": None, "price": "5.000"}])
    ]


def test_a_number_at_the_end_of_a_name_is_no_count():
    assert menu("Kertas A4 500|45.000") == [item(nm="Kertas A4 500", price="45.000")]


def test_an_article_number_below_an_item_is_the_items():
    assert menu("1 Tahu Isi|8.000", "   9012345") == [item(nm="Tahu Isi", cnt="1", price="8.000", num="9012345")]


def test_a_page_of_totals_only_has_no_items():
    assert line_items(page("Sub Total|45.10", "GST 6%|2.71", "Total|47.81", "Cash|50.00"))["menu"] == []


def test_a_page_without_totals_has_items_to_its_end():
    assert [one["nm"] for one in line_items(page("Apam Balik|3.00", "Cendol|4.50"))["menu"]] == ["Apam Balik", "Cendol"]


def test_an_item_named_like_a_count_is_an_item():
    assert menu("Item A|5.000") == [item(nm="Item A", price="5.000")]
