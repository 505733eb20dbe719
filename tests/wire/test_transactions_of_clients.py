"""The transactions of Chroma's own tests of its Python, TypeScript and Rust clients, replayed by what each sends."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.client_transactions import CLIENTS, CONFLICT, Client, ClientTransaction
from tests.wire.clients import ApiClient, CollectionClient

VECTOR = [1.0, 2.0, 3.0]
EVERYTHING = ["documents", "embeddings", "metadatas", "uris"]
Write = tuple[str, list[str], int]
"""An operation, its ids, and the number that its records have."""
Begin = Callable[[CollectionClient], ClientTransaction]

CORPUS: list[list[Write]] = [
    [],
    [("add", ["a1"], 10)],
    [("add", ["a2", "a3", "a4"], 20)],
    [("update", ["a1"], 30)],
    [("update", ["a2", "a3"], 40)],
    [("upsert", ["u1"], 50)],
    [("upsert", ["u2", "u3"], 60)],
    [("upsert", ["u1"], 70)],
    [("upsert", ["a2", "u2"], 80)],
    [("delete", ["a4"], 0)],
    [("delete", ["a1", "u3"], 0)],
    [
        ("add", ["m1", "m2"], 90),
        ("update", ["a2"], 100),
        ("upsert", ["u2", "m3"], 110),
        ("delete", ["a3"], 0),
    ],
]
"""Transactions, each after those before it."""


@pytest.fixture(params=CLIENTS)
def begin(request: pytest.FixtureRequest) -> Begin:
    """Begins a transaction of one client."""
    return starter(CLIENTS[request.param])


def starter(client: Client) -> Begin:
    def begin(collection: CollectionClient) -> ClientTransaction:
        def send(route: str, content: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
            path = f"{collection.path}/{route}"
            response = collection.api_client.request("POST", path, content=content, headers=headers)
            return response.status_code, response.json()

        return ClientTransaction(client, send)

    return begin


def fields(ids: Sequence[str], number: int) -> dict[str, Any]:
    """Records with these ids."""
    numbers = range(number, number + len(ids))
    return {
        "embeddings": [[float(one), float(one % 17), float(one % 31)] for one in numbers],
        "documents": [f"the text of {name}, {one}" for name, one in zip(ids, numbers, strict=True)],
        "uris": [f"urn:test:{name}:{one}" for name, one in zip(ids, numbers, strict=True)],
        "metadatas": [{"number": one, "name": name} for name, one in zip(ids, numbers, strict=True)],
    }


def replay(api_client: ApiClient, begin: Begin, transactions: Sequence[Sequence[Write]]) -> None:
    """Commit them, beside a collection that has the same writes without transactions.

    Beside every transaction is a second one with the same reads and writes: what the first has committed, it has read.
    """
    plain, transactional = api_client.collection(), api_client.collection()
    for writes in transactions:
        first, second = begin(transactional), begin(transactional)
        for operation, ids, number in writes:
            given = {} if operation == "delete" else fields(ids, number)
            assert plain.post(operation, ids=ids, **given).is_success
            for transaction in (first, second):
                transaction.get(ids)
                transaction.write(operation, ids, **given)
        if writes:
            assert first.commit() == sum(len(ids) for _, ids, _ in writes)
            assert second.send_commit() == (409, CONFLICT)
        assert transactional.records(*EVERYTHING) == plain.records(*EVERYTHING)
        assert transactional.get("count").json() == plain.get("count").json()


def test_writes_of_every_kind(api_client: ApiClient, begin: Begin) -> None:
    replay(api_client, begin, CORPUS)


@st.composite
def random_transactions(draw: st.DrawFn) -> list[list[Write]]:
    present: list[str] = []
    transactions: list[list[Write]] = []
    for length in draw(st.lists(st.integers(0, 4), min_size=1, max_size=6)):
        free, fresh, writes = list(present), 0, list[Write]()
        for _ in range(length):
            operation = draw(st.sampled_from(["add", "update", "upsert", "upsert", "delete"]))
            count = draw(st.integers(1, 3))
            if operation == "add" or (operation == "upsert" and draw(st.booleans())):
                ids = [f"r{len(transactions)}-{fresh + number}" for number in range(count)]
                fresh += count
            else:
                ids = draw(st.permutations(free))[:count]
                free = [name for name in free if name not in ids]
            if ids:
                writes.append((operation, ids, draw(st.integers(0, 10_000))))
        for operation, ids, _ in writes:
            present = [name for name in present if name not in ids] + ([] if operation == "delete" else ids)
        transactions.append(writes)
    return transactions


@pytest.mark.parametrize("client", CLIENTS)
@settings(max_examples=8, deadline=None)
@given(transactions=random_transactions())
def test_random_writes(api_client: ApiClient, client: str, transactions: list[list[Write]]) -> None:
    replay(api_client, starter(CLIENTS[client]), transactions)


def test_one_read_of_a_present_and_of_an_absent_record(collection: CollectionClient, begin: Begin) -> None:
    collection.add(ids=["present"], embeddings=[VECTOR], documents=["a text"])
    transaction = begin(collection)
    read = transaction.get(["present", "absent"], include=["documents"])
    assert (read["ids"], read["documents"]) == (["present"], ["a text"])
    assert transaction.read_ids == {"present", "absent"}
    transaction.write("add", ["absent"], embeddings=[VECTOR])
    assert transaction.commit() == 1
    assert collection.records()["ids"] == ["present", "absent"]


def test_an_upsert_without_a_read(collection: CollectionClient, begin: Begin) -> None:
    for number in range(2):
        transaction = begin(collection)
        transaction.write("upsert", ["unknown"], embeddings=[[number]], metadatas=[{"number": number}])
        assert transaction.commit() == 1
    assert collection.records("metadatas")["metadatas"] == [{"number": 1}]


@pytest.mark.parametrize("begins_with", [[], ["raced"]])
def test_a_record_that_another_writes_after_the_read(
    collection: CollectionClient, begin: Begin, begins_with: list[str]
) -> None:
    operation = "update" if begins_with else "add"
    collection.add(ids=["another", *begins_with], embeddings=[VECTOR] * (1 + len(begins_with)))
    transaction = begin(collection)
    assert transaction.get(["raced"])["ids"] == begins_with
    assert collection.post("upsert", ids=["raced"], embeddings=[VECTOR], metadatas=[{"by": "another"}]).is_success
    transaction.write(operation, ["raced"], embeddings=[VECTOR], metadatas=[{"by": "us"}])
    assert transaction.send_commit() == (409, CONFLICT)
    assert collection.records("metadatas")["metadatas"] == [None, {"by": "another"}]


def test_a_read_by_filter_protects_what_it_has_returned(collection: CollectionClient, begin: Begin) -> None:
    names = ["a", "b", "c", "d"]
    collection.add(ids=names, embeddings=[VECTOR] * 4, metadatas=[{"group": "x"}] * 4)
    transaction = begin(collection)
    returned = transaction.get(where={"group": "x"}, limit=2)["ids"]
    assert returned == ["a", "b"]
    assert transaction.read_ids == {"a", "b"}
    assert collection.post("update", ids=["c"], metadatas=[{"status": "theirs"}]).is_success
    transaction.write("update", returned, metadatas=[{"group": "x", "status": "ours"}] * 2)
    assert transaction.commit() == 2
    statuses = [one.get("status") for one in collection.records("metadatas")["metadatas"]]
    assert statuses == ["ours", "ours", "theirs", None]


def test_several_updates_in_one_transaction(collection: CollectionClient, begin: Begin) -> None:
    names = ["left", "right"]
    collection.add(ids=names, embeddings=[VECTOR] * 2, metadatas=[{"v": "old"}] * 2)
    transaction = begin(collection)
    assert transaction.get(names)["ids"] == names
    for name in names:
        transaction.write("update", [name], metadatas=[{"v": f"new {name}"}])
    assert transaction.commit() == 2
    assert collection.records("metadatas")["metadatas"] == [{"v": "new left"}, {"v": "new right"}]


def test_another_attempt_begins_anew(collection: CollectionClient, begin: Begin) -> None:
    """Created by the second attempt, updated by one more transaction."""

    def attempt(another_is_first: bool) -> tuple[int, Any]:
        transaction = begin(collection)
        found = transaction.get(["doc"], limit=1, offset=0)
        if another_is_first:
            assert collection.post("add", ids=["doc"], embeddings=[VECTOR], metadatas=[{"n": 0}]).is_success
        if found["ids"]:
            number = found["metadatas"][0]["n"] + 1
            transaction.write("update", ["doc"], metadatas=[{"n": number}])
        else:
            transaction.write("add", ["doc"], embeddings=[VECTOR], metadatas=[{"n": 100}])
        return transaction.send_commit()

    assert attempt(another_is_first=True) == (409, CONFLICT)
    assert [attempt(another_is_first=False)[0] for _ in range(2)] == [200, 200]
    assert collection.records("metadatas")["metadatas"] == [{"n": 2}]


def test_a_later_read_sees_the_snapshot_of_the_first(collection: CollectionClient, begin: Begin) -> None:
    collection.add(ids=["a", "b"], embeddings=[VECTOR] * 2, metadatas=[{"n": 1}] * 2)
    transaction = begin(collection)
    transaction.get(["a"])
    assert collection.post("update", ids=["b"], metadatas=[{"n": 2}]).is_success
    assert transaction.get(["b"])["metadatas"] == [{"n": 1}]
    transaction.write("update", ["a"], metadatas=[{"n": 3}])
    assert transaction.send_commit() == (409, CONFLICT)
