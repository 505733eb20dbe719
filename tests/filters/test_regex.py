"""Regular expressions: Rust's syntax and meaning on RE2's engine."""

import re
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from afterglow.columns import StringColumn
from afterglow.errors import InvalidArgument
from afterglow.filters import evaluate, regex
from afterglow.filters.ast import MatchesRegex
from afterglow.filters.regex import compile_regex
from tests.columns.records import columns_of


def matches(pattern: str, *texts: str) -> list[bool]:
    """Whether the pattern matches each of the strings, searched as filters do."""
    rows = StringColumn.from_list([text.encode() for text in texts])
    return list(evaluate(MatchesRegex(pattern), columns_of([None] * len(texts)), rows).tolist())


@pytest.mark.parametrize(
    ("pattern", "hits", "misses"),
    [
        ("", ["", "x"], []),
        ("a.c", ["abc", "aéc"], ["a\nc", "ac", "a", "c"]),
        ("(?s)a.c", ["a\nc"], ["ac"]),
        ("^b", ["b"], ["ab", "a\nb"]),
        ("(?m)^b$", ["a\nb\nc"], ["a\nbc"]),
        ("a$", ["ba"], ["a\n", "ab"]),
        (r"\Aa\z", ["a"], ["a\n", "ba"]),
        ("(?i)straße", ["STRAßE"], ["STRASSE"]),
        ("(?i)é", ["É"], ["e"]),
        ("(?i:a)b", ["Ab", "ab"], ["aB"]),
        ("a(?i)b|c", ["aB", "C"], ["AB"]),
        ("(?i)a(?-i)b", ["Ab"], ["AB"]),
        (r"^\d$", ["7", "٣", "३"], ["x", "½"]),
        (r"^\w+$", ["été", "Ⓐ", "é", "हिन्दी", "_", "ͅ", "a‍b"], ["²", "-", "a b"]),
        (r"^\W$", ["²", "-", " "], ["é", "Ⓐ"]),
        (r"^\s$", ["\u00a0", "\u3000", "\u2028", "\x85", "\x0b"], ["\u200b", "x"]),
        (r"^\S$", ["\u200b", "x"], ["\u00a0"]),
        (r"(?-u)^\w$", ["a"], ["é"]),
        (r"(?-u:\d)", ["7"], ["٣"]),
        (r"[\d\s]x", ["٣x", "\u00a0x"], ["ax"]),
        (r"^[^\w]$", ["-"], ["é"]),
        (r"^[\W_]$", ["-", "_"], ["é", "a"]),
        (r"^[^\W_]$", ["é", "a"], ["-", "_"]),
        (r"^[\D]$", ["a"], ["٣"]),
        (r"^[\S]$", ["a"], ["\u00a0"]),
        (r"^\pL\p{Lu}\p{Greek}\p{Script=Cyrillic}$", ["éAλж"], ["eaλж"]),
        (r"^\p{Uppercase_Letter}\P{L}\p{^L}$", ["A1-"], ["a1-", "AAA"]),
        (r"^[\p{Greek}\PL]$", ["λ", "1"], ["a"]),
        (r"^[[:alpha:]]$", ["a"], ["é", "1"]),
        (r"^[[:^alpha:]]$", ["1", "é"], ["a"]),
        (r"^[[:foo:]]$", [":", "f", "o"], ["x"]),
        ("^[a-z&&[^aeiou]]$", ["b"], ["a", "B"]),
        (r"^[\w--\d]$", ["a", "é"], ["1", "٣"]),
        ("^[a-c~~b-d]$", ["a", "d"], ["b", "c"]),
        ("^[a[bc]d]$", ["a", "b", "c", "d"], ["[", "]", "e"]),
        ("^[a[^b]]$", ["a", "c"], ["b"]),
        ("^[]a]$", ["]", "a"], ["["]),
        ("^[^]a]$", ["["], ["]", "a"]),
        ("^[a-]$", ["-", "a"], ["b"]),
        (r"^[\]\-\\]$", ["]", "-", "\\"], ["a"]),
        ("[a&&b]", [], ["a", "b", "&"]),
        (r"\x41\x{1F600}\u00e9\u{e9}\U0001F600", ["A😀éé😀"], ["A😀e"]),
        (r"\a\f\t\n\r\v", ["\x07\x0c\t\n\r\x0b"], []),
        (r"\.\*\-\ \#\~\&\%", [".*- #~&%"], ["x*- #~&%"]),
        ("(?x) a b # comment\n c {2}", ["abcc"], ["a b"]),
        (r"(?x) [ a b ] \ ", ["a ", "b "], ["  ", "a"]),
        ("a++b**?c??", ["aab", "ab", "a"], ["b"]),
        ("^(?:ab{2,3}){ 2 }$", ["abbabbb"], ["ab", "abb"]),
        ("a{0}b{2,}", ["bb"], ["b"]),
        ("(?P<first>a)(?<second>b)(c)", ["abc"], ["ab"]),
        ("a|b|", ["a", "", "x"], []),
        ("}]", ["}]"], ["}"]),
        (r"\bécole\b", ["école", "l'école.", "école-é"], ["écoles", "préécole"]),
        (r"\bcat\b", ["cat", "a cat!"], ["cats", "éat", "écat"]),
        (r"caf\B", ["café", "cafe"], ["caf", "é caf"]),
        (r"\b\w+é\b.*\bz", ["a café z", "éé z"], ["cafés z", "éé yz", "é z"]),
        (r"^\b", ["a", "é"], ["", "-", " é"]),
        (r"\b$", ["a", "é"], ["", "é-"]),
        (r"\b\bé", ["é"], ["aé"]),
        (r"\<é\>", ["é", "a é b"], ["éa", "aé"]),
        (r"\b{start}a", ["a", "é a"], ["ba", "éa"]),
        (r"a\b{end}", ["ba", "éa"], ["ab", "aé"]),
        ("\x00", ["a\x00b"], ["ab"]),
        ("\n", ["a\nb"], ["ab"]),
    ],
)
def test_meaning(pattern: str, hits: list[str], misses: list[str]) -> None:
    assert matches(pattern, *hits, *misses) == [True] * len(hits) + [False] * len(misses)
    for text in hits:
        assert matches(pattern, text) == [True]


