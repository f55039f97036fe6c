import pytest

from ocrlty_pipeline.backends.ocr.labels import Kind, label_of, opens_tax_summary


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Grand Total", Kind.TOTAL),
        ("TOTAL :", Kind.TOTAL),
        ("T0TAL RM", Kind.TOTAL),
        ("Nett Total", Kind.TOTAL),
        ("Jumlah", Kind.TOTAL),
        ("Total Bayar", Kind.TOTAL),
        ("Amt Due", Kind.TOTAL),
        ("Total Sales (Inclusive of GST)", Kind.TOTAL),
        ("Total Rounded", Kind.TOTAL),
        ("Total Belanja", Kind.TOTAL),
        ("SUB TTL", Kind.SUBTOTAL),
        ("Sub-Total", Kind.SUBTOTAL),
        ("SubTotal Incl GST", Kind.SUBTOTAL),
        ("Total (Excluding GST)", Kind.SUBTOTAL),
        ("PB1 10%", Kind.TAX),
        ("P.B.1", Kind.TAX),
        ("PPN", Kind.TAX),
        ("Total GST", Kind.TAX),
        ("TAX TOTAL", Kind.TAX),
        ("TOTAL INCLUDES 6% GST", Kind.TAX),
        ("Pajak Resto", Kind.TAX),
        ("SVC CHRG", Kind.SERVICE),
        ("ervice Chg 10.00%", Kind.SERVICE),
        ("Biaya Layanan", Kind.SERVICE),
        ("Spec.Disc", Kind.DISCOUNT),
        ("Potongan", Kind.DISCOUNT),
        ("Voucher", Kind.DISCOUNT),
        ("Rounding Adjustment", Kind.ROUNDING),
        ("Pembulatan", Kind.ROUNDING),
        ("TUNAI", Kind.CASH),
        ("Cash Tendered", Kind.CASH),
        ("Kembalian", Kind.CHANGE),
        ("Cash CHANGE", Kind.CHANGE),
        ("Chanige", Kind.CHANGE),
        ("Baki", Kind.CHANGE),
        ("Visa", Kind.CARD),
        ("Kartu Debit BCA", Kind.CARD),
        ("TOTAL QTY", Kind.COUNT),
        ("Jumlah Item", Kind.COUNT),
        ("GST Reg No", Kind.OTHER),
        ("Cashier", Kind.OTHER),
        ("You saved", Kind.OTHER),
    ],
)
def test_the_words_of_three_languages_are_known_also_when_misread(text, kind):
    label = label_of(text)
    assert label is not None
    assert label.kind is kind


@pytest.mark.parametrize("text", ["Nasi Goreng", "Thank you", "Chicken Burger", ""])
def test_other_words_are_no_label(text):
    assert label_of(text) is None


def test_a_grand_total_is_surer_than_a_total_and_a_total_than_a_total_paid():
    strengths = [label_of(text).strength for text in ("Grand Total", "Total", "Total Paid")]
    assert strengths == sorted(strengths, reverse=True)
    assert len(set(strengths)) == 3


@pytest.mark.parametrize("text", ["GST Summary Amount(RM) Tax(RM)", "GSTSummary", "Tax Code % Amt", "Tax Summary"])
def test_the_head_of_a_tax_table_is_known(text):
    assert opens_tax_summary(text)


def test_a_tax_line_opens_no_tax_table():
    assert not opens_tax_summary("GST 6%")
