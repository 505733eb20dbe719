"""What comes from a genuine Chroma is what was there: record by record, and query by query."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from afterglow.bulk import chroma_server
from afterglow.bulk.endpoint import CollectionInfo, with_legacy_parameters
from afterglow.bulk.http_connection import HttpConnection
from afterglow.bulk.http_endpoint import HttpEndpoint
from afterglow.bulk.local_endpoint import LocalEndpoint
from afterglow.bulk.migrate import MigrationFilter, MigrationReport, migrate
from afterglow.collection.types import Records
from afterglow.errors import InvalidArgument, NotFound, Unavailable
from afterglow.settings import System
from tests.bulk import chroma
from tests.bulk.records import everything, plain
from tests.support.server import running

pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).with_name("afterglow")
ALL = MigrationFilter()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a genuine Chroma, filled by a process of its own, which is done with it."""
    path = tmp_path_factory.mktemp("genuine") / "chroma"
    code = f"from pathlib import Path; from tests.bulk import chroma; chroma.fill(Path({str(path)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=Path(__file__).parents[2])
    return path


@pytest.fixture(scope="module")
def url(filled: Path) -> Iterator[str]:
    with chroma_server.serve(filled, System()) as served:
        yield served


@pytest.fixture
def source(url: str, filled: Path) -> Iterator[HttpEndpoint]:
    connection = HttpConnection(url, System())
    yield HttpEndpoint(connection, chroma_server.tenants(filled))
    connection.close()


def nothing(*_: object) -> None:
    pass


def moved(
    source: HttpEndpoint, target: LocalEndpoint | HttpEndpoint, selected: MigrationFilter = ALL
) -> dict[str, MigrationReport]:
    return {str(item.collection): item for item in migrate(source, target, selected, nothing)}


NAMES = [
    *(f"default_tenant/default_database/{name}" for name in ("bare", "empty", "everything", "legacy", "schematic")),
    "default_tenant/second/everything",
    "other_tenant/theirs/mine",
]


def test_tenants_are_read_from_the_directory(filled: Path, tmp_path: Path) -> None:
    assert chroma_server.tenants(filled) == ["default_tenant", "other_tenant"]
    with pytest.raises(NotFound, match="not a directory of Chroma"):
        chroma_server.tenants(tmp_path)


def test_all_of_it_arrives_in_a_directory(source: HttpEndpoint, local: LocalEndpoint) -> None:
    found = moved(source, local)
    assert list(found) == NAMES
    assert [item.differences for item in found.values()] == [[]] * len(NAMES)
    assert found[NAMES[2]].records == 698
    assert found[NAMES[2]].sampled == 500
    for item in found.values():
        ours = local.find(item.collection.tenant, item.collection.database, item.collection.name)
        assert ours is not None
        assert everything(local.read(ours)) == everything(source.read(item.collection))
        assert (ours.configuration, ours.metadata) == (item.collection.configuration, item.collection.metadata)
    schematic = local.find("default_tenant", "default_database", "schematic")
    assert schematic is not None
    assert schematic.schema is not None
    assert schematic.schema["keys"]["unindexed"]["string"]["string_inverted_index"]["enabled"] is False


