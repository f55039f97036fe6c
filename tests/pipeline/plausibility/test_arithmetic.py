"""Figures that must add up, printed in all the ways that receipts print them."""

import pytest

from ocrlty_pipeline.plausibility.arithmetic import arithmetic


def verdicts(document):
    """Check -> whether it holds, over all the values it was made on."""
    found = list(arithmetic(document))
    return {finding.check: all(f.problem is None for f in found if f.check == finding.check) for finding in found}


@pytest.mark.parametrize(
    "document",
    [
        {"subtotal": "1,346,000", "tax": "144,695", "service": "100,950", "total": "1,591,645"},
        {"subtotal": "Rp 75.000,-", "discount": "-15.000", "total": "60.000"},
        {"subtotal": "100.00", "discount": "15.00", "tax": "5.10", "total": "90.10"},
        {"subtotal": "48.000", "tax": "4.800", "total": "52.800"},
        {"subtotal": "10.61", "tax": "0.64", "total": "11.25"},
        {"subtotal": "10.62", "total": "10.60"},
        {"subtotal": "106.00", "tax": "6.00", "total": "106.00"},
        {"subtotal": 45500, "tax": "4,550", "total": 50050},
    ],
)
def test_a_total_that_adds_up(document):
    assert verdicts(document) == {"total_adds_up": True}


def test_a_total_that_does_not_add_up_is_told_with_its_figures():
    [finding] = arithmetic({"subtotal": "100.00", "tax": "6.00", "service": None, "total": "160.00"})
    assert finding.check == "total_adds_up"
    assert finding.problem == (
        "subtotal + tax + service - discount = total does not hold: subtotal '100.00', tax '6.00', total '160.00'."
    )
    assert finding.paths == ("subtotal", "tax", "total")


@pytest.mark.parametrize(
    "document",
    [
        {"total": "5.00"},
        {"subtotal": "5.00", "total": None},
        {"subtotal": "5.00", "total": ""},
        {"subtotal": "5.00", "total": "five"},
        {"subtotal": "5.00", "tax": "some", "total": "6.00"},
        {"subtotal": True, "total": 5},
        {"cash": "5.00", "total": "3.00"},
        {"menu": []},
        {"menu": "none"},
        {"menu": [{"price": "5"}, {"price": None}], "total": "5"},
        {"menu": [{"cnt": "2", "price": "5"}]},
    ],
)
def test_nothing_is_said_where_a_figure_is_missing_or_unreadable(document):
    assert verdicts(document) == {}


@pytest.mark.parametrize(
    ("document", "holds"),
    [
        ({"cash": "50.00", "total": "42.50", "change": "7.50"}, True),
        ({"cash": "50.00", "total": "42.52", "change": "7.50"}, True),
        ({"cash": "50", "total": "42", "change": "-8"}, True),
        ({"cash": "20.00", "card": "30.00", "total": "42.50", "change": "7.50"}, True),
        ({"cash": "50.00", "total": "42.50", "change": "8.50"}, False),
        ({"cash": "100.000", "total": "48.000", "change": "52.000"}, True),
    ],
)
def test_change(document, holds):
    assert verdicts(document) == {"change_adds_up": holds}


@pytest.mark.parametrize(
    ("document", "holds"),
    [
        ({"menu": [{"price": "75,000"}, {"price": "0"}], "subtotal": "75,000"}, True),
        ({"menu": [{"price": "75,000"}, {"price": "5,000"}], "total": "80,000"}, True),
        ({"menu": [{"price": "70", "discountprice": "-10"}], "subtotal": "60"}, True),
        ({"menu": [{"price": "70", "sub": [{"price": "5"}, {"price": None}]}], "subtotal": "75"}, True),
        ({"menu": [{"price": "70", "sub": [{"price": "5"}]}], "subtotal": "70"}, True),
        ({"menu": [{"price": "75,000"}, {"price": "5,000"}], "subtotal": "85,000"}, False),
    ],
)
def test_the_items_add_up(document, holds):
    assert verdicts(document)["items_add_up"] is holds


@pytest.mark.parametrize(
    ("item", "holds"),
    [
        ({"cnt": "2 x", "unitprice": "5.50", "price": "11.00"}, True),
        ({"cnt": "0.545 kg", "unitprice": "12.90", "price": "7.03"}, True),
        ({"cnt": "2", "unitprice": "10", "discountprice": "2", "price": "18"}, True),
        ({"cnt": "3", "unitprice": "5.50", "price": "11.00"}, False),
    ],
)
def test_a_line_is_its_count_times_its_unit_price(item, holds):
    assert verdicts({"menu": [item]})["lines_multiply"] is holds


def test_a_wrong_line_is_named_by_its_place():
    good, bad = {"cnt": "1", "unitprice": "5", "price": "5"}, {"cnt": "2", "unitprice": "5", "price": "5.5"}
    problems = [finding.problem for finding in arithmetic({"menu": [good, bad]}) if finding.problem]
    assert problems == [
        "count × unit price = price does not hold: menu[1].cnt '2', menu[1].unitprice '5', menu[1].price '5.5'."
    ]


def test_one_mark_is_the_fractions_throughout_a_document():
    assert verdicts({"subtotal": "48.000", "tax": "4.800", "total": "52.8"}) == {"total_adds_up": True}
    # 48000 and 4.8 would add up, read each in its own way.
    assert verdicts({"subtotal": "48.000", "tax": "4.800", "total": "48.004,80"}) == {"total_adds_up": False}
