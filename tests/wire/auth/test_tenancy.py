"""Whoever holds a key cannot tell the world from one in which nothing is outside of the key's scope.

Two worlds live through the same scenario. In the first there is more than the key's scope: other tenants, other
databases of its tenant, with collections of the same names, which somebody changes as the scenario goes on. In the
second there is nothing else. The holder of the key sends the same requests to both, to every route of the table, about
what is its own, what is not, and what is nowhere; the answers must be equal byte by byte, but for the ids of what it
created itself. And what is outside must be as it was after each of its requests.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterglow.api import models
from afterglow.api.http.route import Route
from afterglow.api.v2.routes import ROUTES
from afterglow.auth import Role
from tests.wire.auth.auth_fixture import V1, V2, AppResponse, AuthFixture, auth_fixture

MINE = ("mine", "home")
FOREIGN = (("mine", "other"), ("theirs", "home"), ("theirs", "other"))
NOWHERE = ("nobody", "nothing")
NAMES = ("books", "notes", "films")
IDS = ("a", "b", "c")
NO_ID = str(UUID(int=7, version=4))
TRIED = [route.loaded() for route in ROUTES if not route.hidden]

SCOPES: dict[str, tuple[str, list[str] | None]] = {"tenant": ("mine", None), "database": ("mine", ["home"])}


def outside(scope: str) -> tuple[tuple[str, str], ...]:
    """The places that the scope leaves out."""
    return FOREIGN if scope == "database" else FOREIGN[1:]


vectors = st.lists(st.sampled_from([0.0, 1.0, -2.0]), min_size=2, max_size=2)
wheres = st.sampled_from([None, {"k": 1}, {"k": {"$gte": 0}}, {"$or": [{"k": 0}, {"k": 2}]}])


def bodies(route: Route) -> st.SearchStrategy[Any]:
    """Requests that mostly make sense."""
    ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True)
    name = st.sampled_from(NAMES)
    metadata = st.fixed_dictionaries({"k": st.integers(0, 2)})
    records = ids.flatmap(
        lambda chosen: st.fixed_dictionaries(
            {
                "ids": st.just(chosen),
                "embeddings": st.lists(vectors, min_size=len(chosen), max_size=len(chosen)),
                "metadatas": st.lists(metadata, min_size=len(chosen), max_size=len(chosen)),
                "documents": st.just([f"about {item}" for item in chosen]),
            }
        )
    )
    one_of: dict[Any, st.SearchStrategy[Any]] = {
        None: st.none(),
        models.AddRecords: records,
        models.UpsertRecords: records,
        models.UpdateRecords: records,
        models.GetRecords: st.fixed_dictionaries({"where": wheres}, optional={"ids": ids}),
        models.DeleteRecords: st.one_of(
            st.fixed_dictionaries({"ids": ids}), st.fixed_dictionaries({"where": st.just({"k": 1})})
        ),
        models.ConditionalGet: st.fixed_dictionaries({"where": wheres}, optional={"ids": ids}),
        models.ConditionalCommit: st.fixed_dictionaries(
            {"operations": st.lists(records.map(lambda one: {"operation": "upsert", "payload": one}), max_size=2)}
        ),
        models.QueryRecords: st.fixed_dictionaries({"query_embeddings": st.lists(vectors, min_size=1, max_size=2)}),
        models.CreateCollection: st.fixed_dictionaries({"name": name, "get_or_create": st.booleans()}),
        models.UpdateCollection: st.fixed_dictionaries({}, optional={"new_name": name, "new_metadata": metadata}),
        models.CreateDatabase: st.fixed_dictionaries({"name": st.sampled_from(["home", "other", "more"])}),
        models.CreateTenant: st.fixed_dictionaries({"name": st.sampled_from(["mine", "theirs", "nobody"])}),
        models.UpdateTenant: st.fixed_dictionaries({"resource_name": st.sampled_from(["crn-mine", "crn-theirs"])}),
        models.ForkCollection: st.fixed_dictionaries({"new_name": name}),
    }
    return one_of.get(route.request, st.just({}))


@dataclass(frozen=True)
class Target:
    """What a request is about: a place, and a collection of that place or of another by number and by name."""

    place: tuple[str, str]
    owner: tuple[str, str]
    number: int
    by_name: bool


targets = st.builds(
    Target,
    place=st.sampled_from([MINE, MINE, *FOREIGN, NOWHERE, ("mine", "nothing")]),
    owner=st.sampled_from([MINE, MINE, *FOREIGN, NOWHERE]),
    number=st.integers(0, 2),
    by_name=st.booleans(),
)
requests = st.sampled_from(TRIED).flatmap(lambda route: st.tuples(st.just(route), targets, bodies(route)))
theirs = st.tuples(st.sampled_from(FOREIGN), st.sampled_from(["add", "upsert", "delete", "create", "drop", "name"]))
scenarios = st.lists(st.one_of(requests, requests, requests, theirs), min_size=1, max_size=8)


@dataclass
class Party:
    """One world, as the key's holder has it: its collections in the order in which it created them."""

    fixture: AuthFixture
    root: str
    key: str
    mine: list[str] = field(default_factory=list)
    foreign: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def collection(self, target: Target, foreign: dict[tuple[str, str], list[str]]) -> str:
        """The id that a target means here; what is foreign has the id of the first world in both."""
        ids = self.mine if target.owner == MINE else foreign.get(target.owner, [])
        return ids[target.number % len(ids)] if ids else NO_ID

    def send(self, route: Route, target: Target, body: Any, foreign: dict[tuple[str, str], list[str]]) -> AppResponse:
        tenant, database = (quote(part, safe="") for part in target.place)
        named = target.by_name and "/by-id" not in route.path
        collection = NAMES[target.number] if named else self.collection(target, foreign)
        parts = {
            "tenant": tenant,
            "database": database,
            "collection_id": collection,
            "crn": f"crn-{target.owner[0]}:{target.owner[1]}:{NAMES[target.number]}",
            "function_name": "f",
            "import_id": "0",
            "key": "0" * 12,
        }
        path = re.sub(r"\{(\w+)\}", lambda result: parts[result[1]], route.path)
        query = f"?tenant={tenant}&database={database}" if path.startswith(V1) else ""
        response = self.fixture.ask(route.method, path + query, body, self.key)
        is_made = route.request in (models.CreateCollection, models.ForkCollection) and response.status == 200
        if is_made and response.json()["id"] not in self.mine:
            self.mine.append(response.json()["id"])
        return response

    def comparable(self, response: AppResponse) -> tuple[int, str, list[str]]:
        """An answer as it is to be compared: the ids of the holder's own collections by number."""
        text = response.body.decode().replace(self.key[2:14], "<key>")
        for number, item in enumerate(self.mine):
            text = text.replace(item, f"<{number}>")
        databases = re.sub(r'"id":"[0-9a-f-]{36}"(?=,"name":"[^"]*","tenant":"mine"\})', '"id":"<database>"', text)
        return response.status, in_order(databases), sorted(response.headers.keys() - {"content-length"})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Something that is none of the holder's business."""
        response = self.fixture.ask(method, path, body, self.root)
        assert response.status < 500, response.body
        return response.json()

    def outside(self, places: tuple[tuple[str, str], ...]) -> Any:
        """All that is there outside of the scope."""
        result = []
        for tenant, database in places:
            base = f"{V2}/tenants/{tenant}/databases/{database}"
            for item in self.ask("GET", base + "/collections"):
                records = self.ask("POST", f"{base}/collections/{item['id']}/get", {"include": ["embeddings"]})
                result.append((tenant, database, item, records))
        theirs = [self.ask("GET", f"{V2}/tenants/{tenant}/databases") for tenant in ("theirs", "nobody")]
        return result, theirs, self.ask("GET", f"{V2}/tenants/theirs")


