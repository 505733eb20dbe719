"""Imports from real instances of other databases: what arrives, what the command prints."""

from pathlib import Path
from typing import Any

import pytest

from tests.clients.databases import ROWS
from tests.clients.judges import python

pytestmark = pytest.mark.clients

SOME = {"embedding": [(ROWS - 2) / 8, 1.0, -(ROWS - 2) / 4], "document": f"text {ROWS - 2}"}
ALREADY = [
    f"books: already imported, {ROWS} rows; --force imports it again",
    f"1 collections, {ROWS} rows, 0 failed",
    "0",
]
COLUMNS = "  columns: id from {}; embedding from {}; document from text; metadata from metadata, every other key"


def outcome_of(database: str, folder: Path) -> Any:
    return python("databases", "databases", database, str(folder))


def test_lancedb(tmp_path: Path) -> None:
    outcome = outcome_of("lancedb", tmp_path)
    first, chosen = outcome["first"], outcome["chosen"]
    assert first[0].startswith(f"books: {ROWS} rows, 0 rejected, ")
    assert first[1:] == [
        COLUMNS.format("id", "vector"),
        "  ignored: 'photo' (metadata cannot hold bytes)",
        "films: failed: films must have one kind of vectors, and has 'plot', 'poster': choose one by --embedding",
        f"2 collections, {ROWS} rows, 1 failed",
        "  failed: films",
        "1",
    ]
    assert outcome["count"] == ROWS
    assert outcome["some"] == {**SOME, "metadata": {"n": ROWS - 2, "tags": ["a", "b"]}}
    assert chosen[2:] == ["  ignored: 'plot' (further embeddings)", "1 collections, 1 rows, 0 failed", "0"]
    assert outcome["films"] == {"films#0": {"embedding": [1, 2], "metadata": {"title": "t"}}}


def test_pgvector(tmp_path: Path) -> None:
    outcome = outcome_of("pgvector", tmp_path)
    assert outcome["first"][1:3] == [
        COLUMNS.format("isbn", "embedding"),
        "  ignored: 'cover' (metadata cannot hold bytes)",
    ]
    assert "'half', 'full_vector': choose one by --embedding" in outcome["first"][3]
    assert outcome["first"][-1] == "1"
    assert outcome["again"] == ALREADY
    assert outcome["count"] == ROWS
    owner = "00000000-0000-0000-0000-000000000005"
    values = {"price": 1.5, "added": "2026-01-02", "owner": owner, "n": ROWS - 2, "tags": ["a"]}
    assert outcome["some"] == {**SOME, "metadata": values}
    assert outcome["space"] == "cosine"
    assert outcome["films"] == {"a": {"embedding": [1, 2]}}
    assert outcome["chosen"][-1] == "3", "a row without a vector is rejected"
    assert outcome["recent"] == {f"{n}": {"embedding": [n / 8, 1, -n / 4]} for n in range(3)}
    assert 'relation "nowhere" does not exist' in outcome["wrong"][0]
    assert outcome["wrong"][-1] == "1"


def test_qdrant(tmp_path: Path) -> None:
    outcome = outcome_of("qdrant", tmp_path)
    assert outcome["first"][1:] == [COLUMNS.format("(id)", "(vector)"), *ALREADY[1:]]
    assert outcome["again"] == ALREADY
    assert outcome["count"] == ROWS
    assert outcome["some"] == {**SOME, "metadata": {"n": ROWS - 2}}
