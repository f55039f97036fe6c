import pytest

from ocrlty_pipeline.backends.ocr.dates import find_date
from ocrlty_pipeline.backends.ocr.receipt_header import receipt_header
from tests.pipeline.backends.ocr.pages import page

FOOT = ("Pensil 2B|1.50", "TOTAL|1.50")


def header(*rows):
    return receipt_header(page(*rows, *FOOT))


def test_company_date_address_and_total_are_found():
    assert header(
        "A01234",
        "MAJU JAYA ALAT TULIS SDN BHD",
        "(123456-X)",
        "NO.8, JALAN MELUR 3/2,",
        "TAMAN MELUR, 43000 KAJANG,",
        "SELANGOR",
        "TEL:03-11112222",
        "TAX INVOICE",
        "Date: 21/07/2017 10:22:33",
    ) == {
        "company": "MAJU JAYA ALAT TULIS SDN BHD",
        "date": "21/07/2017",
        "address": "NO.8, JALAN MELUR 3/2, TAMAN MELUR, 43000 KAJANG, SELANGOR",
        "total": "1.50",
    }


def test_what_is_not_printed_is_null():
    assert receipt_header(page()) == {"company": None, "date": None, "address": None, "total": None}


def test_a_legal_form_on_its_own_line_belongs_to_the_name_above():
    assert (
        header("HIJAU DAUN BOOKSTORES", "SDN BHD", "LOT 3, WISMA HIJAU")["company"] == "HIJAU DAUN BOOKSTORES SDN BHD"
    )


def test_a_registration_number_is_no_part_of_the_name():
    assert header("KUNING MART S/B (987654-A)", "JALAN LIMAU")["company"] == "KUNING MART S/B"


def test_greetings_and_order_numbers_are_no_names():
    assert (
        header("WELCOME", "Your order number is", "88", "Warung Bu Tini", "Jl. Kenanga 5")["company"]
        == "Warung Bu Tini"
    )


def test_a_line_that_only_names_the_trade_leaves_the_name_to_the_line_above():
    assert header("BLUE LANTERN", "BISTRO & CAFE", "12, JALAN SENJA")["company"] == "BLUE LANTERN"


def test_without_a_name_the_address_is_not_taken_for_one():
    fields = header("B2-7, JL KEMBANG SEPATU", "80100 JOHOR BAHRU", "JOHOR", "H/P:012-0000000")
    assert fields["company"] is None
    assert fields["address"] == "B2-7, JL KEMBANG SEPATU 80100 JOHOR BAHRU JOHOR"


def test_a_branch_line_after_the_state_is_no_part_of_the_address():
    fields = header("UNGU MINI MARKET", "LOT 9, JALAN KAPAS", "41000 KLANG, SELANGOR", "1299-KLANG PASAR")
    assert fields["address"] == "LOT 9, JALAN KAPAS 41000 KLANG, SELANGOR"


def test_a_receipt_without_a_total_is_settled_by_its_cash():
    assert receipt_header(page("KEDAI MERAH", "Dept 05|RM 12.00", "CASH", "|RM 12.00"))["total"] == "RM 12.00"


@pytest.mark.parametrize(
    ("line", "date"),
    [
        ("Date: 03/03/2018 10:58:51 PM", "03/03/2018"),
        ("18-03-18 09:03", "18-03-18"),
        ("14.05.2018", "14.05.2018"),
        ("2018-01-0522:55:25", "2018-01-05"),
        ("14 Mar 2018 18:40", "14 Mar 2018"),
        ("28MAR18", "28MAR18"),
        ("March 14, 2018", "March 14, 2018"),
        ("12 Agustus 2019", "12 Agustus 2019"),
        ("12/13/2016 9:52:15 AM", "12/13/2016"),
        ("9/3/2018", "9/3/2018"),
    ],
)
def test_a_date_is_kept_as_printed_without_the_time(line, date):
    assert find_date([line]) == date


@pytest.mark.parametrize("line", ["Tel 03-4021-0276", "45/13/2018", "10:36:13", "5-7, JALAN 7/1", "000750673920"])
def test_other_numbers_are_no_dates(line):
    assert find_date([line]) is None


def test_the_labelled_date_wins_over_the_first_and_over_an_expiry():
    assert find_date(["Printed 01/02/2019", "Exp 05/06/2020", "Inv Date: 31/01/2019"]) == "31/01/2019"


def test_addresses_of_other_countries_are_read_by_their_postcodes():
    assert header("DE GROENE LAMP", "Lindengracht 2100", "1099 XX Amsterdam", "No: 5")["address"] == (
        "Lindengracht 2100 1099 XX Amsterdam"
    )
    assert header("The Old Kettle", "3 Harbour Parade", "Whitby", "YO99 9XX", "No: 5")["address"] == (
        "3 Harbour Parade Whitby YO99 9XX"
    )
