"""The cells of an Excel workbook (ECMA-376, part 1, chapter 18): the rows of its first sheet that has any.

A row is a dictionary of columns, from 0, to values: text, numbers, booleans. Dates and times, which are numbers whose
style is one of dates, become ISO 8601 text. Of a formula there is the value that was stored with it. Errors such as
#N/A are `CellError`. Sheets stream; the texts that cells share are in memory, up to an eighth of `import_memory_bytes`.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from afterglow.bulk.formats.xlsx_dates import date, read_date_styles, whole
from afterglow.bulk.formats.xlsx_parts import Attributes, Parts, ignore_end, ignore_text
from afterglow.bulk.sources import Source
from afterglow.bulk.types import ImportRejected
from afterglow.settings import Settings

_MAX_COLUMNS = 16_384
_MAX_DIGITS = 400
"""Characters of a number, as long ones take long to read."""
_SHOWN_SHEETS, _SHOWN_CHARACTERS = 20, 31
_TEXT_SHARE = 8
_TEXT_OVERHEAD = 64
_ESCAPED = re.compile(r"_x(?![Dd][89A-Fa-f])([0-9A-Fa-f]{4})_")
_REFERENCE = re.compile(r"([A-Za-z]{1,3})\d+")
_WHOLE = re.compile(r"[+-]?\d{1,18}")


@dataclass(frozen=True, slots=True)
class CellError:
    """The error that a formula gave, such as #N/A."""

    code: str


Value = str | int | float | bool | CellError
Row = tuple[int, dict[int, Value]]
"""The number that Excel shows, from 1, and the cells that are not empty, by column from 0."""


@dataclass(slots=True)
class Workbook:
    """What reading a sheet needs. `others` are the sheets that have rows too, by their names."""

    parts: Parts
    sheet: str | None
    others: tuple[str, ...]
    texts: list[str]
    date_styles: frozenset[int]
    first_day: datetime
    max_row_characters: int


def open_workbook(source: Source, settings: Settings, sheet: str | None = None) -> Workbook:
    """Choose the sheet: the one with this name, else the first visible one with rows, else a hidden one.

    Raises ImportRejected.
    """
    parts = Parts(source, settings)
    main = next((target for kind, target in parts.related("").values() if kind == "officeDocument"), "xl/workbook.xml")
    relations = parts.related(main)
    sheets: list[tuple[bool, str, str]] = []
    seen: set[str] = set()
    first_day = datetime(1899, 12, 30)  # noqa: DTZ001 (Excel's dates have no zone)

    def start(name: str, attributes: Attributes) -> None:
        nonlocal first_day
        if name == "workbookPr" and attributes.get("date1904") in ("1", "true"):
            first_day = datetime(1904, 1, 1)  # noqa: DTZ001
        if name == "sheet":
            kind, target = relations.get(attributes.get("id", ""), ("", ""))
            if kind == "worksheet" and target.lower() not in seen:
                seen.add(target.lower())  # or one part would be read as often as it is listed
                sheets.append((attributes.get("state", "visible") != "visible", attributes.get("name", ""), target))

    for _ in parts.parse(main, start, ignore_end, ignore_text):
        pass
    by_kind = dict(relations.values())
    styles, texts = by_kind.get("styles"), by_kind.get("sharedStrings")
    book = Workbook(
        parts,
        None,
        (),
        [] if texts is None or texts not in parts else _read_texts(parts, texts, settings),
        frozenset() if styles is None or styles not in parts else read_date_styles(parts, styles),
        first_day,
        settings.import_max_line_bytes,
    )
    if sheet is not None and not any(_is_same(name, sheet) for _, name, _ in sheets):
        names = ", ".join(repr(name[:_SHOWN_CHARACTERS]) for _, name, _ in sheets[:_SHOWN_SHEETS])
        raise ImportRejected(f"{source.name} has no sheet {sheet!r}, only {names or 'none'}")
    sheets.sort(key=lambda item: (sheet is not None and not _is_same(item[1], sheet), item[0]))
    filled = [item for item in sheets if _has_rows(book, item[2])]
    if filled and (sheet is None or _is_same(filled[0][1], sheet)):
        book.sheet, book.others = filled[0][2], tuple(name for _, name, _ in filled[1:])
    return book


def _is_same(name: str, other: str) -> bool:
    """Whether two names are the same to Excel, which does not tell case apart."""
    return name.casefold() == other.casefold()


def read_rows(book: Workbook) -> Iterator[Row]:
    """The rows of the chosen sheet that have a value, in order. Raises ImportRejected."""
    return iter(()) if book.sheet is None else _read_sheet(book, book.sheet)


def _has_rows(book: Workbook, part: str) -> bool:
    return next(_read_sheet(book, part), None) is not None


