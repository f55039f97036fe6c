from ocrlty_pipeline.backends.ocr.receipt_fields import receipt_fields
from tests.pipeline.backends.ocr.pages import page

ALL = ("total", "subtotal", "tax", "service", "discount", "cash", "card", "change")


def printed(*rows):
    """The fields that a page with these rows has, without the null ones."""
    fields = receipt_fields(page(*rows))
    assert tuple(fields) == ALL
    return {name: value for name, value in fields.items() if value is not None}


def test_every_field_of_a_restaurant_bill_is_found():
    assert printed(
        "Soto Betawi|35.000",
        "Es Jeruk|15.000",
        "Subtotal|50.000",
        "Diskon|-5.000",
        "Service 5%|2.250",
        "PB1 10%|4.725",
        "Grand Total|Rp 51.975",
        "Tunai|Rp 60.000",
        "Kembali|Rp 8.025",
    ) == {
        "subtotal": "50.000",
        "discount": "-5.000",
        "service": "2.250",
        "tax": "4.725",
        "total": "Rp 51.975",
        "cash": "Rp 60.000",
        "change": "Rp 8.025",
    }


def test_what_is_not_printed_is_null():
    assert printed("Roti Bakar|12.000", "TOTAL|12.000") == {"total": "12.000"}


def test_a_page_without_text_has_only_nulls():
    assert printed() == {}


def test_the_total_is_the_rounded_amount():
    fields = printed(
        "Pen|2.98", "Total Sales (Incl GST)|2.98", "Rounding Adj|0.02", "Net Total|3.00", "CASH|5.00", "CHANGE|2.00"
    )
    assert fields["total"] == "3.00"


def test_numbers_of_items_and_tables_of_tax_are_no_totals():
    fields = printed(
        "Kuih Lapis|4.00",
        "Total Qty|2",
        "Total|4.24",
        "Cash|5.00",
        "Change|0.76",
        "GST Summary|Amount(RM)|Tax(RM)",
        "SR 6%|4.00|0.24",
        "Total|4.00|0.24",
    )
    assert fields == {"total": "4.24", "cash": "5.00", "change": "0.76"}


def test_payment_decides_between_totals_of_equal_label():
    assert printed("Kopi|9.00", "Total|9.00", "GST|0.54", "Total|9.54", "Cash|10.00", "Change|0.46")["total"] == "9.54"


def test_a_first_total_before_the_charges_is_the_subtotal():
    fields = printed("Sup Ayam|20.00", "Total|20.00", "Service Chg 10%|2.00", "Grand Total|22.00")
    assert (fields["subtotal"], fields["total"]) == ("20.00", "22.00")


def test_of_cash_due_and_cash_received_the_received_is_the_cash():
    fields = printed("Mee Rebus|7.10", "TOTAL|7.10", "Cash|7.10", "Cash Received|10.00", "Change|2.90")
    assert fields["cash"] == "10.00"


def test_an_items_discount_is_not_the_receipts():
    assert "discount" not in printed("Vitamin C|30.00", "DISC|-3.00|27.00", "TOTAL|27.00", "VISA|27.00")


def test_a_card_payment_is_read():
    assert printed("Buku|45.000", "Total|45.000", "Debit BCA|45.000") == {"total": "45.000", "card": "45.000"}


def test_a_label_alone_takes_the_amount_of_the_next_line():
    assert printed("Teh|2.50", "TOTAL", "|RM 2.50")["total"] == "RM 2.50"


def test_two_labels_on_one_line_keep_their_own_amounts():
    assert printed("Sabun|6.50", "Item 1  SubTotal|6.50", "Qty 2  Disc|0.50", "Total|6.00")["discount"] == "0.50"


def test_a_total_whose_point_was_misread_is_restored():
    assert printed("Beras|19.80", "NET TOTAL|19-80", "CASH|20.00", "CHANGE|0.20")["total"] == "19.80"


def test_an_unlabelled_amount_is_the_total_only_when_the_payment_proves_it():
    paid = ("Tisu|8.41", "Total Sales|8.41", "|8.40", "Cash|10.00", "Change|1.60")
    assert printed(*paid)["total"] == "8.40"
    assert printed(*paid[:3])["total"] == "8.41"


def test_a_tax_included_in_the_total_is_no_total():
    assert printed("Sandwich|6.00", "TOTAL|6.00", "CASH|10.00", "Change|4.00", "Incl. VAT 9%|0.50")["tax"] == "0.50"