@pytest.mark.parametrize(
    ("pattern", "marks", "reason"),
    [
        ("(?=a)", "^^^", "look-around, including look-ahead and look-behind, is not supported"),
        ("a(?<!b)", " ^^^^", "look-around, including look-ahead and look-behind, is not supported"),
        (r"(a)\1", "   ^^", "backreferences are not supported"),
        ("[", "^", "unclosed character class"),
        ("a[b", " ^", "unclosed character class"),
        ("(a", "^", "unclosed group"),
        ("a)", " ^", "unopened group"),
        ("*", "^", "repetition operator missing expression"),
        ("(?i)*", "    ^", "repetition operator missing expression"),
        ("a|*", "  ^", "repetition operator missing expression"),
        ("a{", " ^", "unclosed counted repetition"),
        ("a{,3}", "  ^", "repetition quantifier expects a valid decimal"),
        ("a{3,2}", " ^^^^^", "invalid repetition count range, the start must be <= the end"),
        (r"\Q", "^^", "unrecognized escape sequence"),
        (r"\C", "^^", "unrecognized escape sequence"),
        (r"\Z", "^^", "unrecognized escape sequence"),
        (r"\é", "^^", "unrecognized escape sequence"),
        ("\\", "^", "incomplete escape sequence, reached end of pattern prematurely"),
        (r"\x4", "^^^", "incomplete escape sequence, reached end of pattern prematurely"),
        (r"\x{110000}", "^^^^^^^^^^", "hexadecimal literal is not a Unicode scalar value"),
        (r"\xzz", "^^^^", "invalid hexadecimal digit"),
        (r"\p{foo}b", "^^^^^^^", "Unicode property not found"),
        ("[b-a]", " ^^^", "invalid character class range, the start must be <= the end"),
        (r"[a-\d]", "   ^^", "invalid range boundary, must be a literal"),
        (r"(?-u:\xff)", "     ^^^^", "pattern can match invalid UTF-8"),
        ("(?P<1>a)", "^^^^^^", "invalid capture group name"),
        ("(?z)", "  ^", "unrecognized flag"),
    ],
)
def test_faults_are_shown_as_rust_shows_them(pattern: str, marks: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        compile_regex(pattern)
    assert refused.value.message == (
        f"Regex syntax errror: regex parse error:\n    {pattern}\n    {marks}\nerror: {reason}"
    )


@pytest.mark.parametrize(
    "pattern",
    [
        "(?R)a$", "a{1001}", "(a{1000}){1000}", r"\b{start-half}", "(" * 300 + ")" * 300, "[" * 300, r"[\pL&&a]",
        "(?i)[a&&b]", r"(?-u)\b", "a" * 20_000, r"\p{Script=Nowhere}", "a\n*\n(", "((a*)*",
    ],
)  # fmt: skip
def test_unsupported_patterns_are_rejected_with_a_message(pattern: str) -> None:
    with pytest.raises(InvalidArgument):
        compile_regex(pattern)


def test_a_backtracking_trap_takes_linear_time() -> None:
    start = time.process_time()
    assert matches("(a*)*b", "a" * 100_000) == [False]
    assert matches(r"(\w+\s?)+\bz", "é " * 5_000) == [False]
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("pattern", "literal", "is_literal"),
    [
        ("library", "library", True),
        (r"lib\.so", "lib.so", True),
        ("[Pp]ython ?3", "ython", False),
        ("abc+d", "ab", False),
        ("ab*cde", "cde", False),
        ("abc|abd", "", False),
        ("(abc)", "", False),
        ("(?i)abc", "", False),
        ("ab(?i)c", "ab", False),
        ("ab(c|d)efgh", "efgh", False),
        ("é{2}école", "école", False),
    ],
)
def test_the_literal_is_in_every_match(pattern: str, literal: str, is_literal: bool) -> None:
    assert (compile_regex(pattern).literal.decode(), compile_regex(pattern).is_literal) == (literal, is_literal)


