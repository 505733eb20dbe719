"""One scenario for every generation of Chroma's client: a series of steps, and the outcome of each.

`run` takes a client of any chromadb from 0.4.0 on and returns a mapping from steps to outcomes in plain JSON, without
what differs from client to client: `OUTCOME` is the same for all. As a program (`-m tests.clients.scenario URL`) it
prints that mapping. It runs in each client's own environment, so it imports chromadb and nothing else.
"""

import json
import math
import sys
from collections.abc import Callable
from typing import Any

Outcome = dict[str, Any]
Version = tuple[int, ...]

WORDS = {
    "already exists": "already exists",
    "does not exist": "does not exist",
    "dimension": "dimension",
    "duplicate": "duplicate",
    "operator": "condition",
    "where clause": "condition",
    "not found": "not found",
    "could not connect to": "not found",
    "forbidden": "forbidden",
    "permission": "forbidden",
    "credentials": "forbidden",
}
"""A part of an error's text, and the kind of error it stands for: the clients' own checks word errors differently."""

FISH: dict[str, Any] = {
    "ids": ["cod", "eel", "ray", "tuna"],
    "embeddings": [[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.25, 0.5, -1.5]],
    "documents": ["a cod from the north", "an eel in a river", "a ray on the sea bed", "ein Thunfisch: größer, 🐟"],
    "metadatas": [
        {"weight": 12, "place": "north"},
        {"weight": 2.5, "place": "river"},
        {"weight": 90, "place": "north"},
        {"weight": 250, "place": "south"},
    ],
}
CONDITIONS: dict[str, Any] = {
    "equal": {"place": "north"},
    "unequal": {"place": {"$ne": "north"}},
    "between": {"$and": [{"weight": {"$gte": 12}}, {"weight": {"$lt": 100}}]},
    "either": {"$or": [{"place": "river"}, {"weight": {"$gt": 200}}]},
    "in a list": {"place": {"$in": ["river", "south"]}},
    "not in a list": {"place": {"$nin": ["river", "south"]}},
}
YOUNGER = (0, 4, 15)
SINCE: dict[str, Version] = {"where in a list": YOUNGER, "where not in a list": YOUNGER, "truths": YOUNGER}
"""The first client version that supports a step; all clients support the others."""

OUTCOME: Outcome = {
    "alive": True,
    "version is text": True,
    "nothing there": [],
    "created": ["fish", {"hnsw:space": "cosine", "topic": "fish"}],
    "created twice": "already exists",
    "got or created": True,
    "got by name": True,
    "missing": "does not exist",
    "added": 4,
    "all of it": {
        "ids": ["cod", "eel", "ray", "tuna"],
        "embeddings": [[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.25, 0.5, -1.5]],
        "documents": FISH["documents"],
        "metadatas": FISH["metadatas"],
    },
    "added again": ["a cod from the north", 4],
    "duplicates in one call": "duplicate",
    "another dimension": "dimension",
    "query of another dimension": "dimension",
    "page": ["eel", "ray"],
    "peek": ["cod", "eel"],
    "nearest": [[["cod", 0.0], ["eel", 0.0061]], [["ray", 0.0], ["tuna", 0.6877]]],
    "nearest, everything": {
        "ids": ["cod"],
        "distances": [0.0],
        "documents": ["a cod from the north"],
        "metadatas": [FISH["metadatas"][0]],
        "embeddings": [[1.0, 0.0, 0.0]],
    },
    "more than there are": 4,
    "where equal": ["cod", "ray"],
    "where unequal": ["eel", "tuna"],
    "where between": ["cod", "ray"],
    "where either": ["eel", "tuna"],
    "where in a list": ["eel", "tuna"],
    "where not in a list": ["cod", "ray"],
    "where the document has": ["cod", "ray"],
    "where it has both": ["ray"],
    "nearest where": ["ray", "cod"],
    "nearest where the document has": ["eel"],
    "a wrong condition": "condition",
    "updated": [{"weight": 13, "place": "north"}, "a cod from the north", [0.0, 0.0, 1.0]],
    "upserted": [["a pike", "a ray, seen again"], [{"weight": 7}, {"weight": 91, "place": "north"}], 5],
    "deleted by id": ["eel", "ray", "tuna", "pike"],
    "deleted where": ["ray", "pike"],
    "deleted where the document has": ["pike"],
    "renamed": [["pond"], {"topic": "ponds"}],
    "renamed, by its old name": "does not exist",
    "squares": [["a", 0.0], ["b", 25.0]],
    "products": [["b", -24.0], ["a", 1.0]],
    "many": [250, ["17", "16", "18"]],
    "truths": [["true"], {"is": True}],
    "without document or metadata": [["d"], [None], [None]],
    "names": ["many", "pond", "products", "squares"],
    "deleted": ["many", "products", "squares"],
    "deleted twice": "does not exist",
    "written after deletion": "does not exist",
    "reset": [],
}


