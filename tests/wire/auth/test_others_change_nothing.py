"""The same requests with one key in two deployments, in one of which another key's holder writes too: the responses are
the same, whole."""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.auth.auth_fixture import AppResponse, auth_fixture
from tests.wire.auth.two_owners import Deployment, commits, reads, transaction_reads, writes


@pytest.fixture(scope="module", params=["stored", "attenuated"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Deployment, Deployment]]:
    attenuated = request.param == "attenuated"
    with auth_fixture() as shared, auth_fixture() as alone:
        yield Deployment(shared, attenuated=attenuated), Deployment(alone, attenuated=attenuated)


def by(owner: str, requests: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return requests.map(lambda request: (owner, request))


def a_transaction(owner: str) -> st.SearchStrategy[Any]:
    """A read, what others or the owner do meanwhile, a second read, the commit; some are left out."""
    meanwhile = st.lists(st.one_of(by("a", writes("a")), by("b", writes("b")), others), max_size=3)
    read = by(owner, transaction_reads())
    again = st.lists(read, max_size=1)
    parts = st.tuples(read.map(lambda one: [one]), meanwhile, again, by(owner, commits(owner)).map(lambda one: [one]))
    return parts.map(lambda lists: [step for steps in lists for step in steps])


others = st.sampled_from([("flush", None), ("later", None)])
steps = st.one_of(
    *(by(owner, writes(owner)).map(lambda one: [one]) for owner in "ab"),
    by("a", reads()).map(lambda one: [one]),
    a_transaction("a"),
    a_transaction("b"),
    others.map(lambda one: [one]),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(steps, min_size=5, max_size=25), st.lists(reads(), min_size=4, max_size=10), st.booleans())
def test_others_change_nothing(
    pair: tuple[Deployment, Deployment], requests: list[Any], last: list[Any], has_ttl: bool
) -> None:
    shared, alone = pair
    for deployment in pair:
        deployment.begin("books", {"afterglow:ttl_key": "until"} if has_ttl else None)
    try:
        for who, request in [*chain.from_iterable(requests), *(("a", read) for read in last)]:
            if who == "later":
                shared.fixture.later(20)
                alone.fixture.later(20)
            elif who == "flush":
                shared.flush()
                alone.flush()
            elif who == "b":
                shared.ask("b", *request)
            else:
                one, other = shared.ask("a", *request), alone.ask("a", *request)
                assert comparable(shared, one) == comparable(alone, other), request
    finally:
        for deployment in pair:
            deployment.end("books")


def comparable(deployment: Deployment, response: AppResponse) -> tuple[int, bytes, set[str]]:
    """What must not depend on others: the status, the body but for the ids of collection and key, the headers."""
    body = response.body.replace(deployment.id.encode(), b"<id>").replace(deployment.keys["a"][2:14].encode(), b"<key>")
    body = re.sub(rb'"read_token":[0-9]+', b'"read_token":0', body)
    return response.status, body, set(response.headers)
