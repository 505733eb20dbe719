"""`/docs` in a real browser: it draws every route, and requests sent from it work."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afterglow.api.v2.routes import ROUTES
from afterglow.auth import Role
from afterglow.auth.api_keys import Keys
from afterglow.deployment.local import open_local
from afterglow.settings import System
from tests.support.browser import PROGRAM, Page, browser
from tests.support.server import running
from tests.wire.clients import ApiClient

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")]


@pytest.fixture(scope="module")
def page(api_client: ApiClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    profile: Path = tmp_path_factory.mktemp("profile")
    with browser(profile) as opened:
        opened.open(f"{api_client.http.base_url}/docs")
        opened.until("document.querySelectorAll('details').length")
        yield opened


def send(page: Page, operation: str, body: Any = None) -> tuple[str, Any]:
    """Open a route, put the body in, press the button; the status shown and the answer shown."""
    page.evaluate(f"document.getElementById('{operation}').open = true")
    page.until(f"document.querySelector('#{operation} button') !== null")
    if body is not None:
        page.evaluate(f"document.querySelector('#{operation} textarea').value = {json.dumps(json.dumps(body))}")
    page.evaluate(
        f"(() => {{ const there = document.getElementById('{operation}');"
        " there.querySelector('.status').className = 'status'; there.querySelector('button').click() })()"
    )
    status = page.until(f"document.querySelector('#{operation} .status.good, #{operation} .status.bad')?.textContent")
    shown = page.evaluate(f"document.querySelector('#{operation} pre').textContent")
    return status.split(" ")[0], json.loads(shown)


def test_every_route_is_drawn(page: Page) -> None:
    drawn = page.evaluate("[...document.querySelectorAll('summary')].map(each => each.innerText.split('\\n'))")
    assert {(method, path) for method, path, *_ in drawn} == {
        (item.method, item.path) for item in ROUTES if not item.hidden
    }


def test_requests_sent_from_the_page(page: Page) -> None:
    status, clock = send(page, "system_heartbeat")
    assert (status, list(clock)) == ("200", ["nanosecond heartbeat"])
    status, created = send(page, "collections_create", {"name": "from-the-page"})
    assert (status, created["name"]) == ("200", "from-the-page")
    # The id of the new collection is filled in for the routes that need one.
    assert page.evaluate("document.querySelector('#path-values input[name=collection_id]').value") == created["id"]
    assert send(page, "records_add", {"ids": ["a"], "embeddings": [[1, 2]], "documents": ["first"]}) == ("201", {})
    status, result = send(page, "records_query", {"query_embeddings": [[1, 2]], "n_results": 1})
    assert (status, result["ids"], result["documents"]) == ("200", [["a"]], [["first"]])
    assert send(page, "records_count") == ("200", 1)
    assert send(page, "v1_records_count") == ("200", 1)
    status, assert_error = send(page, "records_get", {"where": {}})
    assert (status, assert_error["message"]) == ("400", "Invalid where clause")


def test_the_filter_hides_what_does_not_match(page: Page) -> None:
    page.evaluate(
        "(() => { const field = document.getElementById('filter'); field.value = 'get tenant';"
        " field.dispatchEvent(new Event('input')) })()"
    )
    shown = page.evaluate("[...document.querySelectorAll('details')].filter(each => !each.hidden).map(each => each.id)")
    assert "tenants_get_tenant" in shown
    assert "records_query" not in shown


def test_nothing_went_wrong_and_nobody_else_was_asked(page: Page, api_client: ApiClient) -> None:
    # The refused request above is what the browser itself notes; the page's scripts had no error.
    assert [item for item in page.trouble if "status of 400" not in item] == []
    here = str(api_client.http.base_url)
    assert [item for item in page.asked if not item.startswith((here, "data:"))] == []
    assert len(page.asked) > 5


def test_a_key_is_sent_where_one_is_given(page: Page, tmp_path: Path) -> None:
    with running(tmp_path / "data", env={"AFTERGLOW_AUTH": "keys"}) as server:
        place = open_local(server.path, System())
        created, _ = Keys(place.table, System()).create(Role.READER, None)
        place.table.close()
        page.command("Page.navigate", url=f"http://{server.host}:{server.port}/docs")
        page.until("document.querySelectorAll('details').length")
        assert send(page, "collections_list_all")[0] == "401"
        page.evaluate(
            f"(() => {{ const field = document.querySelector('#path-values input[name=key]'); "
            f"field.value = '{created}'; field.dispatchEvent(new Event('input')) }})()"
        )
        assert send(page, "collections_list_all") == ("200", [])
