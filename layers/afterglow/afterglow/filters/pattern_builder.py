r"""Builds a pattern in RE2's syntax from atoms, and finds the properties by which it is searched for.

An **atom** is what a repetition applies to: a character, a class, a group or an assertion. For each the builder knows
whether its matches start and end with a word character (`word_boundaries`). Characters that every match contains in a
row are a **literal run**; a search may look for the longest of them first. An atom that is not a literal ends the run.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from afterglow.filters import boundary_markers, word_boundaries
from afterglow.filters.rust_classes import Modes
from afterglow.filters.rust_escapes import quoted
from afterglow.filters.word_boundaries import UNKNOWN, Edges


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
class Group:
    """An open group: its opening in RE2's syntax, its flags, its start, and its atoms so far."""

    opening: str
    modes: Modes
    start: int
    atoms: list[str] = field(default_factory=list)
    edges: list[Edges] = field(default_factory=list)
    can_repeat: bool = False
    is_repeated: bool = False

    def append(self, atom: str, edges: Edges, *, can_repeat: bool) -> None:
        """Add an atom."""
        self.atoms.append(atom)
        self.edges.append(edges)
        self.can_repeat = can_repeat
        self.is_repeated = False


class PatternBuilder:
    """The pattern so far: a stack of open groups, of which the first is the pattern itself."""

    def __init__(self, form: Form, modes: Modes) -> None:
        self.groups = [Group("", modes, 0)]
        self._form = form
        self._is_anchored = self._has_edge = False
        self._boundaries = 0
        self._literal_runs = [""]
        self._is_all_literal = True
        self._has_alternatives = False

    @property
    def group(self) -> Group:
        """The innermost open group."""
        return self.groups[-1]

    def add(self, atom: str, edges: Edges = UNKNOWN, *, can_repeat: bool = True) -> None:
        """Add an atom that is not a literal."""
        self.group.append(atom, edges, can_repeat=can_repeat)
        self._is_all_literal = False
        if self._literal_runs[-1]:
            self._literal_runs.append("")

    def add_consuming(self, atom: str, edges: Edges = UNKNOWN) -> None:
        """Add an atom that consumes a character."""
        self.add(self._after_markers(atom), edges)

    def add_literal(self, point: int) -> None:
        """Add a character."""
        atom, edges = quoted(point), word_boundaries.of_point(point)
        if len(self.groups) > 1 or self.group.modes.insensitive:
            self.add_consuming(atom, edges)
            return
        self.group.append(self._after_markers(atom), edges, can_repeat=True)
        self._literal_runs[-1] += chr(point)

    def add_alternative(self) -> None:
        """Separate what follows in the innermost group from what precedes."""
        self._has_alternatives = self._has_alternatives or len(self.groups) == 1
        self.add("|", can_repeat=False)

    def add_anchor(self, anchor: str) -> None:
        r"""Add `^`, `$`, `\A` or `\z`."""
        self._is_anchored = True
        self._add_assertion(anchor, self._after_markers(anchor) if anchor in ("$", "\\z") else anchor)

    def add_boundary(self, letter: str) -> None:
        r"""Add a word boundary `\b`, or `\B`."""
        self._boundaries += 1
        marked = boundary_markers.BOUNDARY if letter == "b" else boundary_markers.NO_BOUNDARY
        self._add_assertion(f"\\{letter}", marked)

    def add_edge(self, marker: str) -> None:
        """Add the start or the end of a word."""
        self._boundaries += 1
        self._has_edge = True
        self._add_assertion("(?:\\b)", marker)

    def open(self, opening: str, modes: Modes, start: int) -> None:
        """Open a group."""
        self.groups.append(Group(opening, modes, start))

    def close(self) -> None:
        """Close the innermost group, which becomes an atom of the one around it."""
        group = self.groups.pop()
        self.add(f"{group.opening}{''.join(group.atoms)})", word_boundaries.of_group(group.atoms, group.edges))

    def repeat(self, operator: str) -> None:
        """Repeat the last atom."""
        group = self.group
        atom, edges = group.atoms.pop(), group.edges.pop()
        if self._literal_runs[-1]:
            self._literal_runs[-1] = self._literal_runs[-1][:-1]
        if operator.startswith(("*", "?", "{0")):
            edges = UNKNOWN
        self.add(f"(?:{atom}){operator}" if group.is_repeated or not atom else atom + operator, edges)
        group.is_repeated = True

    def finish(self) -> Translation:
        """The pattern, all of whose groups are closed."""
        literal = "" if self._has_alternatives else max(self._literal_runs, key=lambda run: len(run.encode()))
        atoms, boundaries = self.groups[0].atoms, self._boundaries
        simpler = word_boundaries.without_boundaries(atoms, self.groups[0].edges, boundaries) if boundaries else None
        return Translation(
            text="".join(simpler or atoms),
            is_anchored=self._is_anchored or boundaries > 0,
            has_boundary=boundaries > 0 and simpler is None,
            has_edge=self._has_edge,
            literal=literal,
            is_literal=self._is_all_literal and bool(literal),
        )

    def _after_markers(self, atom: str) -> str:
        return f"(?:{boundary_markers.SKIP_MARKERS}{atom})" if self._form is Form.MARKED else atom

    def _add_assertion(self, plain: str, marked: str) -> None:
        if self._form is Form.OVERAPPROXIMATE:
            self.group.append("", UNKNOWN, can_repeat=True)
        else:
            self.add(marked if self._form is Form.MARKED else plain)
