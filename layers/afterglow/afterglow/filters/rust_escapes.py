"""A character reader for patterns, and the escapes of single characters."""

from afterglow.filters.re2_engine import RegexSyntaxError

CONTROLS = {"a": 0x07, "f": 0x0C, "t": 0x09, "n": 0x0A, "r": 0x0D, "v": 0x0B}
HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
LAST_POINT = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)
FIRST_NOT_ASCII = 0x80


class Reader:
    """A pattern and a position in it."""

    __slots__ = ("pattern", "position")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.position = 0

    @property
    def at_end(self) -> bool:
        """Whether the whole pattern has been read."""
        return self.position >= len(self.pattern)

    def peek(self, length: int = 1) -> str:
        """The next characters, without reading them; fewer at the end."""
        return self.pattern[self.position : self.position + length]

    def next(self) -> str:
        """Read one character; '' at the end."""
        character = self.peek()
        self.position += 1
        return character

    def skip(self, text: str) -> bool:
        """Read `text` if it comes next; returns whether it did."""
        if not self.pattern.startswith(text, self.position):
            return False
        self.position += len(text)
        return True

    def until(self, closing: str) -> str | None:
        """Read past the next `closing`; returns the text before it. None, and nothing is read, if there is none."""
        end = self.pattern.find(closing, self.position)
        if end < 0:
            return None
        text = self.pattern[self.position : end]
        self.position = end + len(closing)
        return text

    def syntax_error(self, reason: str, start: int) -> RegexSyntaxError:
        """An error that spans the characters read since `start`."""
        return RegexSyntaxError(reason, start, max(min(self.position, len(self.pattern)) - start, 1))


def escaped_point(reader: Reader, letter: str, start: int, *, unicode: bool) -> int:
    """The code point of an escape, read after its letter; the backslash is at `start`."""
    if letter in CONTROLS:
        return CONTROLS[letter]
    if letter in HEX_DIGITS and letter:
        return _hexadecimal(reader, HEX_DIGITS[letter], start, unicode=unicode)
    if letter.isdigit() and letter.isascii():
        raise reader.syntax_error("backreferences are not supported", start)
    if not letter:
        raise reader.syntax_error("incomplete escape sequence, reached end of pattern prematurely", start)
    if not letter.isascii() or letter.isalnum() or letter in "<>":
        raise reader.syntax_error("unrecognized escape sequence", start)
    return ord(letter)


def _hexadecimal(reader: Reader, digits: int, start: int, *, unicode: bool) -> int:
    if reader.skip("{"):
        text = reader.until("}")
        if text is None:
            raise reader.syntax_error("incomplete escape sequence, reached end of pattern prematurely", start)
        if not text:
            raise reader.syntax_error("hexadecimal literal empty", start)
    else:
        text = reader.peek(digits)
        reader.position += len(text)
        if len(text) < digits:
            raise reader.syntax_error("incomplete escape sequence, reached end of pattern prematurely", start)
    if not all(digit in "0123456789abcdefABCDEF" for digit in text):
        raise reader.syntax_error("invalid hexadecimal digit", start)
    point = int(text, 16)
    if point > LAST_POINT or point in SURROGATES:
        raise reader.syntax_error("hexadecimal literal is not a Unicode scalar value", start)
    if not unicode and point >= FIRST_NOT_ASCII:
        raise reader.syntax_error("pattern can match invalid UTF-8", start)
    return point


def quoted(point: int) -> str:
    """A code point in RE2's syntax, inside or outside a class."""
    character = chr(point)
    return character if character.isascii() and character.isalnum() else f"\\x{{{point:x}}}"
