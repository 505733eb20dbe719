"""Transactions of Chroma's clients: embedded, asynchronous, and of a server."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromadb
import httpx
import numpy as np
import pytest
from chromadb import Collection
from chromadb.base_types import SparseVector
from chromadb.errors import InvalidArgumentError, NotFoundError
from chromadb.execution.expression import Key, Knn, Search

import afterglow
from afterglow.embedded.transactions import CollectionTransaction
from tests.embedded.matrix import matrix
from tests.support.server import HOST, running
from tests.wire.test_stock_client import session

A, B = matrix([1.0, 2.0]), matrix([3.0, 4.0])


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    """One record, a."""
    with afterglow.PersistentClient(tmp_path) as client:
        created = client.create_collection("abc", embedding_function=None)
        created.add(ids="a", embeddings=A, documents="one", metadatas={"n": 1})
        yield created


def metadatas(collection: Collection) -> dict[str, Any]:
    found = collection.get()
    assert found["metadatas"] is not None
    return dict(zip(found["ids"], found["metadatas"], strict=True))


def test_reads_are_those_of_the_collection(collection: Collection) -> None:
    collection.upsert(ids="s", embeddings=B, metadatas={"v": SparseVector([1], [2.0])})
    for arguments in (
        {"ids": "a"},
        {"where": {"n": 1}},
        {"include": ["embeddings", "uris"]},
        {"limit": 1, "offset": 1},
    ):
        ours: dict[str, Any] = {**afterglow.transaction(collection).get(**arguments)}
        theirs: dict[str, Any] = {**collection.get(**arguments)}
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_a_commit_writes_everything(collection: Collection) -> None:
    transaction = afterglow.transaction(collection)
    assert transaction.get(ids=["a", "b", "c"])["ids"] == ["a"]
    transaction.add(ids="b", embeddings=B, metadatas={"n": 2})
    transaction.update(ids="a", metadatas={"n": 3})
    transaction.upsert(ids=["c"], embeddings=B, metadatas=[{"v": SparseVector([1], [2.0])}])
    transaction.delete(ids=["b"])
    assert metadatas(collection) == {"a": {"n": 1}}
    assert transaction.commit() == {"first_inserted_record_offset": 2, "record_count": 4}
    assert metadatas(collection) == {"a": {"n": 3}, "c": {"v": SparseVector([1], [2.0])}}


def test_a_conflict_writes_nothing(collection: Collection) -> None:
    for read in ({"ids": "a"}, {"where": {"n": 1}}, {}):
        transaction = afterglow.transaction(collection)
        transaction.get(**read)
        collection.upsert(ids="a", embeddings=A, metadatas={"n": 1})
        transaction.add(ids="z", embeddings=B)
        with pytest.raises(afterglow.TransactionAborted, match="conditional write conflict") as caught:
            transaction.commit()
        assert (caught.value.reason, caught.value.code()) == ("ConditionalWriteConflictError", 409)
    assert list(metadatas(collection)) == ["a"]


def test_run_repeats_until_there_is_no_conflict(collection: Collection) -> None:
    runs = 0

    def increment(transaction: CollectionTransaction) -> int:
        nonlocal runs
        runs += 1
        found = transaction.get(ids="a")["metadatas"]
        assert found is not None
        count = int(str(found[0]["n"])) + 1
        if runs < 3:
            collection.update(ids="a", metadatas={"n": count})
        transaction.update(ids="a", metadatas={"n": count})
        return count

    assert afterglow.transaction(collection).run(increment) == 4
    assert (runs, metadatas(collection)) == (3, {"a": {"n": 4}})
    runs = 0
    with pytest.raises(afterglow.TransactionAborted):
        afterglow.transaction(collection).run(increment, max_retries=1)
    with pytest.raises(ValueError, match="run"):
        afterglow.transaction(collection).run(lambda transaction: transaction.commit())
    with pytest.raises(ValueError, match="negative"):
        afterglow.transaction(collection).run(increment, max_retries=-1)


def test_queries_and_searches_are_those_of_the_collection(collection: Collection) -> None:
    collection.upsert(ids="s", embeddings=B, metadatas={"v": SparseVector([1], [2.0])})
    queries: tuple[dict[str, Any], ...] = (
        {"query_embeddings": A},
        {"query_embeddings": np.concatenate([A, B]), "n_results": 1, "include": ["embeddings", "uris"]},
        {"query_embeddings": A, "where": {"n": 1}, "ids": ["a", "s"]},
    )
    for arguments in queries:
        for ours in (
            afterglow.transaction(collection).query(**arguments),
            afterglow.transaction(collection).query(**arguments, exact=True),
        ):
            theirs = collection.query(**arguments)
            assert ours.keys() == theirs.keys()
            assert all(np.array_equal(dict[str, Any](ours)[name], dict[str, Any](theirs)[name]) for name in theirs)
    search = Search().where(Key("n") == 1).rank(Knn(query=[1.0, 2.0])).limit(2).select_all()
    assert afterglow.transaction(collection).search(search) == collection.search(search)


def test_what_a_query_depends_on_conflicts(collection: Collection) -> None:
    nearest = Search().rank(Knn(query=[1.0, 2.0])).limit(1)
    reads: tuple[Callable[[CollectionTransaction], object], ...] = (
        lambda transaction: transaction.query(A, n_results=1),
        lambda transaction: transaction.query(A, n_results=5, within=0.1),
        lambda transaction: transaction.search(nearest),
    )
    for number, read in enumerate(reads):
        transactions = [afterglow.transaction(collection) for _ in range(2)]
        for transaction in transactions:
            read(transaction)
        collection.upsert(ids=f"far {number}", embeddings=B)
        transactions[0].upsert(ids=f"near {number}", embeddings=A)
        transactions[0].commit()
        transactions[1].upsert(ids="never", embeddings=A)
        with pytest.raises(afterglow.TransactionAborted):
            transactions[1].commit()
    assert "never" not in collection.get()["ids"]


def test_deletes_by_filter(collection: Collection) -> None:
    transaction = afterglow.transaction(collection)
    transaction.delete(where={"n": 1})
    transaction.add(ids="b", embeddings=B)
    with pytest.raises(ValueError, match="must precede"):
        transaction.delete(where={"n": 2})
    assert transaction.commit()["record_count"] == 2
    assert list(collection.get()["ids"]) == ["b"]


def test_misuse(collection: Collection, tmp_path: Path) -> None:
    transaction = afterglow.transaction(collection)
    transaction.upsert(ids="b", embeddings=B)
    with pytest.raises(ValueError, match="'b': it cannot be read"):
        transaction.get(ids=["a", "b"])
    with pytest.raises(TypeError, match="unexpected argument 'document'"):
        transaction.add(ids="c", document="x")
    transaction.commit()
    for call in (transaction.commit, transaction.get, lambda: transaction.delete(ids=["a"])):
        with pytest.raises(ValueError, match="closed"):
            call()
    assert afterglow.transaction(collection).commit() == {"first_inserted_record_offset": None, "record_count": 0}
    wrong = afterglow.transaction(collection)
    wrong.upsert(ids="b", embeddings=matrix([1.0]))
    with pytest.raises(InvalidArgumentError, match="dimension of 2"):
        wrong.commit()
    chroma = chromadb.PersistentClient(tmp_path)
    other = chroma.get_or_create_collection("abc", embedding_function=None)
    with pytest.raises(TypeError, match="HTTP client"):
        afterglow.transaction(other)


@pytest.mark.parametrize("failures", [1, 3])
def test_a_connection_that_breaks_during_the_commit(collection: Collection, failures: int) -> None:
    transaction = afterglow.transaction(collection)
    transaction.get(ids="b")
    transaction.add(ids="b", embeddings=B)
    transaction.add(ids="c", embeddings=B)
    send = transaction._send
    sent = 0

    def lose_answer(call: str, body: dict[str, Any]) -> Any:
        nonlocal sent
        sent += 1
        answer = send(call, body)
        if sent <= failures:
            raise httpx.ReadError("broken")
        return answer

    transaction._send = lose_answer  # type: ignore[method-assign]
    if failures == 1:
        assert transaction.commit() == {"first_inserted_record_offset": 2, "record_count": 2}
    else:
        with pytest.raises(httpx.ReadError):
            transaction.commit()
    assert list(metadatas(collection)) == ["a", "b", "c"]


def test_the_asynchronous_client() -> None:
    async def main() -> None:
        async with afterglow.AsyncEphemeralClient() as client:
            collection = await client.create_collection("asynchronous", embedding_function=None)
            transaction = afterglow.transaction(collection)
            assert (await transaction.get(ids="a"))["ids"] == []
            assert (await transaction.query(A))["ids"] == [[]]
            assert (await transaction.search(Search()))["ids"] == [[]]
            transaction.add(ids="a", embeddings=A)
            assert (await transaction.commit())["record_count"] == 1

            async def once(transaction: Any) -> list[str]:
                found: list[str] = (await transaction.get())["ids"]
                if await collection.count() < 3:
                    await collection.add(ids=f"x{await collection.count()}", embeddings=A)
                transaction.delete(ids=["a"])
                return found

            assert await afterglow.transaction(collection).run(once) == ["a", "x1", "x2"]
            assert (await collection.get())["ids"] == ["x1", "x2"]
            with pytest.raises(ValueError, match="closed"):
                await transaction.commit()
            await client.delete_collection("asynchronous")
            with pytest.raises(NotFoundError):
                await afterglow.transaction(collection).get()

    asyncio.run(main())


@pytest.mark.slow
def test_the_stock_client_of_a_server(tmp_path: Path) -> None:
    with running(tmp_path) as server, session(chromadb.HttpClient(HOST, server.port)) as client:
        collection = client.create_collection("abc", embedding_function=None)
        transaction = afterglow.transaction(collection)
        assert transaction.get(ids="a")["ids"] == []
        transaction.add(ids="a", embeddings=A)
        assert transaction.commit()["record_count"] == 1
        stale = afterglow.transaction(collection)
        stale.get(ids="a")
        collection.delete(ids=["a"])
        stale.add(ids="b", embeddings=A)
        with pytest.raises(afterglow.TransactionAborted):
            stale.commit()
