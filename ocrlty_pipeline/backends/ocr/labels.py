"""The vocabulary of receipts: what the words beside an amount say it is, in English, Indonesian and Malay.

Belongs here: words and the tolerance for words misread. Does not: which of several amounts a field takes.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache


class Kind(Enum):
    TOTAL = "total"
    SUBTOTAL = "subtotal"
    TAX = "tax"
    SERVICE = "service"
    DISCOUNT = "discount"
    ROUNDING = "rounding"
    CASH = "cash"
    CARD = "card"
    CHANGE = "change"
    COUNT = "count"  # of items, pieces, points: a number beside the totals that is no money
    OTHER = "other"  # known to be none of the above: identifiers, savings, balances


@dataclass(frozen=True, slots=True)
class Label:
    """What a label says.

    Attributes:
        strength: how surely the amount beside it is the field's, 1 (weak) to 4.
    """

    kind: Kind
    strength: int = 3


# Words worth recognizing when one letter in five is wrong. Shorter words are too close to each other.
_LONG_WORDS = """
TOTAL SUBTOTAL GRAND JUMLAH AMOUNT PAYABLE ROUNDING ROUNDED PEMBULATAN DISCOUNT DISKON POTONGAN VOUCHER SERVICE CHARGE
CHARGES LAYANAN PAJAK CHANGE CHANGES CHANGED EXCHANGE EXCHANGES KEMBALI KEMBALIAN TUNAI BAYAR TENDER TENDERED RECEIVED
PAYMENT MASTER MASTERCARD DEBIT CREDIT KREDIT KARTU QUANTITY ITEMS POINTS CASHIER INVOICE SUMMARY EXCLUDING INCLUDING
INCLUSIVE INCLUDES EXCLUSIVE ADJUSTMENT SAVING SAVINGS BALANCE TAGIHAN BELANJA ORDER TABLE MEMBER PRICE PRICES DONATION
"""
_WORDS = frozenset(_LONG_WORDS.split())

_TAX = r"(?:TAX|TAXES|GST|SST|VAT|PPN|P ?B ?[1IL]?|PAJAK|PJK|P ?REST|HST|TX)"
_CHARGE = r"(?:CHARGES?|CHRG|CHG|CHARG|CRG)"
_ROUNDING = r"(?:ROUND(?:ING|ED|OFF)?|RND|RNDG|PEMBULATAN|PENGGENAPAN|BULATAN|PELARASAN)"
_COUNTED = r"(?:QTY|QUANTITY|ITEMS?|ITEN|PCS|PIECES|POINTS?|PAX|UNITS?|GUESTS?|COVERS?|BARANG|SOLD)"
_TO_BE_PAID = r"(?:YG |YANG )?(?:HARUS |PERLU )?(?:DI)?BAYAR"

# The first entry of which a phrase stands in the label decides, so the narrow stand before the wide.
_PHRASES: tuple[tuple[Label, tuple[str, ...]], ...] = (
    (
        Label(Kind.OTHER),
        (
            rf"(?:{_TAX}|SVC|SERVICE) (?:ID|NO|REG|INV\w*|CODE|SUMMARY)",
            r"(?:CARD|APPR|APPROVAL|TRACE|REF|BILL|RECEIPT|CHECK|ORDER|TRX) (?:NO|NUM|NUMBER|ID)",
            r"(?:PREV\w*|OPENING|MEMBER|CARD|LAST|SISA) (?:BAL|BALANCE|SALDO)",
            r"INVOICE|CASHIER|KASIR|TABLE|HOTLINE|CUSTOMER",
            r"SAVED|SAVINGS?|HEMAT|SALDO|POINTS?|DEPOSIT|TIPS?|DONATION|CHANGE (?:OF|YOUR)",
        ),
    ),
    (
        Label(Kind.COUNT),
        (
            rf"(?:TOTAL|TTL|JUMLAH|JML|NO OF|NUMBER OF|NO|SUM) {_COUNTED}",
            rf"{_COUNTED} (?:COUNT|TOTAL|OUT|SOLD)",
            rf"^{_COUNTED}$",
            r"^ITEMS? INC\w*",
            r"^\d+ ITEMS?",
        ),
    ),
    (Label(Kind.TOTAL, 4), (rf"TOTAL (?:AFTER )?{_ROUNDING}", rf"{_ROUNDING} TOTAL", r"TOTAL AFTER ADJ\w*")),
    (Label(Kind.ROUNDING), (_ROUNDING,)),
    (Label(Kind.CHANGE), (r"CHANGED?|KEMBALI(?:AN)?|KEMBALIN|KEMBAL|KEMB|BAKI|CHG DUE",)),
    (Label(Kind.SERVICE), (rf"(?:SERVICE|SERV|SVC|SVR|SRV|SER|LAYANAN|SC|S C)(?: {_CHARGE})?\b(?! {_TAX})",)),
    (
        Label(Kind.TAX, 2),
        (rf"^INC\w*(?: OF)? \d* ?{_TAX}", r"TOTAL INCLUDES", rf"INCLUDES? (?:OF )?\d* ?{_TAX}", r"OF WHICH"),
    ),
    (Label(Kind.SUBTOTAL), (r"SUB ?(?:TOTALS?|TTL|TTI|TL|TOT|JUMLAH|TAL)", r"S TOTAL", r"SBTTL")),
    (
        Label(Kind.SUBTOTAL, 1),
        (
            r"TOTAL (?:\w+ )?(?:BEFORE|EXC\w*|W O|WITHOUT|NON)",
            r"TOTAL \d* ?SUPPLIES",
            r"(?:SALES|AMOUNT|AMT|GROSS|NET) ?(?:BEFORE|EXCL?\w*)",
            rf"(?:EXCL|EXCLUDING|BEFORE) {_TAX}",
            r"TAXABLE|DPP|HARGA JUAL",
        ),
    ),
    (
        Label(Kind.DISCOUNT),
        (
            r"DISC|DISCOUNTS?|DISCT|DSC|DICS|DIS[CK]|DISKON|POTONGAN|POTONG|POT",
            r"VOUCHER|PROMO|COUPON|KUPON|REBATE",
        ),
    ),
    (
        Label(Kind.TOTAL, 4),
        (
            r"GRAND|G TOTAL|NETT? (?:TOTAL|AMOUNT|AMT|PAYABLE|SALES)|TOTAL NETT?|(?:FINAL|BILL) TOTAL|TOTAL BILL",
            r"PAYABLE|TO PAY|(?:AMOUNT|AMT|TOTAL|BALANCE|BAL) DUE|^DUE",
            rf"TOTAL {_TO_BE_PAID}|JUMLAH {_TO_BE_PAID}|TAGIHAN|JUMLAH BESAR|TOTAL AKHIR",
        ),
    ),
    (
        Label(Kind.TOTAL),
        (
            r"TOTAL(?: \w+){0,2} (?:INC\w*|TERMASUK|WITH|WIT)",
            rf"INC\w* (?:OF )?\d* ?{_TAX}|TOTAL {_TAX} INC\w*|{_TAX} INC\w* TOTAL",
        ),
    ),
    (Label(Kind.TAX), (_TAX,)),
    (Label(Kind.TOTAL, 1), (r"TOTAL (?:PAID|PAYMENTS?|TENDER\w*|GROSS)",)),
    (
        Label(Kind.TOTAL),
        (
            r"TOTAL (?:SALES?|AMOUNT|AMT|BELANJA|PEMBELIAN|HARGA|PRICE|RM|RP|MYR|IDR)",
            r"^(?:TOTAL|TTL|TL|JUMLAH|JML|TOTL|NETT|JUMIAH)(?: [A-Z]?\d*)?$",
        ),
    ),
    (Label(Kind.CASH), (r"CASH|CSH|TUNAI|TENDER(?:ED)?|UANG|DIBAYAR|BAYAR|PEMBAYARAN|PAID|RECEIVED",)),
    (
        Label(Kind.CARD),
        (
            r"VISA|MASTER(?:CARD)?|AMEX|DEBIT|EDC|KREDIT|CREDIT|CARD|KARTU|JCB|NETS|PAYWAVE",
            r"BCA|BNI|BRI|MANDIRI|CIMB|FLAZZ|BRIZZI",
            r"GO ?PAY|OVO|DANA|QRIS|SHOPEE ?PAY|LINK ?AJA|TNG|TOUCH N GO|GRAB ?PAY|BOOST|DUITNOW|E ?WALLET|E ?MONEY",
        ),
    ),
    (Label(Kind.CASH, 1), ("PAYMENT",)),
    (Label(Kind.TOTAL, 2), ("TOTAL|TTL|JUMLAH",)),
)
_PATTERNS = tuple(
    (re.compile("|".join(rf"\b(?:{phrase})(?!\w)" for phrase in phrases)), label) for label, phrases in _PHRASES
)
# Opens a table of tax per rate, whose totals are not the receipt's.
_TAX_SUMMARY = re.compile(
    rf"\b{_TAX} ?(?:SUMMARY|ANALYSIS|DETAILS?|SUMM\w*)\b|\b{_TAX} (?:CODE|RATE)\b|^RATE\b.*\b{_TAX}\b"
)
_WORD_FOR_DIGITS = str.maketrans("015", "OIS")


def label_of(text: str) -> Label | None:
    """What the words of a label say; None when they are no label known here."""
    words = normalized(text)
    return next((label for pattern, label in _PATTERNS if pattern.search(words)), None)


def opens_tax_summary(text: str) -> bool:
    return _TAX_SUMMARY.search(normalized(text)) is not None


def normalized(text: str) -> str:
    """Upper-case words with one space between, misread ones put right."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})", " ", text)
    return " ".join(_word(word) for word in re.findall(r"[^\W_]+", split.upper()))


@lru_cache(maxsize=4096)
def _word(word: str) -> str:
    if any(c.isalpha() for c in word[:1] + word[-1:]) and len(word) > 3:
        word = word.translate(_WORD_FOR_DIGITS)
    if len(word) < 5 or word in _WORDS:
        return word
    near = difflib.get_close_matches(word, _WORDS, n=1, cutoff=0.8)
    return near[0] if near else word
