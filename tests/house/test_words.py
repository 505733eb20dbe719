"""One word for one thing (docs/glossary.md): names that the field does not use are not used here either.

Checked are the identifiers of the package, the functions and the tests, the settings, and the commands with their help.
"""

import argparse
import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from afterglow.cli.main import parser
from afterglow.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers" / "afterglow" / "afterglow"

INSTEAD = {
    "ambient": "system",
    "among": "in, or the noun",
    "beside": "extra writes, sibling, companion",
    "contenders": "candidates",
    "dead": "deleted",
    "deaf": "null listener",
    "each": "the noun: entry, segment, collection",
    "elsewhere": "backup target",
    "fence": "seal",
    "fold": "flush",
    "folded": "flushed",
    "folds": "flushes",
    "genuine": "chroma",
    "haste": "backlog",
    "janitor": "maintenance",
    "kept": "retained, cached",
    "lane": "column",
    "lanes": "columns",
    "ledger": "import store",
    "nudge": "notify",
    "nudges": "notifications",
    "ordinal": "row seq",
    "ordinals": "row seqs",
    "overtaken": "range conflict",
    "programme": "scenario",
    "programmes": "scenarios",
    "rarity": "idf",
    "receipt": "report",
    "receipts": "reports",
    "skeleton": "scaffold",
    "soonest": "next expiry",
    "stretch": "bucket, range",
    "tidy": "clean up",
    "told": "reported, notified",
    "tombstone": "placeholder, deletion vector",
    "tombstones": "deletions",
    "unfolded": "unflushed",
    "unserved": "not implemented",
    "vault": "dump store",
    "vaults": "dump stores",
    "vocabulary": "dictionary",
    "wanted": "options, requested",
    "wish": "request",
    "worded": "the verb",
    "world": "environment, fixture",
    "worlds": "environments",
}
"""The words that are not used, and what is used instead."""

PREPOSITIONS = {"behind", "between", "beyond", "of", "to"}
"""Not the name of a parameter. (`after`, `at`, `before` and `within` are names of the API.)"""

TERMS = re.compile(r"dead_?letters?", re.IGNORECASE)
"""Terms of the field that contain such a word: SQS has dead-letter queues."""

SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "functions").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])

ROOMS = sorted({path.parent for path in SOURCES})


def words_of(name: str) -> Iterator[str]:
    """`flushedSeq`, `flushed_seq` and `FlushedSeq` are the words flushed, seq."""
    for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", TERMS.sub("", name)):
        yield word.lower()


def names_in(source: str) -> Iterator[tuple[int, str]]:
    """Every name that a module defines: line and name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.alias(asname=str(name)):
                yield node.lineno, name
            case _:
                pass


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_identifiers(room: Path) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name} ({word}: {INSTEAD[word]})"
        for path in SOURCES
        if path.parent == room
        for line, name in names_in(path.read_text())
        for word in words_of(name)
        if word in INSTEAD
    ]
    assert not found, "\n".join(found)


def test_parameters_are_nouns() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}: {node.arg}"
        for path in SOURCES
        if path.is_relative_to(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.arg) and node.arg in PREPOSITIONS
    ]
    assert not found, "\n".join(found)


def test_settings() -> None:
    assert not [field.name for field in fields(Settings) if set(words_of(field.name)) & set(INSTEAD)]


def test_commands_and_their_help() -> None:
    pages = dict(help_pages())
    assert len(pages) > 10
    found = [
        f"{command}: {word} ({INSTEAD[word]})"
        for command, text in pages.items()
        for word in sorted(set(re.findall(r"[a-z]+", text.lower())) & (set(INSTEAD) - {"each"}))
    ]
    assert not found, "\n".join(found)


def help_pages() -> Iterator[tuple[str, str]]:
    """The help of the program and of every command below it."""

    def walk(current: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
        yield current.prog, current.format_help()
        for action in current._actions:
            if isinstance(action, argparse._SubParsersAction):
                for child in action.choices.values():
                    yield from walk(child)

    yield from walk(parser())


def test_a_word_is_found() -> None:
    assert [name for _, name in names_in("def f(told):\n  kept = 1\n  for each in told: self.dead = 2\n")] != []
    assert list(words_of("flushedSeq")) == ["flushed", "seq"]
    assert list(words_of("make_dead_letters")) == ["make"]
    assert list(words_of("HNSWIndex_of")) == ["hnsw", "index", "of"]
