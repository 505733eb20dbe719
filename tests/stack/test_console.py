"""The console of a deployment: the page from the gateway, with a key, does what the page of a local server does."""

import json
import ssl
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.console import test_console as local
from tests.console.conftest import CollectionConsole, address, filled
from tests.support.browser import PROGRAM, browser
from tests.support.deployment import Deployment
from tests.support.server import HOST
from tests.wire.clients import ApiClient

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]


COLD_SECONDS = 600.0
"""The page's files are fetched at once, each by a function that starts for it."""


class _Gateway(httpx.HTTPTransport):
    """Connects to MiniStack for the gateway's name, which is in no DNS."""

    def __init__(self, deployed: Deployment) -> None:
        super().__init__(verify=ssl.create_default_context(cafile=str(deployed.aws.certificate)))
        self._port = deployed.aws.server.port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host=HOST, port=self._port)
        return super().handle_request(request)


@pytest.fixture(scope="module")
def key(deployed: Deployment) -> str:
    return deployed.key()


@pytest.fixture(scope="module")
def api_client(deployed: Deployment, key: str) -> Iterator[ApiClient]:
    headers = {"x-chroma-token": key, "user-agent": "afterglow-tests"}
    base = deployed.outputs["Endpoint"]
    with httpx.Client(base_url=base, headers=headers, timeout=120, transport=_Gateway(deployed)) as client:
        yield ApiClient(client)


@pytest.fixture(scope="module")
def console(
    deployed: Deployment, api_client: ApiClient, key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CollectionConsole]:
    """The page, opened as a person does: it asks for a key first."""
    collection = filled(api_client)
    gateway = f"MAP {deployed.headers['Host']} {HOST}:{deployed.aws.server.port}"
    # MiniStack's HTTP/2 leaves some of several streams unanswered for many seconds.
    options = (f"--host-resolver-rules={gateway}", "--ignore-certificate-errors", "--disable-http2")
    with browser(tmp_path_factory.mktemp("profile"), *options) as page:
        page.open(address(collection))
        page.until("document.querySelector('dialog input[name=key]') !== null", COLD_SECONDS)
        page.evaluate(f"document.querySelector('dialog input[name=key]').value = {json.dumps(key)}")
        page.evaluate("document.querySelector('dialog form').requestSubmit()")
        page.until("document.querySelector('#panel tbody .id') !== null")
        yield CollectionConsole(page, collection, collection.created["name"])


ONE_PAGE = (
    local.test_records_are_paged_in_insertion_order,
    local.test_the_filter_builder_writes_the_filter_and_applies_it,
    local.test_a_search_by_vector_and_like_a_record_agrees_with_the_api,
    local.test_a_late_answer_does_not_replace_what_was_opened_after_it,
    local.test_a_search_shows_its_plan_if_asked,
    local.test_a_refused_search_shows_the_servers_message,
    local.test_an_action_is_shown_as_code_that_runs,
    local.test_the_map_places_every_sampled_point,
    local.test_records_are_added_edited_and_deleted,
    local.test_time_travel_shows_what_has_changed,
)
"""Tests of the collection that is open, in an order in which none changes what the next one expects."""
MORE_CONTENTS = (
    local.test_a_dropped_file_is_imported_and_bad_rows_are_named,
    local.test_a_collection_is_copied_renamed_and_deleted,
    local.test_a_hostile_collection_shows_as_text,
)
"""Tests that write to the collection, or make another one; after the others."""


@pytest.mark.parametrize("check", ONE_PAGE, ids=lambda check: check.__name__)
def test_as_on_a_local_server(console: CollectionConsole, check: Callable[[CollectionConsole], None]) -> None:
    check(console)


@pytest.mark.parametrize("check", MORE_CONTENTS, ids=lambda check: check.__name__)
def test_more_contents_as_on_a_local_server(
    console: CollectionConsole, api_client: ApiClient, check: Callable[[CollectionConsole, ApiClient], None]
) -> None:
    check(console, api_client)


def test_the_page_had_no_trouble_and_asked_no_other_host(console: CollectionConsole, api_client: ApiClient) -> None:
    """The last one: it looks at what all of them did."""
    local.test_nothing_went_wrong_and_no_other_host_was_asked(console, api_client)
