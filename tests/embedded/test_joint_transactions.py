"""Transactions of several collections by the clients: embedded, and asynchronous."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from chromadb import Collection

import afterglow
from afterglow.embedded.joint_transactions import JointTransaction
from tests.embedded.matrix import matrix

A = matrix([1.0, 2.0])


@pytest.fixture
def accounts() -> Iterator[tuple[Collection, Collection]]:
    """Two collections with the record a, of 10 each."""
    with afterglow.EphemeralClient() as client:
        first, second = (client.create_collection(name, embedding_function=None) for name in ("first", "second"))
        for one in (first, second):
            one.add(ids="a", embeddings=A, metadatas={"n": 10})
        yield first, second
        for name in ("first", "second"):
            client.delete_collection(name)


def amount(found: Any) -> int:
    return int(found["metadatas"][0]["n"])


def test_run_repeats_both_until_there_is_no_conflict(accounts: tuple[Collection, Collection]) -> None:
    first, second = accounts
    runs = 0

    def transfer(joint: JointTransaction) -> None:
        nonlocal runs
        runs += 1
        values = [amount(joint[one].get(ids="a")) for one in accounts]
        if runs == 1:
            second.update(ids="a", metadatas={"n": 20})
        joint[first].update(ids="a", metadatas={"n": values[0] - 1})
        joint[second].update(ids="a", metadatas={"n": values[1] + 1})

    afterglow.joint_transaction(first, second).run(transfer)
    assert (runs, [amount(one.get()) for one in accounts]) == (2, [9, 21])
    with pytest.raises(ValueError, match="run"):
        afterglow.joint_transaction(first, second).run(lambda joint: joint.commit())


def test_a_connection_that_breaks_during_the_commit(accounts: tuple[Collection, Collection]) -> None:
    """A part that has read nothing is recognised as well."""
    joint = afterglow.joint_transaction(*accounts)
    for one in accounts:
        joint[one].add(ids="b", embeddings=A)
    send, sent = joint._send, 0

    def lose_first_answer(request: dict[str, Any]) -> Any:
        nonlocal sent
        sent += 1
        answer = send(request)
        if sent == 1:
            raise httpx.ReadError("broken")
        return answer

    joint._send = lose_first_answer  # type: ignore[method-assign]
    result = {"first_inserted_record_offset": 2, "record_count": 1}
    assert joint.commit() == {"first": result, "second": result}
    assert sent == 2
    assert [one.count() for one in accounts] == [2, 2]


def test_what_was_only_read_conflicts_too(accounts: tuple[Collection, Collection]) -> None:
    first, second = accounts
    for writes in (True, False):
        joint = afterglow.joint_transaction(first, second)
        joint[first].get(ids="a")
        joint[second].get(where={"n": 10})
        if writes:
            joint[first].delete(ids=["a"])
        second.add(ids=f"new {writes}", embeddings=A, metadatas={"n": 10})
        with pytest.raises(afterglow.TransactionAborted) as caught:
            joint.commit()
        assert caught.value.code() == 409
    assert first.count() == 1
    joint = afterglow.joint_transaction(first, second)
    joint[first].get(ids="a")
    assert joint.commit() == {"first": {"first_inserted_record_offset": None, "record_count": 0}}


def test_misuse(accounts: tuple[Collection, Collection]) -> None:
    first, second = accounts
    for several in ((first, first), ()):
        with pytest.raises(ValueError, match="different collections"):
            afterglow.joint_transaction(*several)
    joint = afterglow.joint_transaction(first, second)
    for call in (joint[first].commit, lambda: joint[first].run(lambda part: None)):
        with pytest.raises(ValueError, match="commits its parts"):
            call()
    assert joint.commit() == {}
    for write in (joint.commit, lambda: joint[first].delete(ids=["a"])):
        with pytest.raises(ValueError, match="closed"):
            write()


def test_the_asynchronous_client() -> None:
    async def main() -> None:
        async with afterglow.AsyncEphemeralClient() as client:
            names = ("first", "second")
            first, second = [await client.create_collection(name, embedding_function=None) for name in names]

            async def insert(joint: Any) -> None:
                found = await joint[first].get(ids="a")
                if await first.count() == 0:
                    await first.add(ids="a", embeddings=A)
                joint[second].add(ids=found["ids"] or ["none"], embeddings=A)

            await afterglow.joint_transaction(first, second).run(insert)
            assert (await second.get())["ids"] == ["a"]
            joint = afterglow.joint_transaction(first, second)
            joint[second].delete(ids=["a"])
            assert await joint.commit() == {"second": {"first_inserted_record_offset": 2, "record_count": 1}}

    asyncio.run(main())
