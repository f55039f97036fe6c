"""What was sold, by whom, and for how much: the arithmetic of a receipt, in whole minor units.

Nothing here is text as printed (see `wording`).
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass

from examples.receipts.places import Place, Shop


@dataclass(frozen=True)
class Extra:
    """An addition or choice under a line item; a price of 0 is not printed."""

    name: str
    price: int


@dataclass(frozen=True)
class Item:
    name: str
    count: int
    unit_price: int
    discount: int
    number: str
    extras: tuple[Extra, ...]

    @property
    def price(self) -> int:
        """Of the whole line, before its discount and without its extras."""
        return self.count * self.unit_price

    @property
    def due(self) -> int:
        return self.price - self.discount + sum(extra.price for extra in self.extras)


@dataclass(frozen=True)
class Sale:
    """One sale. Rates are percentages, 0 where there is no such charge."""

    place: Place
    shop: Shop
    moment: dt.datetime
    items: tuple[Item, ...]
    discount_rate: float
    service_rate: float
    tax_rate: float
    by_card: bool
    note: int

    @property
    def subtotal(self) -> int:
        return sum(item.due for item in self.items)

    @property
    def discount(self) -> int:
        return percent(self.subtotal, self.discount_rate)

    @property
    def service(self) -> int:
        return percent(self.subtotal - self.discount, self.service_rate)

    @property
    def tax(self) -> int:
        base = self.subtotal - self.discount + self.service
        if self.place.tax_included:
            return base - round(base / (1 + self.tax_rate / 100))
        return percent(base, self.tax_rate)

    @property
    def rounding(self) -> int:
        """What rounding adds to the exact total; nothing when paid by card."""
        if self.by_card:
            return 0
        unit = self.place.rounding
        return (self._exact_total + unit // 2) // unit * unit - self._exact_total

    @property
    def total(self) -> int:
        return self._exact_total + self.rounding

    @property
    def cash(self) -> int:
        """What was handed over: the total, rounded up to whole notes."""
        return -(-self.total // self.note) * self.note

    @property
    def _exact_total(self) -> int:
        due = self.subtotal - self.discount + self.service
        return due if self.place.tax_included else due + self.tax


def percent(amount: int, rate: float) -> int:
    """`rate` percent of `amount`, halves rounded up."""
    hundredths = round(rate * 100)
    return (amount * hundredths + 5000) // 10000


def draw_sale(rng: random.Random, place: Place, shop: Shop) -> Sale:
    """Draw a sale of some of the shop's goods."""
    restaurant = bool(shop.extras)
    goods = rng.sample(shop.goods, rng.randint(2, len(shop.goods)))
    opening = dt.datetime(2025, 1, 2, 8)  # noqa: DTZ001  # a receipt prints local time
    return Sale(
        place=place,
        shop=shop,
        moment=opening + dt.timedelta(days=rng.randrange(360), minutes=rng.randrange(14 * 60)),
        items=tuple(_draw_item(rng, name, price, place, shop) for name, price in goods),
        discount_rate=rng.choice((0, 0, 0, 5, 10)),
        service_rate=rng.choice((0, *place.service_rates)) if restaurant else 0,
        tax_rate=rng.choice((0, *place.tax_rates, *place.tax_rates)),
        by_card=rng.random() < 0.4,
        note=rng.choice(place.notes),
    )


def _draw_item(rng: random.Random, name: str, price: int, place: Place, shop: Shop) -> Item:
    restaurant = bool(shop.extras)
    count = rng.choice((1, 1, 1, 2, 2, 3)) if price < place.notes[-1] else 1
    return Item(
        name=name,
        count=count,
        unit_price=price,
        discount=percent(count * price, 10) if rng.random() < 0.12 else 0,
        number="" if restaurant else str(rng.randrange(10**6, 10**7)),
        extras=(Extra(*rng.choice(shop.extras)),) if restaurant and rng.random() < 0.25 else (),
    )
