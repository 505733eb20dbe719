"""The same requests with one key in two deployments, in one of which another key's holder writes too: the responses are
the same, whole."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.auth.auth_fixture import AppResponse, auth_fixture
from tests.wire.auth.two_owners import Deployment, reads, writes


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Deployment, Deployment]]:
    with auth_fixture() as shared, auth_fixture() as alone:
        yield Deployment(shared), Deployment(alone)


steps = st.one_of(
    writes("a").map(lambda request: ("a", request)),
    writes("b").map(lambda request: ("b", request)),
    reads().map(lambda request: ("a", request)),
    st.sampled_from([("flush", None), ("later", None)]),
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
        for who, request in [*requests, *(("a", read) for read in last)]:
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
    return response.status, body, set(response.headers)
