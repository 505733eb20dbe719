"""An export, imported again, is the collection that it was."""

from pathlib import Path

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from afterglow.bulk import export as exporting
from afterglow.bulk.endpoint import Described
from afterglow.bulk.import_file import Deaf, import_file
from afterglow.bulk.import_store import Ledger
from afterglow.bulk.local_endpoint import Local
from afterglow.bulk.range_import import Site
from afterglow.bulk.sink import EngineSink
from afterglow.bulk.sources import file_source
from afterglow.bulk.types import Receipt, Target
from afterglow.collection import Engine
from afterglow.collection.types import Records
from afterglow.settings import Ambient, Settings
from afterglow.storage.ports import Stores
from tests.bulk.records import collections, everything
from tests.support.stores import SMALL, quick_folder, stores_at

PLACE = ("default_tenant", "default_database")
NAMES = ("moved.jsonl", "moved.jsonl.gz", "moved.parquet")
LIKES = (
    Described("", *PLACE, "moved"),
    Described(
        "", *PLACE, "moved", {"hnsw": {"space": "ip", "ef_search": 77}}, metadata={"a": 1, "b": 1.5, "c": "ключ"}
    ),
    Described("", *PLACE, "moved", metadata={"hnsw:space": "cosine", "hnsw:M": 24}),
    Described("", *PLACE, "moved", {"embedding_function": {"type": "known", "name": "default", "config": {}}}),
    Described(
        "",
        *PLACE,
        "moved",
        schema={"defaults": {}, "keys": {"k": {"string": {"string_inverted_index": {"enabled": False, "config": {}}}}}},
    ),
)


def imported(stores: Stores, file: Path, name: str) -> Receipt:
    """The file as a collection of this name."""
    source = file_source(file)
    assert source is not None
    ledger = Ledger(stores.table, stores.objects, Ambient(), Settings().import_kept_seconds)
    site = Site(EngineSink(Engine(stores)), ledger, Settings(), Ambient())
    return import_file(site, source, Target(*PLACE, name), None, Deaf()).receipt


@given(collections(), st.sampled_from(LIKES))
@hypothesis_settings(max_examples=12)
def test_the_collection_is_the_same_again(records: Records, like: Described) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, SMALL)
        engine = Engine(stores)
        engine.catalog.ensure_defaults()
        local = Local(stores, engine)
        made = local.make(like)
        if records.ids:
            local.add(made, records)
        found = local.find(*PLACE, "moved")
        assert found is not None
        for number, name in enumerate(NAMES):
            exporting.export(local, found, folder / name, Ambient(), lambda _: lambda _: None)
            receipt = imported(stores, folder / name, f"again{number}")
            assert (receipt.state, receipt.reason, receipt.rows, receipt.rejected) == (
                "done",
                None,
                len(records.ids),
                0,
            )
            again = local.find(*PLACE, f"again{number}")
            assert again is not None
            assert everything(local.contents(again)) == everything(local.contents(found))
            assert again.configuration == found.configuration
            assert (again.schema, again.metadata, again.dimension) == (found.schema, found.metadata, found.dimension)
        stores.table.close()
