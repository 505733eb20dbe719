"""The console of a server with API keys: asked for once, made and revoked, and what a reader may do."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from afterglow.auth import Role
from afterglow.auth.api_keys import Keys
from afterglow.deployment.local import open_local
from afterglow.settings import System
from tests.console.conftest import Console
from tests.console.test_console import RECORDS, TABS
from tests.support.browser import PROGRAM, Page, browser
from tests.support.server import running

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")]


@pytest.fixture
def key_server(tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """A server that asks for keys: its address, a reader's key and an admin's."""
    with running(tmp_path / "data", env={"AFTERGLOW_AUTH": "keys"}) as server:
        deployment = open_local(server.path, System())
        keys = Keys(deployment.table, System())
        reader, admin = (keys.create(role, "default_tenant")[0] for role in (Role.READER, Role.ADMIN))
        deployment.table.close()
        yield f"http://{server.host}:{server.port}", reader, admin


def use_key(page: Page, key: str) -> None:
    """Type it into the dialog that is open."""
    page.until("document.querySelector('dialog input[name=key]') !== null")
    page.evaluate(f"document.querySelector('dialog input[name=key]').value = {json.dumps(key)}")
    page.evaluate("document.querySelector('dialog form').requestSubmit()")
    page.until("document.querySelector('#side')?.textContent.includes('No collections yet')")


SHOWN = "[...document.querySelectorAll('button')].filter(item => item.checkVisibility()).map(item => item.textContent)"


def test_a_key_is_asked_for_and_stored_in_the_tab_only(key_server: tuple[str, str, str], tmp_path: Path) -> None:
    """A reader's key; the page offers nothing that it may not do."""
    base, key, _ = key_server
    with browser(tmp_path / "profile") as page:
        page.open(f"{base}/")
        use_key(page, key)
        assert page.evaluate("[Object.values(localStorage).join(), document.cookie]") == ["auto", ""]
        assert page.evaluate("Object.values(sessionStorage)") == [key]
        assert page.evaluate("document.querySelector('.reading').checkVisibility()")
        assert {"New", "Manage keys"}.isdisjoint(page.evaluate(SHOWN))
        call = "module.snippets({tenant: 't', name: 'd'}, 'c', {base: '/c'}, 'get', {limit: 1})"
        code = Console(page).module(f"Object.values({call})", "snippets.js")
        assert [("YOUR_KEY" in text, key in text) for text in code] == [(True, False)] * 3


def test_keys_are_created_shown_once_and_revoked(key_server: tuple[str, str, str], tmp_path: Path) -> None:
    base, _, admin = key_server
    with browser(tmp_path / "profile") as page:
        page.open(f"{base}/")
        use_key(page, admin)
        console = Console(page)
        assert "New" in page.evaluate(SHOWN)
        console.press("Manage keys")
        page.until("document.querySelectorAll('dialog tbody tr').length === 2")
        console.type("dialog input[name=label]", "<b>ann</b>")
        console.press("Create", "document.querySelector('dialog')")
        created = page.until("document.querySelector('dialog .made')?.textContent")
        page.until("document.querySelectorAll('dialog tbody tr').length === 3")
        assert page.evaluate("document.querySelectorAll('dialog b').length") == 0
        answer = httpx.get(f"{base}/api/v2/auth/identity", headers={"x-chroma-token": created}, timeout=60)
        assert (answer.status_code, answer.headers["afterglow-role"]) == (200, "reader")

        page.evaluate("document.querySelector('dialog header button').click()")
        console.press("Manage keys")
        page.until("document.querySelectorAll('dialog tbody tr').length === 3")
        identifier = created[2:14]
        assert created not in page.evaluate("document.body.innerHTML")
        page.evaluate(f"document.querySelector('[aria-label=\"Revoke {identifier}\"]').click()")
        console.type("dialog input[name=typed]", identifier)
        page.evaluate("document.querySelector('dialog input[name=typed]').form.requestSubmit()")
        page.until("document.querySelectorAll('dialog tbody tr').length === 2")
        left = httpx.get(f"{base}/api/v2/tenants/default_tenant/keys", headers={"x-chroma-token": admin}, timeout=60)
        assert identifier not in {item["id"] for item in left.json()}


def test_a_reader_is_offered_nothing_that_writes(key_server: tuple[str, str, str], tmp_path: Path) -> None:
    base, reader, admin = key_server
    home = f"{base}/api/v2/tenants/default_tenant/databases/default_database/collections"
    with httpx.Client(headers={"x-chroma-token": admin}, timeout=60) as client:
        made = client.post(home, json={"name": "books"}).json()["id"]
        client.post(f"{home}/{made}/add", json={"ids": ["a"], "embeddings": [[1, 2]]}).raise_for_status()
    with browser(tmp_path / "profile") as page:
        page.open(f"{base}/#default_tenant/default_database/books/records")
        page.until("document.querySelector('dialog input[name=key]') !== null")
        page.evaluate(f"document.querySelector('dialog input[name=key]').value = {json.dumps(reader)}")
        page.evaluate("document.querySelector('dialog form').requestSubmit()")
        page.until("document.querySelector('#panel tbody .id') !== null")
        console, shown = Console(page), set()
        for tab in ("records", "time", "about"):
            console.open(tab, TABS[tab])
            shown.update(page.evaluate(SHOWN))
        console.open("records", RECORDS)
        page.evaluate("document.querySelector('#panel tbody .id').click()")
        page.until("document.querySelector('dialog') !== null")
        shown.update(page.evaluate(SHOWN))
        assert {"Find records like this one", "Look", "Copy as code"} <= shown
        writes = {"Add a record", "Delete the selected", "Edit", "Delete", "Rename", "Delete the collection", "New"}
        assert not shown & (writes | {"Import", "Copy to a new collection", "Manage keys"})
