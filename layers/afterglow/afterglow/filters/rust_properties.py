r"""Unicode properties: `\w \d \s` and `\p{…}` as RE2 character classes.

`\w` is Rust's: Alphabetic, M, Nd, Pc and Join_Control, where Alphabetic is L, Nl, some of M and the letters in circles
and squares, which are So.
"""

import functools
import re
import unicodedata

Ranges = list[tuple[int, int]]

LAST_POINT = 0x10FFFF
ALPHABETIC_SYMBOLS: Ranges = [(0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)]
JOINERS: Ranges = [(0x200C, 0x200D)]
SPACES: Ranges = [
    (0x09, 0x0D),
    (0x20, 0x20),
    (0x85, 0x85),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
]
ASCII_DIGITS: Ranges = [(0x30, 0x39)]
ASCII_SPACES: Ranges = [(0x09, 0x0D), (0x20, 0x20)]
ASCII_WORD: Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]

CATEGORIES = {
    "letter": "L", "casedletter": "LC", "uppercaseletter": "Lu", "lowercaseletter": "Ll", "titlecaseletter": "Lt",
    "modifierletter": "Lm", "otherletter": "Lo", "mark": "M", "nonspacingmark": "Mn", "spacingmark": "Mc",
    "enclosingmark": "Me", "number": "N", "decimalnumber": "Nd", "digit": "Nd", "letternumber": "Nl",
    "othernumber": "No", "punctuation": "P", "punct": "P", "connectorpunctuation": "Pc", "dashpunctuation": "Pd",
    "openpunctuation": "Ps", "closepunctuation": "Pe", "initialpunctuation": "Pi", "finalpunctuation": "Pf",
    "otherpunctuation": "Po", "symbol": "S", "mathsymbol": "Sm", "currencysymbol": "Sc", "modifiersymbol": "Sk",
    "othersymbol": "So", "separator": "Z", "spaceseparator": "Zs", "lineseparator": "Zl", "paragraphseparator": "Zp",
    "other": "C", "control": "Cc", "cntrl": "Cc", "format": "Cf", "privateuse": "Co",
}  # fmt: skip
ABBREVIATIONS = {short.lower(): short for short in CATEGORIES.values()}


def format_ranges(ranges: Ranges) -> str:
    """Ranges as items of a class in RE2's syntax."""
    return "".join(f"\\x{{{low:x}}}" if low == high else f"\\x{{{low:x}}}-\\x{{{high:x}}}" for low, high in ranges)


WORD = f"\\p{{L}}\\p{{M}}\\p{{Nd}}\\p{{Nl}}\\p{{Pc}}{format_ranges(ALPHABETIC_SYMBOLS + JOINERS)}"
WORD_CATEGORIES = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "Pc"})


def property_items(name: str) -> str | None:
    r"""The items of a class in RE2's syntax for `\p{name}`; None for an unknown name.

    The name of a script is passed on to RE2 as written; RE2 rejects unknown ones.
    """
    property_name, separator, value = name.partition("=")
    if not separator:
        property_name, value = "", name
    normalized = re.sub(r"[\s_-]", "", value).lower()
    property_kind = re.sub(r"[\s_-]", "", property_name).lower()
    if property_kind in ("", "gc", "generalcategory"):
        category = CATEGORIES.get(normalized) or ABBREVIATIONS.get(normalized)
        if category == "LC":
            return "\\p{Lu}\\p{Ll}\\p{Lt}"
        if category is not None:
            return f"\\p{{{category}}}"
    if not property_kind:
        match normalized:
            case "any":
                return format_ranges([(0, LAST_POINT)])
            case "ascii":
                return format_ranges([(0, 0x7F)])
            case "whitespace" | "space":
                return format_ranges(SPACES)
            case _:
                pass
    if property_kind in ("", "sc", "script") and re.fullmatch(r"[A-Za-z]+([ _-][A-Za-z]+)*", value):
        return "\\p{" + "_".join(word.capitalize() for word in re.split(r"[ _-]", value)) + "}"
    return None


def perl_items(letter: str, *, unicode: bool) -> str:
    r"""The items of a class in RE2's syntax for `\d`, `\s` or `\w`."""
    match letter:
        case "d":
            return "\\p{Nd}" if unicode else format_ranges(ASCII_DIGITS)
        case "s":
            return format_ranges(SPACES if unicode else ASCII_SPACES)
        case _:
            return WORD if unicode else format_ranges(ASCII_WORD)


@functools.cache
def perl_ranges(letter: str, *, unicode: bool) -> Ranges:
    """The same as ranges of code points, for set operations on classes; from Python's Unicode tables."""
    if letter == "s":
        return SPACES if unicode else ASCII_SPACES
    if not unicode:
        return ASCII_DIGITS if letter == "d" else ASCII_WORD
    categories = {"Nd"} if letter == "d" else WORD_CATEGORIES
    points = [point for point in range(LAST_POINT + 1) if unicodedata.category(chr(point)) in categories]
    ranges = [(point, point) for point in points]
    return union(ranges, [] if letter == "d" else ALPHABETIC_SYMBOLS + JOINERS)


def union(left: Ranges, right: Ranges) -> Ranges:
    """The union: ascending ranges with a gap between any two."""
    merged: Ranges = []
    for low, high in sorted(left + right):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def complement(ranges: Ranges) -> Ranges:
    """The complement: all other code points."""
    gaps: Ranges = []
    start = 0
    for low, high in union(ranges, []):
        if low > start:
            gaps.append((start, low - 1))
        start = high + 1
    if start <= LAST_POINT:
        gaps.append((start, LAST_POINT))
    return gaps


def intersection(left: Ranges, right: Ranges) -> Ranges:
    """The intersection: code points in both."""
    return complement(union(complement(left), complement(right)))
