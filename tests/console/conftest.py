"""A browser on the console of a server with a small collection."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.support.browser import Page, browser
from tests.wire.clients import ApiClient, CollectionClient
from tests.wire.conftest import api_client

__all__ = ["api_client", "console"]

ROWS = 600
BATCH = 300
"""Records of one request: as many as a function takes."""


@dataclass
class Console:
    """The page."""

    page: Page

    def open(self, tab: str, ready: str) -> None:
        """Open a tab of the collection and wait until an expression is true."""
        self.page.evaluate(f"document.getElementById('tab-{tab}').click()")
        self.page.until(f"!!({ready})")

    def press(self, label: str, within: str = "document") -> None:
        """Press the button with this text."""
        buttons = f"[...({within}?.querySelectorAll('button') ?? [])]"
        find = f"{buttons}.find(button => button.textContent === {json.dumps(label)})"
        self.page.until(f"!!({find})")
        self.page.evaluate(f"{find}.click()")

    def type(self, selector: str, value: str) -> None:
        """Put a value into a field, as typing does."""
        field = f"document.querySelector({json.dumps(selector)})"
        self.page.until(f"!!({field})")
        self.page.evaluate(
            f"(() => {{ const field = {field}; field.value = {json.dumps(value)};"
            " for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {bubbles: true})) })()"
        )

    def write(self, label: str, within: str) -> None:
        """Press the button of a dialog that writes, and wait until the records that were shown give way to new ones."""
        self.page.evaluate("document.querySelector('#panel table').dataset.old = 'yes'")
        self.press(label, within)
        self.page.until("document.querySelector('dialog') === null")
        self.page.until("document.querySelector('#panel table:not([data-old]) tbody tr') !== null")

    def ids(self) -> list[str]:
        """The ids of the table that is shown."""
        shown: list[str] = self.page.evaluate(
            "[...document.querySelectorAll('#panel tbody .id')].map(item => item.textContent)"
        )
        return shown

    def module(self, expression: str, name: str) -> Any:
        """The value of an expression over a module of the page."""
        return self.page.evaluate(f"import('/console/{name}').then(module => {expression})")


def filled(api_client: ApiClient) -> CollectionClient:
    """A new collection of 600 records."""
    collection = api_client.collection()
    vectors = np.random.default_rng(5).normal(size=(ROWS, 8)).round(3)
    for start in range(0, ROWS, BATCH):
        rows = range(start, start + BATCH)
        collection.add(
            ids=[f"id-{row}" for row in rows],
            embeddings=vectors[start : start + BATCH].tolist(),
            documents=[f"document number {row}" for row in rows],
            metadatas=[{"kind": "odd" if row % 2 else "even", "row": row, "tags": ["a", "b"]} for row in rows],
        )
    return collection


def address(collection: CollectionClient) -> str:
    """Where the page shows the collection's records."""
    base = str(collection.api_client.http.base_url).rstrip("/")
    return f"{base}/#default_tenant/default_database/{collection.created['name']}/records"


@dataclass
class CollectionConsole(Console):
    """The page, and the collection that is open in it."""

    collection: CollectionClient
    name: str


@pytest.fixture(scope="module")
def console(api_client: ApiClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectionConsole]:
    collection = filled(api_client)
    with browser(tmp_path_factory.mktemp("profile")) as page:
        page.open(address(collection))
        page.until("!!document.querySelector('#panel tbody .id')")
        yield CollectionConsole(page, collection, collection.created["name"])