def test_all_of_it_arrives_at_a_server_and_answers_alike(source: HttpEndpoint, url: str, tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        connection = HttpConnection(f"http://{server.host}:{server.port}", System())
        found = moved(source, HttpEndpoint(connection))
        connection.close()
        assert {name: item.differences for name, item in found.items()} == {name: [] for name in NAMES}
        host, _, port = url.removeprefix("http://").partition(":")
        pairs = [
            chromadb.HttpClient(host=host, port=int(port), settings=chroma.quiet()),
            chromadb.HttpClient(host=server.host, port=server.port, settings=chroma.quiet()),
        ]
        theirs, ours = (pair.get_collection("everything", embedding_function=None) for pair in pairs)
        assert theirs.metadata == ours.metadata
        queries = np.random.default_rng(5).standard_normal((20, chroma.DIMENSION)).astype(np.float32)
        filters: list[dict[str, Any]] = [
            {},
            {"where": {"i": {"$gte": 100}}},
            {"where": {"f": 3.0}},
            {"where": {"$and": [{"b": True}, {"s": "word 3"}]}},
            {"where": {"strings": {"$contains": "2"}}},
            {"where_document": {"$contains": "“quoted”"}},
        ]
        for given in filters:
            left, right = (item.query(queries, n_results=10, include=["distances"], **given) for item in (theirs, ours))
            np.testing.assert_allclose(np.array(left["distances"]), np.array(right["distances"]), rtol=1e-5)
            assert left["ids"] == right["ids"]


class Failing:
    """A target that is lost after some writes: before the last of them is done, or before it is acknowledged."""

    def __init__(self, target: LocalEndpoint, writes: int, *, done: bool) -> None:
        self._target, self._writes, self._done = target, writes, done
        self.max_rows = 90

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def add(self, collection: CollectionInfo, records: Records) -> None:
        self._writes -= 1
        if self._writes > 0 or self._done:
            self._target.add(collection, records)
        if self._writes <= 0:
            raise Unavailable("on purpose")


@pytest.mark.parametrize("done", [False, True])
def test_what_was_interrupted_is_continued(source: HttpEndpoint, local: LocalEndpoint, done: bool) -> None:
    selected = MigrationFilter(collection="everything", database="default_database")
    with pytest.raises(Unavailable, match="on purpose"):
        moved(source, Failing(local, 3, done=done), selected)  # type: ignore[arg-type]
    (found,) = moved(source, local, selected).values()
    assert (found.already_present, found.records, found.differences) == (270 if done else 180, 698, [])
    ours = local.find("default_tenant", "default_database", "everything")
    assert ours is not None
    assert everything(local.read(ours)) == everything(source.read(found.collection))
    (again,) = moved(source, local, selected).values()
    assert (again.already_present, again.differences) == (698, [])


def test_parts_of_it(source: HttpEndpoint, local: LocalEndpoint) -> None:
    assert list(moved(source, local, MigrationFilter(tenant="other_tenant"))) == NAMES[-1:]
    assert list(moved(source, local, MigrationFilter(database="second"))) == NAMES[-2:-1]
    assert moved(source, local, MigrationFilter(collection="nosuch")) == {}
    assert local.databases("default_tenant") == ["default_database", "second"]


def test_what_is_not_the_beginning_of_the_source_is_left_alone(source: HttpEndpoint, local: LocalEndpoint) -> None:
    like = CollectionInfo("", "default_tenant", "default_database", "everything")
    made = local.create_collection(like)
    vectors = np.ones((2, chroma.DIMENSION), dtype=np.float32)
    local.add(made, Records(["ключ-0000", "another"], vectors))
    with pytest.raises(InvalidArgument, match=r"record 2, 'another', is not that of the source"):
        moved(source, local, MigrationFilter(database="default_database", collection="everything"))
    assert local.count(made) == 2


def test_differences_are_reported(source: HttpEndpoint, local: LocalEndpoint) -> None:
    """A collection that looks like the beginning, and is not: other contents, another configuration, one too many."""
    like = CollectionInfo(
        "", "default_tenant", "default_database", "bare", {"hnsw": {"space": "l2"}}, metadata={"x": 1}
    )
    vectors = np.array([[0.5] * 3, [9] * 3], dtype=np.float32)
    local.add(local.create_collection(like), Records(["a", "b"], vectors, documents=["said", None]))
    (found,) = moved(source, local, MigrationFilter(collection="bare")).values()
    differences = "\n".join(found.differences)
    assert '"space":"ip"' in differences
    assert "metadata is null in the source" in differences
    assert "record 'a' has another document" in differences
    assert "record 'b' has another embedding" in differences


def test_types_of_numbers_are_distinct() -> None:
    one, other = (Records(["a"], np.zeros((1, 1), np.float32), metadatas=[item]) for item in (b'{"x":1}', b'{"x":1.0}'))
    assert plain(one) != plain(other)


def test_a_directory_that_is_damaged(tmp_path: Path) -> None:
    (tmp_path / chroma_server.TABLE).write_bytes(b"not a table" * 100)
    with pytest.raises(Unavailable, match="could not open"), chroma_server.serve(tmp_path, System()):
        pass


def test_the_command(filled: Path, tmp_path: Path) -> None:
    copy, data = tmp_path / "chroma", tmp_path / "data"
    shutil.copytree(filled, copy)
    command = [str(PROGRAM), "import", "--from-chroma", str(copy), "--path", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[2] == "default_tenant/default_database/everything: 698 records; 500 compared: equal"
    assert lines[-1] == "7 collections, 704 records, 0 with differences, 0 failed"
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 0
    assert "everything: 698 records, 698 of them copied before; 500 compared: equal" in again.stdout
    sound = subprocess.run([PROGRAM, "verify", "--path", str(data)], capture_output=True, text=True, check=False)
    assert sound.returncode == 0


def damage(path: Path, name: str, how: str) -> None:
    """Damage the vectors of a collection, which are in the folder of its segment."""
    with closing(sqlite3.connect(path / "chroma.sqlite3")) as table:
        ((segment,),) = table.execute(
            "SELECT s.id FROM segments s JOIN collections c ON s.collection = c.id "
            "WHERE c.name = ? AND s.scope = 'VECTOR'",
            [name],
        ).fetchall()
    folder = path / segment
    if how == "gone":
        shutil.rmtree(folder)
        return
    for file in ("data_level0.bin", "header.bin"):
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: len(content) // 3])


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_damaged_collection_does_not_stop_the_others(how: str, tmp_path: Path, local: LocalEndpoint) -> None:
    path = tmp_path / "chroma"
    code = f"from pathlib import Path; from tests.bulk import chroma; chroma.fill_many(Path({str(path)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=Path(__file__).parents[2])
    damage(path, "many2", how)
    with chroma_server.open_server(path, System()) as server:
        connection = HttpConnection(server.url, System(), is_running=server.is_running)
        endpoint = HttpEndpoint(connection, ["default_tenant"])
        found = {item.collection.name: item for item in migrate(endpoint, local, ALL, nothing, server.restart)}
        connection.close()
    assert list(found) == [f"many{number}" for number in range(6)]
    assert found["many2"].failure
    for name, item in found.items():
        if name != "many2":
            assert (item.failure, item.differences, item.records) == (None, [], 1200)


def test_parameters_in_the_metadata_are_the_configuration() -> None:
    """As a server of Chroma 0.4 to 0.6 describes a collection: defaults, whatever the metadata says."""
    defaults = {"hnsw": {"space": "l2", "max_neighbors": 16, "ef_search": 100}, "spann": None}
    legacy = CollectionInfo("1", "t", "d", "n", defaults, metadata={"hnsw:space": "cosine", "hnsw:M": 24, "a": 1})
    assert with_legacy_parameters(legacy) == {
        "hnsw": {"space": "cosine", "max_neighbors": 24, "ef_search": 100},
        "spann": None,
    }
    old = {
        "_type": "x",
        "hnsw_configuration": {"_type": "y", "space": "l2", "M": 16, "num_threads": 2, "ef_search": 10},
    }
    assert with_legacy_parameters(CollectionInfo("1", "t", "d", "n", old, metadata={"hnsw:space": "ip"})) == {
        "hnsw": {"space": "ip", "max_neighbors": 16, "ef_search": 10},
        "spann": None,
        "embedding_function": None,
    }
    plain_one = CollectionInfo("1", "t", "d", "n", defaults, metadata={"a": 1})
    assert with_legacy_parameters(plain_one) == defaults
