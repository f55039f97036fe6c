"""Find who issued a receipt, and where, in the lines of its header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ocrlty_pipeline.backends.ocr import header_words as words
from ocrlty_pipeline.backends.ocr.dates import find_date

# Where a name stands when what looks like a contact or an address comes before it.
TOP_LINES = 4


def find_company(header: Sequence[str]) -> tuple[int, str | None]:
    """The issuer's name and the index of its last line (-1 without).

    A line with a legal form wins over one that names a trade, which wins over the first that may be a name at all.
    """
    row = _name_row(header)
    if row is None:
        return -1, None
    name = header[row]
    if words.ONLY_LEGAL_FORM.fullmatch(name) and row and _may_be_name(header[row - 1]):
        name = f"{header[row - 1]} {name}"
    elif row + 1 < len(header) and words.ONLY_LEGAL_FORM.fullmatch(header[row + 1]):
        row += 1
        name = f"{name} {header[row]}"
    name = words.MISREAD_SDN.sub("SDN", words.REGISTRATION.sub("", name))
    return row, name.strip(" *-_=:;,")


def _name_row(header: Sequence[str]) -> int | None:
    plausible = [row for row, text in enumerate(header) if _may_be_name(text)]
    legal = next((row for row in plausible if words.LEGAL_FORM.search(header[row])), None)
    if legal is not None:
        return legal
    # Below the first line of address or contact stands no name without a legal form.
    end = next((row for row, text in enumerate(header) if _is_below_names(text)), len(header))
    near = [row for row in plausible if row < end]
    trade = next((row for row in near if words.TRADE.search(header[row])), None)
    if trade is not None and words.ONLY_TRADE.fullmatch(header[trade]) and trade - 1 in near:
        return trade - 1
    if trade is not None:
        return trade
    top = near or [row for row in plausible if row < TOP_LINES and not words.PLACE.search(header[row])]
    return next(iter(top), None)


def _is_below_names(text: str) -> bool:
    return bool(words.CONTACT.search(text) or (words.PLACE.search(text) and not words.TRADE.search(text)))


def _may_be_name(text: str) -> bool:
    letters = sum(char.isalpha() for char in text)
    digits = sum(char.isdigit() for char in text)
    name = words.REGISTRATION.sub("", text)
    if letters < 3 or (letters < digits and not words.LEGAL_FORM.search(text)):
        return False
    return not words.NO_NAME.search(name) and not words.CONTACT.search(name)


def find_address(below_name: Sequence[str]) -> str | None:
    """The lines of address below the name, joined with one space."""
    start = next((row for row, text in enumerate(below_name) if _begins_address(text)), None)
    if start is None:
        return None
    if start and words.POSTCODE_FIRST.match(below_name[start]) and not _ends_address(below_name[start - 1]):
        start -= 1
    parts = list(_address_lines(below_name[start:]))
    while len(parts) > 1 and not words.PLACE.search(parts[-1]) and not parts[-2].rstrip().endswith((",", "&")):
        parts.pop()
    return " ".join(parts)


def _address_lines(lines: Sequence[str]) -> Iterator[str]:
    """Up to a line of another subject, or to the one that names the state after the postcode."""
    has_postcode = False
    for text in lines:
        if _ends_address(text):
            return
        if words.ONLY_REGISTRATION.fullmatch(text):
            continue
        yield text
        has_postcode = has_postcode or words.POSTCODE.search(text) is not None
        if has_postcode and words.FINAL_STATE.search(text):
            return


def _begins_address(text: str) -> bool:
    return bool(words.PLACE.search(text)) and not _ends_address(text) and not words.ONLY_REGISTRATION.fullmatch(text)


def _ends_address(text: str) -> bool:
    return bool(words.CONTACT.search(text) or words.END_OF_ADDRESS.search(text) or find_date([text]))
