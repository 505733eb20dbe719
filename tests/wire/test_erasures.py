"""Erasing deletes, and their reports."""

from tests.wire.clients import CollectionClient


def test_an_erasing_delete_and_its_report(collection: CollectionClient) -> None:
    collection.add(ids=["a", "b"], embeddings=[[1, 2], [3, 4]], metadatas=[{"n": 1}, {"n": 2}])
    assert collection.get("erasures").json() == []
    assert collection.post("delete", ids=["a"], erase=False).json() == {"deleted": 1}
    assert collection.post("delete", where={"n": 7}, erase=True).json() == {"deleted": 0, "erasure": None}
    answer = collection.post("delete", where={"n": 2}, erase=True).json()
    assert answer == {"deleted": 1, "erasure": answer["erasure"]}
    assert collection.post("get").json()["ids"] == []
    (report,) = collection.get("erasures").json()
    assert report == {
        "id": answer["erasure"],
        "collection_id": collection.created["id"],
        "state": "rewriting",
        "records": 1,
        "requested_at": report["requested_at"],
        "deadline": report["requested_at"] + 24 * 3600,
        "finished_at": None,
        "objects": None,
    }
    assert collection.post("delete", ids=["a"], erase="yes").status_code == 422
