"""The vocabulary of a receipt's header: what tells a company's name from its address, its numbers and greetings."""

from __future__ import annotations

import re


def _any_of(words: str, *more: str) -> re.Pattern[str]:
    """A pattern for any of the space-separated words (`_` stands for a space within one), or of further patterns."""
    whole = "|".join(re.escape(word).replace("_", r"\s+") for word in words.split())
    return re.compile("|".join([rf"\b(?:{whole})\b", *more]), re.IGNORECASE)


LEGAL_FORM = _any_of(
    "SDN BHD BERHAD ENTERPRISE ENTERPRISES LTD LIMITED INC LLC LLP GMBH PLT CORP CORPORATION PTE S/B TRADING_CO",
    r"&\s?CO(?:MPANY)?\b",
    r"^(?:PT|CV|UD)[ .]",
)
# A line of nothing else continues the name above it.
ONLY_LEGAL_FORM = re.compile(
    r"(?:SDN|BHD|S/B|ENTERPRISE|LTD|LIMITED|BERHAD|\([MS]\)|\(KL\)|CO|PTE|INC|[ ,.])+", re.IGNORECASE
)
TRADE = _any_of(
    """
    RESTAURANT RESTAURANTS RESTORAN RESTO RUMAH_MAKAN WARUNG KEDAI TOKO PASAR MINIMARKET MINI_MARKET PASARAYA
    SUPERMARKET HYPERMARKET MART MARKET SHOP STORE STORES BOOKSTORE BOOKSTORES HARDWARE PHARMACY FARMASI APOTEK
    CLINIC KLINIK BAKERY BAKERIES CAFE COFFEE KOPI KOPITIAM BISTRO KITCHEN DAPUR FOOD FOODS TRADING PERNIAGAAN
    SYARIKAT HOTEL STATIONERY STATIONERS MOTOR AUTO BOUTIQUE SALON HOUSE DELI GRILL BAR TEA CUISINE SEAFOOD
    CONFECTIONERY CATERING CENTRE CENTER COMPANY INDUSTRIES SERVICES GALLERY ELECTRICAL TRADERS STEAMBOAT BURGER
    PIZZA CHICKEN DINER NOODLE NOODLES GROCER GROCERY BOOKS SWALAYAN
    """
)
# A line of nothing but these says what kind of place it is, below its name.
ONLY_TRADE = re.compile(rf"(?:{TRADE.pattern}|AND|THE|[&,. ])+", re.IGNORECASE)
NO_NAME = _any_of(
    """
    INVOICE RECEIPT RESIT STRUK NOTA WELCOME SELAMAT THANK TERIMA_KASIH TQ COPY REPRINT DUPLICATE ORDER NUMBER
    WWW HTTP HTTPS DATE TABLE MEJA CASHIER KASIR BILL FOR WITH CHECK GUEST OPEN CLOSED ORIGINAL SALINAN
    """,
    r"\.COM\b|[@#]",
)
CONTACT = _any_of(
    """
    TEL TE1 TELEPHONE TELEFON TELP TLP PHONE FAX H/P HP MOBILE CONTACT HOTLINE WHATSAPP WA EMAIL E-MAIL WEBSITE
    WWW ROC BRN GST SST NPWP COMPANY_NO TAX_REG TAX_ID TAXID LICENSE LICENCE CALL CARELINE
    """,
    r"\b(?:BRN|GST|SST)\w*\s?(?:ID|NO)\b",
    r"\bCO\.?\s?(?:REG\.?\s?)?NO\b|\bREG(?:ISTRATION)?\.?\s?NO\b|@|\.COM\b",
    r"^\W*(?:\+\d{1,3}[- ]?|0)\d{1,3}\)?[- ]\d{3,4}[- ]?\d{3,}",
)
END_OF_ADDRESS = _any_of(
    """
    TAX_INVOICE INVOICE RECEIPT CASHIER KASIR DATE TABLE MEJA BILL CASH QTY ITEM ORDER ORD INV CHK CHECK POS
    SIMPLIFIED TRANS DOC STRUK MEMBER SALESPERSON SALES_PERSON OPEN MON GUEST PAX STAFF SERVER DESCRIPTION
    AMOUNT TIME NOTA
    """,
    r"^\W*NO\.?\s*[:：]\s*\d+\s*$",
)
STATE = _any_of(
    """
    SELANGOR JOHOR KUALA_LUMPUR KL PENANG PERAK MELAKA MALACCA NEGERI_SEMBILAN SEMBILAN PAHANG KEDAH KELANTAN
    TERENGGANU PERLIS SABAH SARAWAK PUTRAJAYA JAKARTA BANDUNG SURABAYA BALI TANGERANG BEKASI BOGOR DEPOK
    YOGYAKARTA SEMARANG SINGAPORE MALAYSIA INDONESIA
    """
)
# Malaysian and Indonesian, Singaporean, British, Irish and Dutch.
_POSTCODES = (
    r"(?<![A-Za-z\d])\d{2}\s?\d{3}(?!\d)",
    r"(?<!\d)\d{6}(?!\d)",
    r"\b[A-Z]{1,2}[\dO]{1,3}[A-Z]? \d[A-Z]{2}\b",
    r"\b[A-Z]\d[\dW] ?[A-Z\d]{4}\b",
    r"\b\d{4} ?[A-Z]{2}\b",
)
POSTCODE = re.compile("|".join(_POSTCODES))
POSTCODE_FIRST = re.compile(rf"(?:{'|'.join(_POSTCODES)})\s*[^\W\d]")
PLACE = _any_of(
    """
    JALAN JLN JL LORONG LRG LEBUH LEBUHRAYA PERSIARAN LOT UNIT LEVEL BLOCK BLOK BLK TINGKAT LT LANTAI GF FLOOR
    FLR TAMAN TMN KAMPUNG KG BANDAR SEKSYEN SECTION PLAZA MALL WISMA MENARA KOMPLEKS COMPLEX RUKO RT RW KEL KEC
    STREET ST ROAD RD AVENUE AVE BLVD LANE DRIVE CLOSE COURT SQUARE QUAY PARADE TERRACE CRESCENT
    HIGHWAY BATU SHAH_ALAM PETALING SUBANG DAMANSARA KLANG CHERAS KEPONG
    SETAPAK PUCHONG BAHRU JAYA PJ SHOPPING BANGUNAN GEDUNG
    """,
    r"\bNO[ .:]{0,2}(?:[A-Z]-|\d)",
    r"^[A-Z]?\d{1,4}[A-Z]?[-,/]",
    r"(?<![A-Za-z\d])\d{5}(?!\d)",
    POSTCODE.pattern,
    STATE.pattern,
)
# At the end of a line, the last word of an address.
FINAL_STATE = re.compile(rf"(?:{STATE.pattern})\W*$", re.IGNORECASE)
# `SDN` is often misread in its middle letter.
MISREAD_SDN = re.compile(r"\b[S5][A-Z0-9]{1,2}N?(?=\.? BHD\b)", re.IGNORECASE)
# A company's registration number at the end of its name, or alone on a line: (139386 X), 002043319-W, (1125830-V).
REGISTRATION = re.compile(
    r"\s*(?:\((?:CO\.?|NO\.?|REG\.?|[:. ])*[A-Z]{0,3}\d{4,}[ -]*[A-Z]{0,2}\)?|\b[A-Z]{0,2}\d{5,}[ -]*[A-Z]?)\W*$",
    re.IGNORECASE,
)
ONLY_REGISTRATION = re.compile(r"\W*[A-Z]{0,3}(?:\d{6,}[ -]*[A-Z]{0,2}|\d{4,5} ?- ?[A-Z])\W*", re.IGNORECASE)