def run(client: Any, release: Version) -> Outcome:
    """The outcomes; `release` is the version of the client, as three numbers. The server must allow `reset`."""
    outcome: Outcome = {"alive": client.heartbeat() > 10**18, "version is text": isinstance(client.get_version(), str)}
    outcome["nothing there"] = names(client)
    fish = client.create_collection("fish", metadata={"hnsw:space": "cosine", "topic": "fish"}, embedding_function=None)
    outcome["created"] = [fish.name, fish.metadata]
    outcome["created twice"] = error_kind(client.create_collection, "fish", embedding_function=None)
    again = client.get_or_create_collection("fish", embedding_function=None)
    outcome["got or created"] = again.id == fish.id
    outcome["got by name"] = client.get_collection("fish", embedding_function=None).id == fish.id
    outcome["missing"] = error_kind(client.get_collection, "nosuch", embedding_function=None)
    fish.add(**FISH)
    outcome["added"] = fish.count()
    read(fish, outcome, release)
    change(fish, outcome)
    fish.modify(name="pond", metadata={"topic": "ponds"})
    pond = client.get_collection("pond", embedding_function=None)
    outcome["renamed"] = [names(client), pond.metadata]
    outcome["renamed, by its old name"] = error_kind(client.get_collection, "fish", embedding_function=None)
    spaces(client, outcome)
    many(client, outcome, release)
    outcome["names"] = names(client)
    client.delete_collection("pond")
    outcome["deleted"] = names(client)
    outcome["deleted twice"] = error_kind(client.delete_collection, "pond")
    outcome["written after deletion"] = error_kind(pond.add, ids=["late"], embeddings=[[1.0, 2.0, 3.0]])
    client.reset()
    outcome["reset"] = names(client)
    return outcome


def read(fish: Any, outcome: Outcome, release: Version) -> None:
    got = fish.get(include=["embeddings", "documents", "metadatas"])
    outcome["all of it"] = {
        "ids": got["ids"],
        "embeddings": numbers(got["embeddings"]),
        "documents": got["documents"],
        "metadatas": got["metadatas"],
    }
    outcome["duplicates in one call"] = error_kind(fish.upsert, ids=["x", "x"], embeddings=[[1.0, 0.0, 0.0]] * 2)
    outcome["another dimension"] = error_kind(fish.upsert, ids=["x"], embeddings=[[1.0, 0.0]])
    outcome["query of another dimension"] = error_kind(fish.query, query_embeddings=[[1.0, 0.0]], n_results=1)
    fish.add(ids=["cod"], embeddings=[[0.0, 0.0, 1.0]], documents=["another cod"])
    outcome["added again"] = [fish.get(ids=["cod"])["documents"][0], fish.count()]
    outcome["page"] = fish.get(limit=2, offset=1)["ids"]
    outcome["peek"] = fish.peek(2)["ids"]
    found = fish.query(query_embeddings=[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], n_results=2)
    outcome["nearest"] = [ranked(found, 0), ranked(found, 1)]
    fields = ["distances", "documents", "metadatas", "embeddings"]
    found = fish.query(query_embeddings=[[1.0, 0.0, 0.0]], n_results=1, include=fields)
    outcome["nearest, everything"] = {
        "ids": found["ids"][0],
        "distances": numbers(found["distances"][0]),
        "documents": found["documents"][0],
        "metadatas": found["metadatas"][0],
        "embeddings": numbers(found["embeddings"][0]),
    }
    outcome["more than there are"] = len(fish.query(query_embeddings=[[1.0, 0.0, 0.0]], n_results=10)["ids"][0])
    for name, condition in CONDITIONS.items():
        if release >= SINCE.get("where " + name, (0, 0, 0)):
            outcome["where " + name] = fish.get(where=condition)["ids"]
    outcome["where the document has"] = fish.get(where_document={"$contains": "the"})["ids"]
    outcome["where it has both"] = fish.get(where_document={"$and": [{"$contains": "sea"}, {"$contains": "bed"}]})[
        "ids"
    ]
    outcome["nearest where"] = fish.query(query_embeddings=[[0.0, 1.0, 0.1]], n_results=2, where={"place": "north"})[
        "ids"
    ][0]
    outcome["nearest where the document has"] = fish.query(
        query_embeddings=[[0.0, 1.0, 0.1]], n_results=2, where_document={"$contains": "river"}
    )["ids"][0]
    outcome["a wrong condition"] = error_kind(fish.get, where={"place": {"$sounds_like": "x"}})


