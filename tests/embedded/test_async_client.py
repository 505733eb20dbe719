"""The asynchronous embedded clients."""

import asyncio
from pathlib import Path

import pytest
from chromadb.api import AsyncClientAPI
from chromadb.config import Settings
from chromadb.errors import NotFoundError

import afterglow
from tests.clients.blocking import blocking
from tests.clients.scenario import OUTCOME, run
from tests.embedded.matrix import matrix

RESETTABLE = Settings(allow_reset=True)


def test_an_awaited_client_passes_the_scenario_of_all_clients(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:

        async def open_client() -> afterglow.AsyncPersistentClient:
            return await afterglow.AsyncPersistentClient(tmp_path, RESETTABLE)

        client = runner.run(open_client())
        assert isinstance(client, AsyncClientAPI)
        assert run(blocking(client, runner), (1, 5, 9)) == OUTCOME
        runner.run(client.close())


def test_async_with_closes_the_client() -> None:
    async def main() -> None:
        async with afterglow.AsyncEphemeralClient() as client:
            collection = await client.create_collection("abc", embedding_function=None)
            await collection.add(ids=["a", "b"], embeddings=matrix([1.0, 2.0], [3.0, 4.0]))
            with afterglow.EphemeralClient() as other:
                assert other.get_collection("abc", embedding_function=None).count() == 2
        await client.close()
        with pytest.raises(RuntimeError, match="closed"):
            await collection.count()
        async with afterglow.AsyncEphemeralClient() as client:
            assert await client.list_collections() == []

    asyncio.run(main())


def test_concurrent_requests(tmp_path: Path) -> None:
    async def main() -> None:
        async with afterglow.AsyncPersistentClient(tmp_path) as client:
            collection = await client.create_collection("abc", embedding_function=None)
            await asyncio.gather(*(collection.add(ids=[str(n)], embeddings=matrix([float(n), 1.0])) for n in range(50)))
            results = await asyncio.gather(
                *(collection.query(query_embeddings=matrix([float(n), 1.0]), n_results=1) for n in range(50))
            )
            assert [result["ids"] for result in results] == [[[str(n)]] for n in range(50)]

    asyncio.run(main())


def test_a_client_may_be_used_on_another_loop(tmp_path: Path) -> None:
    async def open_client() -> afterglow.AsyncPersistentClient:
        return await afterglow.AsyncPersistentClient(tmp_path)

    client = asyncio.run(open_client())
    assert asyncio.run(client.heartbeat()) > 0
    asyncio.run(client.close())


def test_a_missing_tenant(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(NotFoundError, match=r"Tenant \[acme\] not found"):
            await afterglow.AsyncPersistentClient(tmp_path, tenant="acme")

    asyncio.run(main())
