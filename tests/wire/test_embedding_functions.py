"""Embedding functions that would harm the clients that open a collection are refused, and named where they exist."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from afterglow.api.http.handler import AppContext, Request
from afterglow.api.v2 import collections
from afterglow.bulk.dump.create import create_dump
from afterglow.bulk.dump.layout import DumpStore
from afterglow.bulk.dump.load import load_dump
from afterglow.catalog.model import Collection
from afterglow.collection import Engine
from afterglow.collection.types import Scope
from afterglow.deployment.backup_target import open_backup_target
from afterglow.errors import InvalidArgument
from afterglow.jobs import every_collection, verify
from afterglow.settings import Settings
from afterglow.storage.ports import Stores
from tests.support.stores import stores_at

TENANT, DATABASE = "default_tenant", "default_database"
PATH = {"tenant": TENANT, "database": DATABASE}
DANGEROUS = {"type": "known", "name": "sentence_transformer", "config": {"kwargs": {"trust_remote_code": True}}}
HARMLESS = {"type": "known", "name": "sentence_transformer", "config": {"model_name": "a/b", "kwargs": {}}}
REMOTE = {"type": "known", "name": "ollama", "config": {"url": "http://ollama.internal:11434", "model_name": "x"}}


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    opened = stores_at(tmp_path, Settings())
    yield opened
    opened.table.close()


def context_of(stores: Stores, **changes: Any) -> AppContext:
    settings = replace(stores.settings, **changes)
    engine = Engine(replace(stores, settings=settings))
    engine.catalog.ensure_defaults()
    return AppContext(engine, settings, stores.system, allow_reset=False, threads=1)


def create(context: AppContext, function: dict[str, Any], name: str = "named", **body: Any) -> Collection:
    body = {"name": name, "configuration": {"embedding_function": function}, **body}
    collections.create(context, Request(PATH, b"", orjson.dumps(body)))
    return context.engine.get_collection(TENANT, DATABASE, name)


def sparse_schema(function: dict[str, Any]) -> dict[str, Any]:
    index = {"enabled": True, "config": {"embedding_function": function, "source_key": "#document"}}
    return {"defaults": {}, "keys": {"words": {"sparse_vector": {"sparse_vector_index": index}}}}


def test_a_create_request_is_refused(stores: Stores) -> None:
    context = context_of(stores)
    with pytest.raises(InvalidArgument, match=r"'sentence_transformer' runs code of its model \(config\.kwargs\."):
        create(context, DANGEROUS)
    with pytest.raises(InvalidArgument, match="'ollama' sends texts to a URL"):
        create(context, REMOTE)
    with pytest.raises(InvalidArgument, match="runs code"):
        create(context, HARMLESS, configuration=None, schema=sparse_schema(DANGEROUS))
    with pytest.raises(InvalidArgument, match="runs code"):
        create(context, DANGEROUS, get_or_create=True)
    assert context.engine.list_collections(TENANT, DATABASE) == []
    create(context, HARMLESS)


def test_a_new_configuration_is_refused(stores: Stores) -> None:
    context = context_of(stores)
    collection = create(context, HARMLESS)
    path = {**PATH, "collection_id": str(collection.id)}
    body = orjson.dumps({"new_configuration": {"embedding_function": DANGEROUS}})
    with pytest.raises(InvalidArgument, match="runs code"):
        collections.update(context, Request(path, b"", body))
    assert context.engine.get_collection_by_id(Scope(TENANT, DATABASE, collection.id)) == collection
    collections.update(context_of(stores, allow_unsafe_embedding_functions=True), Request(path, b"", body))


def test_settings_allow_it(stores: Stores) -> None:
    create(context_of(stores, embedding_function_hosts="ollama.internal"), REMOTE, "remote")
    create(context_of(stores, allow_unsafe_embedding_functions=True), DANGEROUS, "dangerous")
    with pytest.raises(InvalidArgument, match="runs code"):
        create(context_of(stores, embedding_function_hosts="*"), DANGEROUS, "hosts")


def test_a_stored_one_is_named_in_the_log_once_and_can_be_replaced(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    collection = create(context_of(stores, allow_unsafe_embedding_functions=True), DANGEROUS, "old")
    context = context_of(stores)
    with caplog.at_level(logging.WARNING, "afterglow.api"):
        for _ in range(2):
            collections.get(context, Request({**PATH, "collection_id": "old"}))
            collections.list_all(context, Request(PATH))
    (record,) = caplog.records
    assert f"collection old ({collection.id}): embedding function 'sentence_transformer' runs code" in record.message
    path = {**PATH, "collection_id": str(collection.id)}
    collections.update(context, Request(path, b"", orjson.dumps({"new_name": "renamed"})))
    change = {"new_configuration": {"embedding_function": HARMLESS}}
    collections.update(context, Request(path, b"", orjson.dumps(change)))
    report = verify_only(stores)
    assert report.notes == []


def verify_only(stores: Stores) -> verify.VerifyReport:
    (target,) = every_collection.all_collections(stores)
    report = verify.verify(stores, target)
    assert report is not None
    assert report.problems == []
    return report


def test_verify_names_it(stores: Stores) -> None:
    create(context_of(stores, allow_unsafe_embedding_functions=True), DANGEROUS)
    (note,) = verify_only(stores).notes
    assert note.startswith("embedding function 'sentence_transformer' runs code of its model")
    unsafe = replace(stores, settings=replace(stores.settings, allow_unsafe_embedding_functions=True))
    assert verify_only(unsafe).notes == []


def test_a_dump_with_one_is_not_loaded(stores: Stores, tmp_path: Path) -> None:
    context = context_of(stores, allow_unsafe_embedding_functions=True)
    create(context, DANGEROUS)
    folder = str(tmp_path / "copy")
    dump_store = DumpStore(*open_backup_target(folder, stores.settings, stores.system, create=True), "copy")
    create_dump(stores, context.engine.catalog.get_database(TENANT, DATABASE), dump_store)
    with pytest.raises(InvalidArgument, match="runs code"):
        load_dump(stores, dump_store, TENANT, "second")
    assert context.engine.list_collections(TENANT, "second") == []
    unsafe = replace(stores, settings=context.settings)
    assert load_dump(unsafe, dump_store, TENANT, "second").loaded == 1
