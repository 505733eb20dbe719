r"""Translate Rust's regular expression syntax to RE2's.

Both have the same semantics. They differ in the coverage of `\d \w \s \b` (Unicode in Rust), the escapes, the flags
`x u`, set operations in character classes (see `rust_classes`), repetitions of repetitions, and in what they reject.
Groups lose their names, because filters only need to know whether there is a match.
"""

import re

from afterglow.filters import boundary_markers, rust_classes
from afterglow.filters.pattern_builder import Form, PatternBuilder, Translation
from afterglow.filters.re2_engine import RegexSyntaxError
from afterglow.filters.rust_classes import Modes
from afterglow.filters.rust_escapes import Reader, escaped_point
from afterglow.filters.word_boundaries import IN_WORD

MAX_NESTING = 250
MAX_REPETITIONS = 1000
GROUP_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]]*")
COUNTED = re.compile(r"(\d+)(,(\d*))?")
KNOWN_FLAGS = "imsUux"
LOOK_AROUND = ("?=", "?!", "?<=", "?<!")


def translate(pattern: str, form: Form = Form.PLAIN) -> Translation:
    """The pattern in RE2's syntax. Raises RegexSyntaxError if it is invalid."""
    return _Translator(pattern, form).run()


class _Translator:
    """One pass over a pattern."""

    def __init__(self, pattern: str, form: Form) -> None:
        self.reader = Reader(pattern)
        self.builder = PatternBuilder(form, Modes(unicode=True, extended=False, insensitive=False))

    def run(self) -> Translation:
        """Read the pattern to its end."""
        while not self.reader.at_end:
            self._read_one()
        if len(self.builder.groups) > 1:
            raise RegexSyntaxError("unclosed group", self.builder.group.start, 1)
        return self.builder.finish()

    def _read_one(self) -> None:
        start = self.reader.position
        character = self.reader.next()
        modes = self.builder.group.modes
        if modes.extended and character.isspace():
            return
        if modes.extended and character == "#":
            if self.reader.until("\n") is None:
                self.reader.position = len(self.reader.pattern)
            return
        match character:
            case "(":
                self._open(start)
            case ")":
                self._close(start)
            case "|":
                self.builder.add_alternative()
            case "*" | "+" | "?" | "{":
                self._repeat(character, start)
            case "^" | "$":
                self.builder.add_anchor(character)
            case ".":
                self.builder.add_consuming(".")
            case "[":
                self.builder.add_consuming(*rust_classes.translate(self.reader, modes))
            case "\\":
                self._escape(start, modes)
            case _:
                self.builder.add_literal(ord(character))

    def _open(self, start: int) -> None:
        reader = self.reader
        if len(self.builder.groups) > MAX_NESTING:
            raise reader.syntax_error(
                f"exceeded the maximum number of nested parentheses/brackets ({MAX_NESTING})", start
            )
        outer = self.builder.group.modes
        for look in LOOK_AROUND:
            if reader.skip(look):
                raise reader.syntax_error("look-around, including look-ahead and look-behind, is not supported", start)
        if not reader.skip("?"):
            self.builder.open("(?:", outer, start)
            return
        if reader.skip("P<") or reader.skip("<"):
            name = reader.until(">")
            if name is None or not GROUP_NAME.fullmatch(name):
                raise reader.syntax_error("invalid capture group name", start)
            self.builder.open("(?:", outer, start)
            return
        self._open_with_flags(start, outer)

    def _open_with_flags(self, start: int, outer: Modes) -> None:
        reader = self.reader
        modes, re2_flags, negative = outer, {True: "", False: ""}, False
        while (flag := reader.next()) not in (":", ")"):
            if not flag:
                raise RegexSyntaxError("unclosed group", start, 1)
            if flag == "-" and not negative:
                negative = True
                continue
            if flag not in KNOWN_FLAGS:
                raise reader.syntax_error(
                    "CRLF mode is not supported" if flag == "R" else "unrecognized flag", reader.position - 1
                )
            if flag in "ims":
                re2_flags[not negative] += flag
            modes = modes.with_flag(flag, on=not negative)
        flags = re2_flags[True] + (f"-{re2_flags[False]}" if re2_flags[False] else "")
        if flag == ":":
            self.builder.open(f"(?{flags}:", modes, start)
            return
        if reader.position - start == len("(?)"):
            raise reader.syntax_error("repetition operator missing expression", start)
        self.builder.group.modes = modes
        self.builder.add(f"(?{flags})" if flags else "", can_repeat=False)

    def _close(self, start: int) -> None:
        if len(self.builder.groups) == 1:
            raise RegexSyntaxError("unopened group", start, 1)
        self.builder.close()

    def _repeat(self, operator: str, start: int) -> None:
        if not self.builder.group.can_repeat:
            raise RegexSyntaxError("repetition operator missing expression", start, 1)
        if operator == "{":
            operator = self._counted(start)
        # Greedy or lazy makes no difference to whether there is a match.
        self.reader.skip("?")
        self.builder.repeat(operator)

    def _counted(self, start: int) -> str:
        reader = self.reader
        text = reader.until("}")
        if text is None:
            raise RegexSyntaxError("unclosed counted repetition", start, 1)
        compact = "".join(text.split())
        count = COUNTED.fullmatch(compact)
        if count is None or not compact.isascii():
            reader.position = start + 1
            raise RegexSyntaxError("repetition quantifier expects a valid decimal", start + 1, 1)
        least, has_most, most = count[1], count[2], count[3]
        if most and int(most) < int(least):
            raise reader.syntax_error("invalid repetition count range, the start must be <= the end", start)
        if max(int(least), int(most or 0)) > MAX_REPETITIONS:
            raise reader.syntax_error(f"counted repetition of more than {MAX_REPETITIONS} is not supported", start)
        return f"{{{int(least)}}}" if has_most is None else f"{{{int(least)},{most and int(most)}}}"

    def _escape(self, start: int, modes: Modes) -> None:
        reader = self.reader
        letter = reader.next()
        match letter:
            case "d" | "w":
                self.builder.add_consuming(rust_classes.perl_class(letter, modes), IN_WORD)
            case "D" | "s" | "S" | "W":
                self.builder.add_consuming(rust_classes.perl_class(letter, modes))
            case "p" | "P":
                self.builder.add_consuming(rust_classes.property_class(reader, letter, start))
            case "A":
                self.builder.add_anchor("\\A")
            case "z":
                self.builder.add_anchor("\\z")
            case "b" if reader.skip("{start}"):
                self.builder.add_edge(boundary_markers.STARTS)
            case "b" if reader.skip("{end}"):
                self.builder.add_edge(boundary_markers.ENDS)
            case "<":
                self.builder.add_edge(boundary_markers.STARTS)
            case ">":
                self.builder.add_edge(boundary_markers.ENDS)
            case "b" | "B":
                self._boundary(letter, start, modes)
            case _:
                self.builder.add_literal(escaped_point(reader, letter, start, unicode=modes.unicode))

    def _boundary(self, letter: str, start: int, modes: Modes) -> None:
        reader = self.reader
        if letter == "b" and reader.peek() == "{" and reader.until("}") is not None:
            raise reader.syntax_error("this kind of word boundary is not supported", start)
        if not modes.unicode:
            raise RegexSyntaxError("word boundaries of ASCII alone are not supported", reader.position - 2, 2)
        self.builder.add_boundary(letter)
