"""Handlers of v1's collection routes: a collection in its old form, by name or id."""

import orjson

from afterglow.api import collections, legacy
from afterglow.api.service import Answer, Call, Service
from afterglow.api.v1 import calls

_NULL = b"null"
_OLDEST = ("id", "name", "metadata")


def create(service: Service, call: Call) -> Answer:
    """Make a collection, or answer the one that is there."""
    placed = calls.without_empty_metadata(calls.within_database(call), "metadata")
    with calls.unique(call, "Collection"):
        return _old(collections.create(service, placed))


def list_all(service: Service, call: Call) -> Answer:
    """A database's collections, by id.

    Clients before 0.5 refuse keys that they do not know, in this answer alone; they came with requests, later ones with
    httpx.
    """
    found = orjson.loads(collections.list_all(service, calls.within_database(call)).body)
    if call.headers.get(b"user-agent", b"").startswith(b"python-requests/"):
        return Answer(orjson.dumps([{name: each[name] for name in _OLDEST} for each in found]))
    return Answer(orjson.dumps([legacy.collection(each) for each in found]))


def count(service: Service, call: Call) -> Answer:
    """How many collections a database has."""
    return collections.count(service, calls.within_database(call))


def get(service: Service, call: Call) -> Answer:
    """A collection by name."""
    with calls.worded(call.part("collection_id")):
        return _old(collections.get(service, calls.within_database(call)))


def update(service: Service, call: Call) -> Answer:
    """Rename a collection, replace its metadata."""
    placed = calls.without_empty_metadata(calls.of_collection(service, call), "new_metadata")
    with calls.worded(call.part("collection_id")), calls.unique(call, "Collection", field="new_name"):
        collections.update(service, placed)
    return Answer(_NULL)


def delete(service: Service, call: Call) -> Answer:
    """Drop a collection by name."""
    with calls.worded(call.part("collection_id")):
        collections.delete(service, calls.within_database(call))
    return Answer(_NULL)


def _old(answer: Answer) -> Answer:
    return Answer(orjson.dumps(legacy.collection(orjson.loads(answer.body))))