def test_an_anchored_pattern_has_a_loose_one_if_that_says_anything() -> None:
    loose = compile_regex(r"^\bThis\b").prefilter
    assert loose is not None
    assert (loose.literal, loose.is_literal) == (b"This", True)
    assert compile_regex("^a*$").prefilter is None
    assert compile_regex("a+").prefilter is None


# What Rust and Python agree on; `\z` is Python's `\Z`.
atoms = st.sampled_from(
    ("a", "b", "é", " ", "-", ".", "[ab]", "[^a]", r"[é\s]", r"\w", r"\W", r"\s", r"\b", r"\B", "^")
)
patterns = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from("*+?")).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        inner.map(lambda pattern: rf"{pattern}\z"),
    ),
    max_leaves=6,
)
texts = st.lists(st.text("abé -\n", min_size=1, max_size=6), min_size=1, max_size=8)


@pytest.mark.slow
@settings(max_examples=300)
@given(patterns, texts)
def test_the_same_is_found_as_by_another_engine(pattern: str, rows: list[str]) -> None:
    # Consecutive assertions at one position need a marker each, and there are two markers.
    assume(re.search(r"(\\[bBz]|\^|\)[*+?]?)[)|*+?]*(\\[bBz]|\^|\(\?:)", pattern) is None)
    python = re.compile(pattern.replace(r"\z", r"\Z"))
    assert matches(pattern, *rows) == [python.search(text) is not None for text in rows]


def test_compiled_patterns_are_remembered() -> None:
    assert regex.compile_regex("abc") is regex.compile_regex("abc")
