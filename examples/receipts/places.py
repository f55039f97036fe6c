"""The places receipts come from: shops, goods, prices, taxes, and how words, dates and amounts are written there.

Data only. All shops, addresses and numbers are invented.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shop:
    """A shop and what it sells; prices in minor units (cents; whole rupiah)."""

    company: str
    address: tuple[str, ...]
    goods: tuple[tuple[str, int], ...]
    extras: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Words:
    """Labels in one language; {rate} stands for a percentage."""

    items: tuple[str, str, str, str]
    subtotal: tuple[str, ...]
    discount: tuple[str, ...]
    service: tuple[str, ...]
    tax: tuple[str, ...]
    rounding: tuple[str, ...]
    total: tuple[str, ...]
    cash: tuple[str, ...]
    card: tuple[str, ...]
    change: tuple[str, ...]
    date: tuple[str, ...]
    count: str
    thanks: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A country's habits.

    Attributes:
        separators: pairs of thousands and decimal separator in use.
        marks: patterns of an amount with its currency mark.
        tax_rates: percentages; `tax_included` says whether prices hold the tax already.
        rounding: totals paid in cash are rounded to this many minor units.
        notes: what people hand over, in minor units: the cash is a multiple of one of them.
        dates: strftime patterns.
    """

    shops: tuple[Shop, ...]
    words: tuple[Words, ...]
    decimals: int
    separators: tuple[tuple[str, str], ...]
    marks: tuple[str, ...]
    tax_rates: tuple[float, ...]
    tax_included: bool
    service_rates: tuple[float, ...]
    rounding: int
    notes: tuple[int, ...]
    dates: tuple[str, ...]


_ENGLISH = Words(
    items=("Item", "Qty", "Price", "Amount"),
    subtotal=("Subtotal", "SUB TOTAL", "Sub-Total"),
    discount=("Discount", "DISCOUNT {rate}", "Member Discount"),
    service=("Service Charge {rate}", "SVC CHG {rate}", "Service {rate}"),
    tax=("Tax", "TAX {rate}", "Sales Tax {rate}"),
    rounding=("Rounding", "ROUNDING ADJ"),
    total=("TOTAL", "Total", "GRAND TOTAL", "Amount Due"),
    cash=("CASH", "Cash", "Cash Tendered"),
    card=("VISA", "Mastercard", "CREDIT CARD", "Card"),
    change=("CHANGE", "Change", "Change Due"),
    date=("Date:", "DATE", ""),
    count="Items sold",
    thanks=("THANK YOU", "Thank you, please come again", "Have a nice day!"),
)
_VAT = {"tax": ("VAT {rate} included", "VAT {rate} incl.", "Incl. VAT {rate}")}
_SST = {"tax": ("SST {rate}", "Service Tax {rate}", "GST {rate}")}
_ENGLISH_VAT = Words(**{**vars(_ENGLISH), **_VAT})
_ENGLISH_SST = Words(**{**vars(_ENGLISH), **_SST})
_MALAY = Words(
    items=("Barang", "Kuantiti", "Harga", "Jumlah"),
    subtotal=("Jumlah Kecil", "SUBJUMLAH"),
    discount=("Diskaun", "DISKAUN {rate}"),
    service=("Caj Perkhidmatan {rate}", "CAJ SERVIS {rate}"),
    tax=("Cukai SST {rate}", "SST {rate}"),
    rounding=("Pelarasan", "PENGGENAPAN"),
    total=("JUMLAH", "Jumlah Besar", "JUMLAH BAYARAN"),
    cash=("TUNAI", "Tunai"),
    card=("KAD KREDIT", "Kad Debit"),
    change=("BAKI", "Baki"),
    date=("Tarikh:", "TARIKH"),
    count="Bilangan barang",
    thanks=("TERIMA KASIH", "Terima kasih, sila datang lagi"),
)
_INDONESIAN = Words(
    items=("Nama", "Jml", "Harga", "Total"),
    subtotal=("Subtotal", "SUB TOTAL", "Sub-Total"),
    discount=("Diskon", "DISKON {rate}", "Potongan"),
    service=("Service {rate}", "Service Charge", "Biaya Layanan {rate}"),
    tax=("PB1 {rate}", "PPN {rate}", "Pajak {rate}", "PB1"),
    rounding=("Pembulatan", "PEMBULATAN"),
    total=("TOTAL", "Grand Total", "Total Bayar"),
    cash=("TUNAI", "Tunai", "CASH"),
    card=("KARTU DEBIT", "QRIS", "Debit"),
    change=("KEMBALI", "Kembalian", "CHANGE"),
    date=("Tanggal:", "TGL", ""),
    count="Jumlah item",
    thanks=("TERIMA KASIH", "Terima kasih atas kunjungan Anda"),
)

