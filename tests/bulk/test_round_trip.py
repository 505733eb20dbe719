"""An export, imported again, is the collection that it was."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from afterglow.bulk import export as exporting
from afterglow.bulk.endpoint import CollectionInfo
from afterglow.bulk.import_file import NullListener, import_file
from afterglow.bulk.import_store import ImportStore
from afterglow.bulk.local_endpoint import LocalEndpoint
from afterglow.bulk.range_import import ImportContext
from afterglow.bulk.sidecar import GivenOptions
from afterglow.bulk.sink import EngineSink
from afterglow.bulk.sources import file_source
from afterglow.bulk.types import ImportReport, Target
from afterglow.collection import Engine
from afterglow.collection.types import Records
from afterglow.settings import Settings, System
from afterglow.storage.ports import Stores
from tests.bulk.records import collections, everything, held_by
from tests.support.stores import SMALL, quick_folder, stores_at

PLACE = ("default_tenant", "default_database")
NAMES = ("moved.jsonl", "moved.jsonl.gz", "moved.parquet", "moved.csv")
LIKES = (
    CollectionInfo("", *PLACE, "moved"),
    CollectionInfo(
        "", *PLACE, "moved", {"hnsw": {"space": "ip", "ef_search": 77}}, metadata={"a": 1, "b": 1.5, "c": "ключ"}
    ),
    CollectionInfo("", *PLACE, "moved", metadata={"hnsw:space": "cosine", "hnsw:M": 24}),
    CollectionInfo("", *PLACE, "moved", {"embedding_function": {"type": "known", "name": "default", "config": {}}}),
    CollectionInfo(
        "",
        *PLACE,
        "moved",
        schema={"defaults": {}, "keys": {"k": {"string": {"string_inverted_index": {"enabled": False, "config": {}}}}}},
    ),
)


def imported(stores: Stores, file: Path, name: str) -> ImportReport:
    """The file as a collection of this name."""
    source = file_source(file)
    assert source is not None
    import_store = ImportStore(stores.table, stores.objects, System(), Settings().import_report_ttl_seconds)
    site = ImportContext(EngineSink(Engine(stores)), import_store, Settings(), System())
    return import_file(site, source, Target(*PLACE, name), GivenOptions(), NullListener()).report


@pytest.mark.slow
@given(collections(), st.sampled_from(LIKES))
@hypothesis_settings(max_examples=12)
def test_the_collection_is_the_same_again(records: Records, like: CollectionInfo) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, SMALL)
        engine = Engine(stores)
        engine.catalog.ensure_defaults()
        local = LocalEndpoint(stores, engine)
        made = local.create_collection(like)
        if records.ids:
            local.add(made, records)
        found = local.find(*PLACE, "moved")
        assert found is not None
        for number, name in enumerate(NAMES):
            exporting.export(local, found, folder / name, System(), lambda _: lambda _: None)
            report = imported(stores, folder / name, f"again{number}")
            assert (report.state, report.reason, report.rows, report.rejected) == (
                "done",
                None,
                len(records.ids),
                0,
            )
            again = local.find(*PLACE, f"again{number}")
            assert again is not None
            assert everything(local.read(again)) == held_by(name, everything(local.read(found)))
            assert again.configuration == found.configuration
            assert (again.schema, again.metadata, again.dimension) == (found.schema, found.metadata, found.dimension)
        stores.table.close()
