r"""Translate Rust's regular expression syntax to RE2's.

Both have the same semantics. They differ in the coverage of `\d \w \s \b` (Unicode in Rust), the escapes, the flags
`x u`, set operations in character classes (see `rust_classes`), repetitions of repetitions, and in what they reject.
Groups lose their names, because filters only need to know whether there is a match.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from afterglow.filters import boundary_markers, rust_classes, word_boundaries
from afterglow.filters.re2_engine import RegexSyntaxError
from afterglow.filters.rust_classes import Modes
from afterglow.filters.rust_escapes import Reader, escaped_point, quoted
from afterglow.filters.word_boundaries import IN_WORD, UNKNOWN, Edges

MAX_NESTING = 250
MAX_REPETITIONS = 1000
GROUP_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]]*")
COUNTED = re.compile(r"(\d+)(,(\d*))?")
KNOWN_FLAGS = "imsUux"
LOOK_AROUND = ("?=", "?!", "?<=", "?<!")


class Form(Enum):
    """The purpose of a translation.

    PLAIN: for unmarked strings. MARKED: for strings with boundary markers (see `boundary_markers`). OVERAPPROXIMATE:
    for unmarked strings, without assertions on where words, lines and strings start and end: a superset of the matches.
    """

    PLAIN = "plain"
    MARKED = "marked"
    OVERAPPROXIMATE = "overapproximate"


class Translation(NamedTuple):
    """A pattern for RE2, and its properties.

    has_boundary: it has word boundaries. has_edge: it has word starts or ends, which need boundary markers. The other
    fields are those of `regex.Regex`.
    """

    text: str
    is_anchored: bool
    has_boundary: bool
    has_edge: bool
    literal: str
    is_literal: bool


@dataclass(slots=True)
class _Group:
    """An open group: its opening in RE2's syntax, its flags, its start, and its atoms so far."""

    opening: str
    modes: Modes
    start: int
    atoms: list[str] = field(default_factory=list)
    edges: list[Edges] = field(default_factory=list)
    can_repeat: bool = False
    is_repeated: bool = False


def translate(pattern: str, form: Form = Form.PLAIN) -> Translation:
    """The pattern in RE2's syntax. Raises RegexSyntaxError if it is invalid."""
    return _Translator(pattern, form).run()


