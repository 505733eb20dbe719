"""An export, imported again, is the collection that it was."""

from pathlib import Path

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from afterglow.collection import Engine
from afterglow.collection.model import Records
from afterglow.imports.ingest import Site
from afterglow.imports.ledger import Ledger
from afterglow.imports.model import Receipt, Target
from afterglow.imports.sink import EngineSink
from afterglow.imports.sources import file_source
from afterglow.imports.whole import Deaf, import_file
from afterglow.moving import export as exporting
from afterglow.moving.local import Local
from afterglow.moving.sides import Described
from afterglow.settings import Ambient, Settings
from afterglow.storage.stores import Stores
from tests.moving.records import collections, everything
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