def change(fish: Any, outcome: Outcome) -> None:
    fish.update(ids=["cod"], embeddings=[[0.0, 0.0, 1.0]], metadatas=[{"weight": 13}])
    got = fish.get(ids=["cod"], include=["embeddings", "documents", "metadatas"])
    outcome["updated"] = [got["metadatas"][0], got["documents"][0], numbers(got["embeddings"])[0]]
    fish.upsert(
        ids=["pike", "ray"],
        embeddings=[[0.5, 0.5, 0.0], [0.0, 1.0, 0.5]],
        documents=["a pike", "a ray, seen again"],
        metadatas=[{"weight": 7}, {"weight": 91}],
    )
    got = fish.get(ids=["pike", "ray"])
    order = [got["ids"].index(name) for name in ("pike", "ray")]
    outcome["upserted"] = [[got[field][row] for row in order] for field in ("documents", "metadatas")] + [fish.count()]
    fish.delete(ids=["cod"])
    outcome["deleted by id"] = fish.get()["ids"]
    fish.delete(where={"place": {"$ne": "north"}}, ids=["eel", "tuna", "ray"])
    outcome["deleted where"] = fish.get()["ids"]
    fish.delete(where_document={"$contains": "seen again"})
    outcome["deleted where the document has"] = fish.get()["ids"]


def spaces(client: Any, outcome: Outcome) -> None:
    for space, step, query in (("l2", "squares", [0.0, 0.0]), ("ip", "products", [3.0, 4.0])):
        collection = client.create_collection(step, metadata={"hnsw:space": space}, embedding_function=None)
        collection.add(ids=["a", "b"], embeddings=[[0.0, 0.0], [3.0, 4.0]])
        found = collection.query(query_embeddings=[query], n_results=2)
        outcome[step] = ranked(found, 0)


def many(client: Any, outcome: Outcome, release: Version) -> None:
    collection = client.create_collection("many", embedding_function=None)
    collection.add(
        ids=[str(n) for n in range(250)],
        embeddings=[[float(n), n / 2.0, 1.0, 0.125] for n in range(250)],
        metadatas=[{"n": n} for n in range(250)],
        documents=[f"number {n}" for n in range(250)],
    )
    found = collection.query(query_embeddings=[[17.1, 8.5, 1.0, 0.125]], n_results=3, where={"n": {"$gte": 10}})
    outcome["many"] = [collection.count(), [found["ids"][0][0], *sorted(found["ids"][0][1:])]]
    if release >= SINCE["truths"]:
        vectors = [[0.0, 0.0, 0.0, -1.0], [0.0, 0.0, 0.0, -2.0]]
        collection.add(ids=["true", "false"], embeddings=vectors, metadatas=[{"is": True}, {"is": False}])
        got = collection.get(where={"is": True})
        outcome["truths"] = [got["ids"], got["metadatas"][0]]
    collection.add(ids=["d"], embeddings=[[0.0, 0.0, 0.0, 0.0]])
    got = collection.get(ids=["d"])
    outcome["without document or metadata"] = [got["ids"], got["metadatas"], got["documents"]]


def names(client: Any) -> list[str]:
    """The names of the collections; some clients list names, others collections."""
    return sorted(entry if isinstance(entry, str) else entry.name for entry in client.list_collections())


def ranked(found: Any, query: int) -> list[Any]:
    """The result of one query: ids and distances."""
    return [[name, close(at)] for name, at in zip(found["ids"][query], found["distances"][query], strict=True)]


def error_kind(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """Calls, and returns the kind of error (`WORDS`) that was raised; the whole text of an unknown error."""
    try:
        call(*arguments, **options)
    except Exception as error:  # noqa: BLE001 - whatever this client raises
        # The error of requests contains only the status.
        text = (str(error) + getattr(getattr(error, "response", None), "text", "")).lower()
        return next((kind for word, kind in WORDS.items() if word in text), text)
    return "not refused"


def close(number: Any) -> float:
    """A distance, rounded to what all clients agree on; -0 becomes 0."""
    return math.floor(float(number) * 10_000 + 0.5) / 10_000 + 0.0


def numbers(values: Any) -> list[Any]:
    """Nested lists of rounded floats, from any sequences."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    return [numbers(value) if hasattr(value, "__len__") else close(value) for value in values]


def address(url: str) -> tuple[str, int]:
    """Host and port of a URL."""
    host, _, port = url.partition("://")[2].partition(":")
    return host, int(port)


def version() -> Version:
    """The version of the installed chromadb."""
    import chromadb

    return tuple(int(number) for number in chromadb.__version__.split(".")[:3])


def connect(url: str) -> Any:
    """A client of the installed chromadb, without telemetry."""
    import chromadb
    from chromadb.config import Settings

    host, port = address(url)
    return chromadb.HttpClient(host=host, port=port, settings=Settings(anonymized_telemetry=False))


if __name__ == "__main__":
    json.dump(run(connect(sys.argv[1]), version()), sys.stdout)
