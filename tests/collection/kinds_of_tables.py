"""Stores over each kind of table: of a directory, with transactions that cost as in an account, and DynamoDB."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from afterglow.settings import Settings
from afterglow.storage.aws.table import DynamoTable
from afterglow.storage.ports import Stores
from tests.log.collection_log import CostlyTransactions
from tests.support.aws import NAME, guarded_clients, make, moto_aws
from tests.support.stores import quick_folder, stores_at

KINDS_OF_TABLES = ["in a directory", "in an account", pytest.param("in DynamoDB", marks=pytest.mark.slow)]


@contextmanager
def stores_in(kind: str, settings: Settings) -> Iterator[Stores]:
    """Stores with a table of this kind."""
    with quick_folder() as folder, ExitStack() as stack:
        stores = stores_at(folder, settings)
        if kind == "in an account":
            stores = replace(stores, table=CostlyTransactions(stores.table))
        if kind == "in DynamoDB":
            stores.table.close()
            stack.enter_context(moto_aws())
            make()
            stores = replace(stores, table=DynamoTable(guarded_clients(), NAME))
        yield stores
        stores.table.close()