def in_order(text: str) -> str:
    """Collections are listed by id, which is another in each world."""
    value = orjson.loads(text) if text else None
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = sorted(value, key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS))
        return orjson.dumps(value).decode()
    return text


def change(party: Party, place: tuple[str, str], what: str, at: int) -> None:
    """Somebody else's doing, in the first world alone."""
    tenant, database = place
    base = f"{V2}/tenants/{tenant}/databases/{database}/collections"
    ids = party.foreign.setdefault(place, [])
    if what == "create" or not ids:
        created = party.ask("POST", base, {"name": NAMES[at % 3], "get_or_create": True})
        if created["id"] not in ids:
            ids.append(created["id"])
    collection = ids[at % len(ids)]
    body = {"ids": [IDS[at % 3]], "embeddings": [[float(at), 1.0, 2.0]], "documents": ["theirs"]}
    if what in ("add", "upsert"):
        party.ask("POST", f"{base}/{collection}/{what}", body)
    elif what == "delete":
        party.ask("POST", f"{base}/{collection}/delete", {"ids": [IDS[at % 3]]})
    elif what == "name":
        party.ask("PATCH", f"{V2}/tenants/{tenant}", {"resource_name": f"crn-{tenant}"})
    elif what == "drop":
        result = [item for item in party.ask("GET", base) if item["id"] == collection]
        for item in result:
            party.ask("DELETE", f"{base}/{item['name']}")