_DINER = Shop(
    "BLUE HERON DINER",
    ("418 Larkspur Avenue", "Portland, OR 97299"),
    (
        ("Cheeseburger", 1295),
        ("Club Sandwich", 1150),
        ("Caesar Salad", 1025),
        ("Tomato Soup", 675),
        ("French Fries", 450),
        ("Iced Tea", 325),
        ("Root Beer", 350),
        ("Apple Pie", 595),
        ("Ribeye Steak 12oz", 3195),
    ),
    (("Extra Bacon", 200), ("No Onions", 0), ("Medium Rare", 0), ("Add Cheddar", 150)),
)
_COMPUTERS = Shop(
    "Redwood Computer Supply",
    ("2207 Juniper Street, Suite 4", "Austin, TX 78799"),
    (
        ("Laptop 14in 16GB", 114900),
        ("USB-C Cable 2m", 1499),
        ("Wireless Mouse", 2995),
        ("27in Monitor", 32950),
        ("HDMI Adapter", 1895),
        ("Keyboard US", 6450),
        ("Paper A4 500", 899),
    ),
)
_PUB = Shop(
    "The Crooked Lantern",
    ("14 Millrace Lane", "Bath BA9 9ZZ"),
    (
        ("Fish & Chips", 1450),
        ("Ploughmans Lunch", 1195),
        ("Steak & Ale Pie", 1575),
        ("Pint Best Bitter", 480),
        ("Half Cider", 260),
        ("Sticky Toffee Pud", 695),
        ("Lemonade", 250),
    ),
    (("Mushy Peas", 150), ("No Gravy", 0), ("Gluten Free", 0)),
)
_GROCER = Shop(
    "ASHDOWN FOOD STORES LTD",
    ("Unit 3 Harbour Parade", "Whitby", "YO99 9XX"),
    (
        ("Wholemeal Loaf", 135),
        ("Semi Skimmed Milk 2L", 165),
        ("Cheddar 400g", 375),
        ("Free Range Eggs x6", 210),
        ("Braeburn Apples", 199),
        ("Tea Bags 80", 289),
        ("Washing Up Liquid", 120),
        ("Chicken Breast 650g", 475),
    ),
)
_KOPITIAM = Shop(
    "RESTORAN DAUN PISANG SDN BHD",
    ("No. 27, Jalan Melur 3/1", "Taman Seri Indah", "81299 Johor Bahru, Johor"),
    (
        ("Nasi Lemak Ayam", 1090),
        ("Mee Goreng Mamak", 850),
        ("Roti Canai", 180),
        ("Teh Tarik", 260),
        ("Kopi O Ais", 240),
        ("Milo Ais", 330),
        ("Char Kuey Teow", 980),
        ("Ikan Bakar", 2450),
    ),
    (("Tambah Telur", 150), ("Kurang Manis", 0), ("Pedas", 0)),
)
_HARDWARE = Shop(
    "KEDAI BESI MAJU JAYA",
    ("Lot 8, Jalan Perusahaan 5", "Kawasan Perindustrian Utama", "41099 Klang, Selangor"),
    (
        ("PVC Pipe 20mm 3m", 1250),
        ("Cement 50kg", 1990),
        ("Paint White 5L", 8850),
        ("Wood Screw 1in 100s", 690),
        ("Angle Grinder 100mm", 18900),
        ("Masking Tape 24mm", 320),
        ("Steel Door Single", 125000),
    ),
)
_WARUNG = Shop(
    "WARUNG SARI RASA",
    ("Jl. Kenanga Raya No. 15", "Kebon Jeruk, Jakarta 11599"),
    (
        ("Nasi Goreng Spesial", 38000),
        ("Mie Ayam Bakso", 32000),
        ("Sate Ayam 10 tusuk", 45000),
        ("Gado-Gado", 28000),
        ("Es Teh Manis", 8000),
        ("Es Jeruk", 15000),
        ("Ikan Gurame Bakar", 125000),
        ("Tahu Goreng", 18000),
        ("Kopi Tubruk", 12000),
    ),
    (("Extra Sambal", 5000), ("Tanpa Es", 0), ("Pedas Sedang", 0)),
)
_KITCHEN = Shop(
    "TEPI SAWAH KITCHEN & BAR",
    ("Jl. Raya Padi No. 88", "Ubud, Bali 80599"),
    (
        ("Bebek Bengil", 165000),
        ("Wagyu Burger", 185000),
        ("Iced Lemon Tea", 35000),
        ("Fusion Tea Lychee", 42000),
        ("Tenderloin Steak", 295000),
        ("Free Mineral Water", 0),
        ("Pisang Goreng Keju", 48000),
    ),
    (("Well Done", 0), ("Extra Cheese", 15000), ("Less Sugar", 0)),
)
_BISTRO = Shop(
    "BRASSERIE DE LINDE",
    ("Prinsengracht 2199", "1099 ZZ Amsterdam"),
    (
        ("Croque Monsieur", 950),
        ("Soup of the Day", 725),
        ("Bitterballen 8 st", 850),
        ("Espresso", 280),
        ("Cappuccino", 345),
        ("House Wine Red", 590),
        ("Sea Bass Fillet", 2650),
        ("Apple Tart", 575),
    ),
    (("Oat Milk", 50), ("Decaf", 0)),
)
_CYCLES = Shop(
    "Liffey Cycles & Repairs",
    ("9 Weaver's Quay", "Dublin D99 X9Y9"),
    (
        ("City Bike 28in", 134900),
        ("Inner Tube 700C", 795),
        ("Brake Pads pair", 1450),
        ("Helmet Size M", 5995),
        ("Puncture Repair", 1500),
        ("Chain 9 speed", 2450),
        ("LED Light Set", 3295),
    ),
)