class _Translator:
    """One pass over a pattern, with a stack of open groups."""

    def __init__(self, pattern: str, form: Form) -> None:
        self.reader = Reader(pattern)
        self.form = form
        self.groups = [_Group("", Modes(unicode=True, extended=False, insensitive=False), 0)]
        self.is_anchored = self.has_edge = False
        self.boundaries = 0
        self.literal_runs = [""]
        self.is_all_literal = True
        self.has_alternatives = False

    def run(self) -> Translation:
        """Read the pattern to its end."""
        while not self.reader.at_end:
            self._read_one()
        if len(self.groups) > 1:
            raise RegexSyntaxError("unclosed group", self.groups[-1].start, 1)
        literal = "" if self.has_alternatives else max(self.literal_runs, key=lambda run: len(run.encode()))
        root = self.groups[0]
        simpler = (
            word_boundaries.without_boundaries(root.atoms, root.edges, self.boundaries) if self.boundaries else None
        )
        return Translation(
            text="".join(simpler or root.atoms),
            is_anchored=self.is_anchored or self.boundaries > 0,
            has_boundary=self.boundaries > 0 and simpler is None,
            has_edge=self.has_edge,
            literal=literal,
            is_literal=self.is_all_literal and bool(literal),
        )

    def _read_one(self) -> None:
        start = self.reader.position
        character = self.reader.next()
        modes = self.groups[-1].modes
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
                self.has_alternatives = self.has_alternatives or len(self.groups) == 1
                self._add("|", can_repeat=False)
            case "*" | "+" | "?" | "{":
                self._repeat(character, start)
            case "^":
                self._anchor("^")
            case "$":
                self._anchor("$")
            case ".":
                self._add_consuming(".")
            case "[":
                self._add_consuming(*rust_classes.translate(self.reader, modes))
            case "\\":
                self._escape(start, modes)
            case _:
                self._add_literal(ord(character))

    # Atoms: the translated pattern so far. An atom that is not a literal ends the run of literals.

    def _add(self, atom: str, edges: Edges = UNKNOWN, *, can_repeat: bool = True, literal: str = "") -> None:
        group = self.groups[-1]
        group.atoms.append(atom)
        group.edges.append(edges)
        group.can_repeat = can_repeat
        group.is_repeated = False
        if literal:
            self.literal_runs[-1] += literal
            return
        self.is_all_literal = False
        if self.literal_runs[-1]:
            self.literal_runs.append("")

    def _add_consuming(self, atom: str, edges: Edges = UNKNOWN, literal: str = "") -> None:
        self._add(
            f"(?:{boundary_markers.SKIP_MARKERS}{atom})" if self.form is Form.MARKED else atom, edges, literal=literal
        )

    def _add_literal(self, point: int) -> None:
        is_certain = len(self.groups) == 1 and not self.groups[0].modes.insensitive
        self._add_consuming(quoted(point), word_boundaries.of_point(point), chr(point) if is_certain else "")

    def _add_assertion(self, plain: str, marked: str) -> None:
        if self.form is not Form.OVERAPPROXIMATE:
            self._add(marked if self.form is Form.MARKED else plain)
            return
        group = self.groups[-1]
        group.atoms.append("")
        group.edges.append(UNKNOWN)
        group.can_repeat = True
        group.is_repeated = False

    def _anchor(self, anchor: str) -> None:
        self.is_anchored = True
        self._add_assertion(
            anchor, f"(?:{boundary_markers.SKIP_MARKERS}{anchor})" if anchor in ("$", "\\z") else anchor
        )

    def _open(self, start: int) -> None:
        reader = self.reader
        if len(self.groups) > MAX_NESTING:
            raise reader.syntax_error(
                f"exceeded the maximum number of nested parentheses/brackets ({MAX_NESTING})", start
            )
        outer = self.groups[-1].modes
        for look in LOOK_AROUND:
            if reader.skip(look):
                raise reader.syntax_error("look-around, including look-ahead and look-behind, is not supported", start)
        if not reader.skip("?"):
            self.groups.append(_Group("(?:", outer, start))
            return
        if reader.skip("P<") or reader.skip("<"):
            name = reader.until(">")
            if name is None or not GROUP_NAME.fullmatch(name):
                raise reader.syntax_error("invalid capture group name", start)
            self.groups.append(_Group("(?:", outer, start))
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
            self.groups.append(_Group(f"(?{flags}:", modes, start))
            return
        if reader.position - start == len("(?)"):
            raise reader.syntax_error("repetition operator missing expression", start)
        self.groups[-1].modes = modes
        self._add(f"(?{flags})" if flags else "", can_repeat=False)

    def _close(self, start: int) -> None:
        if len(self.groups) == 1:
            raise RegexSyntaxError("unopened group", start, 1)
        group = self.groups.pop()
        self._add(f"{group.opening}{''.join(group.atoms)})", word_boundaries.of_group(group.atoms, group.edges))

    def _repeat(self, operator: str, start: int) -> None:
        reader, group = self.reader, self.groups[-1]
        if not group.can_repeat:
            raise RegexSyntaxError("repetition operator missing expression", start, 1)
        if operator == "{":
            operator = self._counted(start)
        # Greedy or lazy makes no difference to whether there is a match.
        reader.skip("?")
        atom, edges = group.atoms.pop(), group.edges.pop()
        if self.literal_runs[-1]:
            self.literal_runs[-1] = self.literal_runs[-1][:-1]
        if operator.startswith(("*", "?", "{0")):
            edges = UNKNOWN
        self._add(f"(?:{atom}){operator}" if group.is_repeated or not atom else atom + operator, edges)
        group.is_repeated = True

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
                self._add_consuming(rust_classes.perl_class(letter, modes), IN_WORD)
            case "D" | "s" | "S" | "W":
                self._add_consuming(rust_classes.perl_class(letter, modes))
            case "p" | "P":
                self._add_consuming(rust_classes.property_class(reader, letter, start))
            case "A":
                self._anchor("\\A")
            case "z":
                self._anchor("\\z")
            case "b" if reader.skip("{start}"):
                self._edge(boundary_markers.STARTS)
            case "b" if reader.skip("{end}"):
                self._edge(boundary_markers.ENDS)
            case "<":
                self._edge(boundary_markers.STARTS)
            case ">":
                self._edge(boundary_markers.ENDS)
            case "b" | "B":
                if letter == "b" and reader.peek() == "{" and reader.until("}") is not None:
                    raise reader.syntax_error("this kind of word boundary is not supported", start)
                self._boundary(letter, modes)
            case _:
                self._add_literal(escaped_point(reader, letter, start, unicode=modes.unicode))

    def _boundary(self, letter: str, modes: Modes) -> None:
        if not modes.unicode:
            raise RegexSyntaxError("word boundaries of ASCII alone are not supported", self.reader.position - 2, 2)
        self.boundaries += 1
        self._add_assertion(f"\\{letter}", boundary_markers.BOUNDARY if letter == "b" else boundary_markers.NO_BOUNDARY)

    def _edge(self, marker: str) -> None:
        self.boundaries += 1
        self.has_edge = True
        self._add_assertion("(?:\\b)", marker)