def _read_texts(parts: Parts, part: str, settings: Settings) -> list[str]:
    texts: list[str] = []
    pieces: list[str] = []
    left, depth, is_text = settings.import_memory_bytes // _TEXT_SHARE, 0, False

    def start(name: str, attributes: Attributes) -> None:
        nonlocal depth, is_text
        del attributes
        depth += name == "rPh"  # how a text in Japanese is spoken
        is_text = name == "t" and not depth

    def end(name: str) -> None:
        nonlocal depth, is_text, left
        depth -= name == "rPh"
        is_text = False
        if name == "si":
            texts.append(_unescape("".join(pieces)))
            left -= _TEXT_OVERHEAD
            pieces.clear()

    def text(data: str) -> None:
        nonlocal left
        if is_text:
            pieces.append(data)
            left -= len(data) if data.isascii() else 4 * len(data)

    for _ in parts.parse(part, start, end, text):
        if left < 0:
            raise ImportRejected(
                f"{parts.name} has more than {settings.import_memory_bytes // _TEXT_SHARE} bytes of text: "
                f"save it as .csv instead"
            )
    return texts


@dataclass(slots=True)
class _SheetReader:
    """Collects the rows of one sheet as the parser calls back."""

    book: Workbook
    rows: list[Row] = field(default_factory=list)
    row: dict[int, Value] = field(default_factory=dict)
    number: int = 0
    column: int = -1
    kind: str = "n"
    style: int = 0
    takes_text: bool = False
    is_spoken: bool = False
    is_data: bool = False
    pieces: list[str] = field(default_factory=list)
    characters: int = 0

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "c":
            self.column = self._column(attributes.get("r"))
            self.kind, self.style = attributes.get("t", "n"), whole(attributes.get("s", "0"))
            self.pieces.clear()
        elif name in ("v", "t"):
            self.takes_text = not self.is_spoken
        elif name == "rPh":
            self.is_spoken = True
        elif name == "sheetData":
            self.is_data = True
        elif name == "row" and self.is_data:
            number = whole(attributes["r"]) if "r" in attributes else self.number + 1
            if number <= self.number:
                raise ImportRejected(f"{self.book.parts.name}: row {number} follows row {self.number}")
            self.number, self.column, self.characters, self.row = number, -1, 0, {}

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self.takes_text = False
        elif name == "rPh":
            self.is_spoken = False
        elif name == "c":
            value = self._value("".join(self.pieces))
            if value != "":
                self.row[self.column] = value
        elif name == "row" and self.is_data and self.row:
            self.rows.append((self.number, self.row))
        elif name == "sheetData":
            self.is_data = False  # what follows, such as buttons, has rows of another kind

    def text(self, data: str) -> None:
        if self.takes_text:
            self.pieces.append(data)
            self.characters += len(data)
            if self.characters > self.book.max_row_characters:
                raise ImportRejected(
                    f"{self.book.parts.name}: row {self.number} has more than {self.book.max_row_characters} characters"
                )

    def _column(self, reference: str | None) -> int:
        match = _REFERENCE.fullmatch(reference) if reference else None
        column = self.column + 1
        if match is not None:
            column = -1
            for letter in match[1].upper():
                column = 26 * (column + 1) + ord(letter) - ord("A")
        if (reference and match is None) or column >= _MAX_COLUMNS:
            raise ImportRejected(f"{self.book.parts.name}: row {self.number} has a cell {reference or column!r}")
        return column

    def _value(self, text: str) -> Value:
        match self.kind:
            case "s":
                number = whole(text or "-1")
                if text and not 0 <= number < len(self.book.texts):
                    raise ImportRejected(
                        f"{self.book.parts.name}: row {self.number} has text {text[:20]}, which is not there"
                    )
                return self.book.texts[number] if text else ""
            case "b":
                return text.strip() in ("1", "true") if text else ""
            case "e":
                return CellError(text[:20]) if text else ""
            case "n":
                return self._number(text.strip())
            case "d":
                return text
            case _:
                return _unescape(text)

    def _number(self, text: str) -> Value:
        try:
            number = int(text) if _WHOLE.fullmatch(text) else float(text[: _MAX_DIGITS + 1])
        except ValueError:
            return text
        if not math.isfinite(number) or len(text) > _MAX_DIGITS:
            return text
        if self.style in self.book.date_styles:
            return date(number, self.book.first_day)
        return int(number) if number == int(number) and abs(number) < 2**53 else number


def _read_sheet(book: Workbook, part: str) -> Iterator[Row]:
    reader = _SheetReader(book)
    for _ in book.parts.parse(part, reader.start, reader.end, reader.text):
        yield from reader.rows
        reader.rows = []


def _unescape(text: str) -> str:
    """Text with the characters that XML cannot hold, which Excel writes as _x000D_."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text