@contextmanager
def party(role: Role, scope: str) -> Iterator[Party]:
    """A world with the key's tenant and its database, and the key."""
    with auth_fixture() as fixture:
        tenant, databases = SCOPES[scope]
        root = fixture.key(Role.ADMIN, None)
        party = Party(fixture, root, fixture.key(role, tenant, databases))
        party.ask("POST", f"{V2}/tenants", {"name": "mine"})
        party.ask("PATCH", f"{V2}/tenants/mine", {"resource_name": "crn-mine"})
        party.ask("POST", f"{V2}/tenants/mine/databases", {"name": "home"})
        for name in NAMES[:2]:
            created = party.ask("POST", f"{V2}/tenants/mine/databases/home/collections", {"name": name})
            party.mine.append(created["id"])
        yield party


def live_through(role: Role, scope: str, scenario: list[Any]) -> None:
    """The story of the module's first lines. Raises AssertionError."""
    places = outside(scope)
    with party(role, scope) as first, party(role, scope) as second:
        first.ask("POST", f"{V2}/tenants", {"name": "theirs"})
        for place in places:
            first.ask("POST", f"{V2}/tenants/{place[0]}/databases", {"name": place[1]})
            for at in range(2):
                change(first, place, "create", at)
                change(first, place, "add", at)
        before = first.outside(places)
        for at, step in enumerate(scenario):
            if len(step) == 2:
                place, what = step
                if place in places:
                    change(first, place, what, at)
                    before = first.outside(places)
                continue
            route, target, body = step
            replies = [item.comparable(item.send(route, target, body, first.foreign)) for item in (first, second)]
            assert replies[0] == replies[1], step
            # What reads is looked after by the next that may write.
            assert route.method == "GET" or first.outside(places) == before, step
        assert first.outside(places) == before


@pytest.mark.slow
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("role", list(Role))
@given(scenario=scenarios)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_outside_of_a_scope_might_as_well_not_be(role: Role, scope: str, scenario: list[Any]) -> None:
    live_through(role, scope, scenario)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scope", SCOPES)
@given(scenario=st.lists(st.one_of(requests, requests, theirs), min_size=5, max_size=30))
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_for_long(scope: str, scenario: list[Any]) -> None:
    live_through(Role.ADMIN, scope, scenario)


@pytest.mark.slow
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("place", [*FOREIGN, MINE, NOWHERE], ids="/".join)
@pytest.mark.parametrize("owner", [*FOREIGN, NOWHERE], ids="/".join)
def test_every_route_about_everything_foreign(scope: str, place: tuple[str, str], owner: tuple[str, str]) -> None:
    """What chance might leave out: each route once, with a body that makes sense."""
    body: dict[Any, Any] = {
        models.AddRecords: {"ids": ["a"], "embeddings": [[1.0, 2.0, 3.0]]},
        models.UpsertRecords: {"ids": ["a"], "embeddings": [[1.0, 2.0, 3.0]]},
        models.UpdateRecords: {"ids": ["a"], "documents": ["mine"]},
        models.DeleteRecords: {"ids": ["a", "b"]},
        models.ConditionalCommit: {"operations": [{"operation": "delete", "payload": {"ids": ["a", "b"]}}]},
        models.QueryRecords: {"query_embeddings": [[1.0, 2.0, 3.0]]},
        models.UpdateCollection: {"new_metadata": {"taken": True}},
        models.CreateCollection: {"name": "books", "get_or_create": True},
        models.CreateDatabase: {"name": "more"},
        models.CreateTenant: {"name": "theirs"},
        models.UpdateTenant: {"resource_name": "crn-theirs"},
        models.ForkCollection: {"new_name": "forked"},
    }
    scenario = [
        (route, Target(place, owner, number, by_name), None if route.request is None else body.get(route.request, {}))
        for route in TRIED
        for number in range(2)
        for by_name in (False, True)
    ]
    live_through(Role.ADMIN, scope, [(("theirs", "home"), "name"), *scenario])
