"""Dates and times of Excel workbooks: numbers of days, recognised by the styles of their cells."""

import re
from datetime import datetime, timedelta

from afterglow.bulk.formats.xlsx_parts import Attributes, Parts, ignore_text

_MAX_CODE = 255
"""Characters of a style's format, as long ones take long to read."""
_DATES = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
"""The numbers of Excel's own formats of dates and times."""
_NO_CODE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]|General', re.IGNORECASE)
_DATE_CODE = re.compile(r"[dmyhs]", re.IGNORECASE)
_DAY = timedelta(days=1)


def read_date_styles(parts: Parts, part: str) -> frozenset[int]:
    """The numbers of the styles by which a number is a date or a time."""
    dates, styles, is_cell_style = set(_DATES), set[int](), False
    count = 0

    def start(name: str, attributes: Attributes) -> None:
        nonlocal is_cell_style, count
        number = whole(attributes.get("numFmtId", "0"))
        if name == "numFmt":
            first = _NO_CODE.sub("", attributes.get("formatCode", "")[:_MAX_CODE].split(";")[0])
            (dates.add if _DATE_CODE.search(first) else dates.discard)(number)
        is_cell_style = is_cell_style or name == "cellXfs"
        if name == "xf" and is_cell_style:
            if number in dates:
                styles.add(count)
            count += 1

    def end(name: str) -> None:
        nonlocal is_cell_style
        is_cell_style = is_cell_style and name != "cellXfs"

    for _ in parts.parse(part, start, end, ignore_text):
        pass
    return frozenset(styles)


def date(days: float, first_day: datetime) -> str | float:
    """The text of a date, of a time of the day (less than a day), or both; the number if it is neither."""
    if first_day.year < 1900 and 1 <= days < 60:
        days += 1  # Excel has a 29 February 1900
    try:
        moment = first_day + timedelta(milliseconds=round(days * (_DAY / timedelta(milliseconds=1))))
    except OverflowError:
        return days
    if days < 0:
        return days
    if days < 1:
        return moment.time().isoformat()
    return moment.date().isoformat() if moment.time() == datetime.min.time() else moment.isoformat()


def whole(text: str) -> int:
    """The whole number of a text, -1 if it is none."""
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 12 else -1
