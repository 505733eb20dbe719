"""Restrictions: which filters keys may have, and writes that race with others (the rest: tests/wire/auth)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from afterglow.collection import Engine, restriction
from afterglow.collection.types import Include, Scope, Selection
from afterglow.collection.write import admission
from afterglow.collection.write.transaction import Transaction
from afterglow.errors import Corrupt, Forbidden, InvalidArgument, LimitExceeded, WrongDimension
from afterglow.filters.parse import parse_where
from afterglow.log.batch import Batch, Op
from tests.support.stores import new_collection, quick_folder, stores_at

OWN = restriction.parse((("*", b'{"owner":"a"}'),))
VECTOR = np.zeros((1, 2), np.float32)


@pytest.fixture
def opened() -> Iterator[tuple[Engine, Scope]]:
    with quick_folder() as folder:
        stores = stores_at(folder)
        scope, _ = new_collection(stores)
        yield Engine(stores), scope
        stores.table.close()


def record(op: Op, name: str, **metadata: Any) -> Batch:
    return Batch(op, [name], VECTOR, metadatas=[metadata])


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        (b"{", "is not JSON"),
        (b"null", "needs at least one condition"),
        (b'{"$or":[]}', "needs at least one condition"),
        (b'{"a":{"$bad":1}}', "Invalid where clause"),
        (b'{"$and":[{"a":1},{"#document":{"$contains":"x"}}]}', "over metadata, not over documents"),
    ],
)
def test_filters_that_keys_cannot_have(where: bytes, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        restriction.check_where(where)
    with pytest.raises(Corrupt, match="the filters of a key cannot be read"):
        restriction.parse((("books", where),))


def test_the_first_write_of_a_collection(opened: tuple[Engine, Scope]) -> None:
    engine, scope = opened
    own = replace(scope, restriction=OWN)
    assert engine.write(own, record(Op.ADD, "x", owner="a")) == 1
    assert engine.count(own).count == 1
    assert engine.write(own, Batch(Op.DELETE, [])) is None
    assert engine.write(own, record(Op.UPDATE, "unknown", owner="b")) is None
    with pytest.raises(WrongDimension):
        engine.write(own, Batch(Op.UPDATE, ["unknown"], np.zeros((1, 3), np.float32)))


def test_a_write_is_admitted_again_if_another_came_first(
    opened: tuple[Engine, Scope], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, scope = opened
    own = replace(scope, restriction=OWN)
    engine.write(scope, record(Op.ADD, "x", owner="a", n=0))
    changes = [record(Op.UPDATE, "x", n=1), record(Op.UPDATE, "x", owner="b")]
    admit = admission.admit

    def raced(*arguments: Any) -> list[Batch]:
        admitted = admit(*arguments)
        if changes:
            engine.write(scope, changes.pop(0))
        return admitted

    monkeypatch.setattr(admission, "admit", raced)
    with pytest.raises(Forbidden):
        engine.write(own, record(Op.UPSERT, "x", n=2))
    (metadata,) = engine.get(scope, Selection(), None, 0, frozenset({Include.METADATAS})).metadatas or []
    assert metadata == b'{"owner":"b","n":1}'
    assert engine.count(own).count == 0


def test_a_restricted_search_is_that_of_the_filter(opened: tuple[Engine, Scope]) -> None:
    engine, scope = opened
    vectors = np.random.default_rng(3).normal(size=(200, 4)).astype(np.float32)
    metadatas = [{"owner": "ab"[number % 2]} for number in range(200)]
    engine.write(scope, Batch(Op.ADD, list(map(str, range(200))), vectors, metadatas=metadatas))
    everything = frozenset({Include.DISTANCES})
    (own,) = engine.query(replace(scope, restriction=OWN), vectors[:1], 50, Selection(), everything)
    (same,) = engine.query(scope, vectors[:1], 50, Selection(where=parse_where({"owner": "a"})), everything)
    assert own.records.ids == same.records.ids
    np.testing.assert_array_equal(own.distances, same.distances)


EITHER = restriction.parse((("*", b'{"$or":[{"x":1},{"y":1}]}'),))
"""A filter that a record can match for one of two reasons."""


def test_a_record_that_may_expire_matches_whether_it_does_or_not(opened: tuple[Engine, Scope]) -> None:
    engine, scope = opened
    own = replace(scope, restriction=EITHER)
    engine.modify_collection(scope, new_metadata={"afterglow:ttl_key": "until"})
    engine.write(scope, record(Op.ADD, "r", x=1, y=1, until=2**40))
    upsert, update = record(Op.UPSERT, "r", y=1), record(Op.UPDATE, "r", y=None)
    with pytest.raises(Forbidden):  # had it expired, the upsert would have made {"y": 1} of it
        engine.commit(own, Transaction([upsert, update]))
    assert engine.commit(own, Transaction([upsert])).records == 1
    many = [record(Op.UPSERT, "r", y=1, **{f"k{number}": 1}) for number in range(40)]
    with pytest.raises(LimitExceeded):
        engine.commit(own, Transaction(many))
    assert engine.commit(own, Transaction([record(Op.DELETE, "r"), *many[:20]])).records == 21
