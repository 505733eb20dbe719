r"""Character classes: Rust's `[…]` in RE2's syntax.

A class in RE2 is a union of characters, ranges and properties, or the negation of one. Rust also has nested classes,
intersection (`&&`), difference (`--`) and symmetric difference (`~~`); these are computed here on ranges of code
points. Not supported, and rejected: set operations on a `\p{…}` or in a case-insensitive class.
"""

from dataclasses import dataclass, field, replace

from afterglow.filters.re2_engine import RegexSyntaxError, compile_re2
from afterglow.filters.rust_escapes import Reader, escaped_point
from afterglow.filters.rust_properties import (
    Ranges,
    complement,
    format_ranges,
    intersection,
    perl_items,
    perl_ranges,
    property_items,
    union,
)
from afterglow.filters.word_boundaries import UNKNOWN, Edges, of_ranges

MAX_NESTING = 50
POSIX: dict[str, Ranges] = {
    "alnum": [(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)],
    "alpha": [(0x41, 0x5A), (0x61, 0x7A)],
    "ascii": [(0x00, 0x7F)],
    "blank": [(0x09, 0x09), (0x20, 0x20)],
    "cntrl": [(0x00, 0x1F), (0x7F, 0x7F)],
    "digit": [(0x30, 0x39)],
    "graph": [(0x21, 0x7E)],
    "lower": [(0x61, 0x7A)],
    "print": [(0x20, 0x7E)],
    "punct": [(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)],
    "space": [(0x09, 0x0D), (0x20, 0x20)],
    "upper": [(0x41, 0x5A)],
    "word": [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
    "xdigit": [(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
}
OPERATORS = ("&&", "--", "~~")
NOTHING = "[^\\x{0}-\\x{10ffff}]"


@dataclass(slots=True)
class _Set:
    """A union of ranges, of perl classes by letter, and of properties; perhaps negated."""

    ranges: Ranges = field(default_factory=list)
    perl: list[str] = field(default_factory=list)
    properties: list[str] = field(default_factory=list)
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Modes:
    """The flags that affect classes."""

    unicode: bool
    extended: bool
    insensitive: bool

    def with_flag(self, flag: str, *, on: bool) -> "Modes":
        """These flags after `(?flag)` or `(?-flag)`; other flags do not affect classes."""
        match flag:
            case "i":
                return replace(self, insensitive=on)
            case "u":
                return replace(self, unicode=on)
            case "x":
                return replace(self, extended=on)
            case _:
                return self


def translate(reader: Reader, modes: Modes) -> tuple[str, Edges]:
    """Read a class after its opening bracket, to its end; the class in RE2's syntax, and its edges."""
    char_class = _read(reader, modes, MAX_NESTING)
    items = _items(char_class, modes)
    if not items:
        return "[\\x{0}-\\x{10ffff}]" if char_class.negated else NOTHING, UNKNOWN
    is_certain = not char_class.negated and not char_class.properties and "s" not in char_class.perl
    edges = of_ranges(char_class.ranges) if is_certain else UNKNOWN
    return f"[{'^' if char_class.negated else ''}{items}]", edges


def perl_class(letter: str, modes: Modes) -> str:
    r"""`\d \s \w` or its negation, outside a class."""
    return f"[{'^' if letter.isupper() else ''}{perl_items(letter.lower(), unicode=modes.unicode)}]"


def property_class(reader: Reader, letter: str, start: int) -> str:
    r"""`\p…` or `\P…`, after its letter, outside a class."""
    items, negated = _property(reader, letter, start)
    return f"[{'^' if negated else ''}{items}]"


def _read(reader: Reader, modes: Modes, depth: int) -> _Set:
    start = reader.position - 1
    if not depth:
        raise reader.syntax_error("exceeded the maximum number of nested parentheses/brackets", start)
    negated = reader.skip("^")
    current = _Set()
    if reader.skip("]"):
        current.ranges.append((ord("]"), ord("]")))
    total: _Set | None = None
    operator = ""
    while True:
        if reader.at_end:
            raise RegexSyntaxError("unclosed character class", start, 1)
        if modes.extended and _skip_space(reader):
            continue
        if reader.skip("]"):
            break
        if reader.peek(2) in OPERATORS:
            total = _combine(total, operator, current, modes)
            operator = reader.peek(2)
            reader.position += 2
            current = _Set()
            continue
        _read_item(reader, modes, current, depth)
    result = _combine(total, operator, current, modes)
    if not negated:
        return result
    if result.negated:
        return _Set(result.ranges, result.perl, result.properties)
    return _Set(result.ranges, result.perl, result.properties, negated=True)


def _read_item(reader: Reader, modes: Modes, into: _Set, depth: int) -> None:
    start = reader.position
    character = reader.next()
    if character == "[":
        if reader.skip(":") and _read_posix(reader, into):
            return
        reader.position = start + 1
        nested = _read(reader, modes, depth - 1)
        if nested.negated:
            _refuse_folding(modes)
            nested = _Set(_as_ranges(nested, modes))
        into.ranges += nested.ranges
        into.perl += nested.perl
        into.properties += nested.properties
        return
    if character == "\\" and reader.peek() in tuple("dDsSwWpP"):
        letter = reader.next()
        if letter in "dsw":
            into.perl.append(letter)
        elif letter == "D" and modes.unicode:
            into.properties.append("\\P{Nd}")
        elif letter in "DSW":
            into.ranges += complement(perl_ranges(letter.lower(), unicode=modes.unicode))
        else:
            items, negated = _property(reader, letter, start)
            if negated and items.count("\\p") == 1 and items.startswith("\\p"):
                items = "\\P" + items[2:]
            elif negated:
                raise reader.syntax_error("a negated property of this kind is not supported within a class", start)
            into.properties.append(items)
        return
    low = _point(reader, modes, character, start)
    high = low
    if reader.peek() == "-" and reader.peek(2) not in ("--", "-]"):
        reader.position += 1
        second = reader.position
        following = reader.next()
        if not following:
            raise RegexSyntaxError("unclosed character class", start, 1)
        if following == "\\" and reader.peek() in tuple("dDsSwWpPbB"):
            reader.position += 1
            raise reader.syntax_error("invalid range boundary, must be a literal", second)
        high = _point(reader, modes, following, second)
        if high < low:
            raise reader.syntax_error("invalid character class range, the start must be <= the end", start)
    into.ranges.append((low, high))


def _point(reader: Reader, modes: Modes, character: str, start: int) -> int:
    if character != "\\":
        return ord(character)
    letter = reader.next()
    if letter == "b":
        raise reader.syntax_error("invalid escape sequence found in character class", start)
    return escaped_point(reader, letter, start, unicode=modes.unicode)


def _read_posix(reader: Reader, into: _Set) -> bool:
    negated = reader.skip("^")
    name = reader.until(":]")
    if name not in POSIX:
        return False
    into.ranges += complement(POSIX[name]) if negated else POSIX[name]
    return True


def _property(reader: Reader, letter: str, start: int) -> tuple[str, bool]:
    """The items of a property, and whether it is negated."""
    negated = letter == "P"
    name = reader.until("}") if reader.skip("{") else reader.next()
    if not name:
        raise reader.syntax_error("incomplete escape sequence, reached end of pattern prematurely", start)
    if name.startswith("^"):
        negated = not negated
        name = name[1:]
    items = property_items(name)
    if items is None or not _is_known(items):
        raise reader.syntax_error("Unicode property not found", start)
    return items, negated


def _is_known(items: str) -> bool:
    try:
        compile_re2(f"[{items}]")
    except RegexSyntaxError:
        return False
    return True


def _combine(total: _Set | None, operator: str, operand: _Set, modes: Modes) -> _Set:
    if total is None:
        return operand
    _refuse_folding(modes)
    left, right = _as_ranges(total, modes), _as_ranges(operand, modes)
    match operator:
        case "&&":
            return _Set(intersection(left, right))
        case "--":
            return _Set(intersection(left, complement(right)))
        case _:
            return _Set(union(intersection(left, complement(right)), intersection(right, complement(left))))


def _refuse_folding(modes: Modes) -> None:
    if modes.insensitive:
        raise RegexSyntaxError("set operations in a case-insensitive class are not supported")


def _as_ranges(char_class: _Set, modes: Modes) -> Ranges:
    if char_class.properties:
        raise RegexSyntaxError("Unicode properties in set operations of a class are not supported")
    ranges = char_class.ranges
    for letter in char_class.perl:
        ranges = union(ranges, perl_ranges(letter, unicode=modes.unicode))
    return complement(ranges) if char_class.negated else union(ranges, [])


def _items(char_class: _Set, modes: Modes) -> str:
    perl = "".join(perl_items(letter, unicode=modes.unicode) for letter in char_class.perl)
    return format_ranges(union(char_class.ranges, [])) + perl + "".join(char_class.properties)


def _skip_space(reader: Reader) -> bool:
    if reader.peek().isspace():
        reader.position += 1
        return True
    if reader.peek() == "#":
        if reader.until("\n") is None:
            reader.position = len(reader.pattern)
        return True
    return False