_US = Place(
    shops=(_DINER, _COMPUTERS),
    words=(_ENGLISH,),
    decimals=2,
    separators=((",", "."),),
    marks=("${}", "$ {}"),
    tax_rates=(6.0, 8.25, 7.5),
    tax_included=False,
    service_rates=(18.0, 15.0),
    rounding=1,
    notes=(500, 1000, 2000, 5000),
    dates=("%m/%d/%Y", "%m/%d/%y", "%b %d, %Y"),
)
_UK = Place(
    shops=(_PUB, _GROCER),
    words=(_ENGLISH_VAT,),
    decimals=2,
    separators=((",", "."),),
    marks=("£{}",),
    tax_rates=(20.0,),
    tax_included=True,
    service_rates=(12.5, 10.0),
    rounding=1,
    notes=(500, 1000, 2000),
    dates=("%d/%m/%Y", "%d %b %Y", "%d/%m/%y"),
)
_MALAYSIA = Place(
    shops=(_KOPITIAM, _HARDWARE),
    words=(_ENGLISH_SST, _MALAY),
    decimals=2,
    separators=((",", "."),),
    marks=("RM {}", "RM{}"),
    tax_rates=(6.0, 8.0),
    tax_included=False,
    service_rates=(10.0,),
    rounding=5,
    notes=(500, 1000, 5000, 10000),
    dates=("%d/%m/%Y", "%d-%m-%Y", "%d %b %Y"),
)
_INDONESIA = Place(
    shops=(_WARUNG, _KITCHEN),
    words=(_INDONESIAN,),
    decimals=0,
    separators=((".", ","), (",", ".")),
    marks=("Rp {}", "Rp{}", "Rp. {}"),
    tax_rates=(10.0, 11.0),
    tax_included=False,
    service_rates=(5.0, 7.5),
    rounding=100,
    notes=(10000, 50000, 100000),
    dates=("%d-%m-%Y", "%d/%m/%y", "%d %b %Y"),
)
_EURO_AREA = Place(
    shops=(_BISTRO, _CYCLES),
    words=(_ENGLISH_VAT,),
    decimals=2,
    separators=((".", ","), (",", ".")),
    marks=("€{}", "€ {}", "{} €"),
    tax_rates=(9.0, 21.0, 23.0),
    tax_included=True,
    service_rates=(10.0,),
    rounding=5,
    notes=(500, 1000, 2000, 5000),
    dates=("%d-%m-%Y", "%d.%m.%Y", "%d/%m/%Y"),
)

PLACES = (_INDONESIA, _US, _MALAYSIA, _UK, _EURO_AREA)
