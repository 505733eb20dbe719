"""Collections of a directory: names, metadata, configuration, and the segments that hold their records and vectors.

Chroma up to 0.6 configures the index by `hnsw:*` keys of the metadata, while its stored configuration has defaults;
1.0 stores a configuration, later versions a schema. Where they disagree, the metadata counts, as it does for Chroma.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from afterglow.bulk.chroma_directory import label_map
from afterglow.bulk.chroma_directory.hnsw_files import LABELS, folders
from afterglow.bulk.chroma_directory.tables import Tables
from afterglow.bulk.endpoint import CollectionInfo, old_parameters
from afterglow.catalog import schema
from afterglow.catalog.index_configuration import legacy_parameters
from afterglow.errors import InvalidArgument

DEFAULT_TENANT = "default_tenant"
DEFAULT_DATABASE = "default_database"
UUID_LENGTH = 36
_LEGACY = "hnsw:"
_SAMPLE_IDS = 500


@dataclass(slots=True)
class Description:
    """A collection: `records` and `vectors` are the segments with its rows and its HNSW files."""

    info: CollectionInfo
    records: list[str] = field(default_factory=list)
    vectors: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    is_known: bool = True
    """Whether there is a row for the collection; if not, its name is made up."""
    has_ordered_labels: bool = False
    """Whether a version created it that numbers labels in the order of insertion."""

    @property
    def space(self) -> str:
        """The distance function."""
        return str(self.info.configuration["hnsw"]["space"])


def describe(tables: Tables, directory: Path, deleted: Iterable[str]) -> list[Description]:
    """Every collection, those without a row last. `deleted`: further ones, of deleted operations."""
    found = {description.info.id: description for description in _described(tables)}
    segments = list(tables.select("segments", ("id", "scope", "collection")))
    for segment, scope, collection in segments:
        if collection is not None and (collection in found or tables.is_recovered):
            description = found.setdefault(collection, _unknown("collection", collection))
            (description.vectors if scope == "VECTOR" else description.records).append(segment)
    if tables.is_recovered:
        for (collection,) in tables.connection.execute("SELECT DISTINCT collection FROM operations"):
            found.setdefault(collection, _unknown("collection", collection))
    _add_segments_without_row(tables, found, [segment for segment, *_ in segments])
    for collection in deleted:
        found.setdefault(collection, _unknown("collection", collection))
    claimed = [segment for description in found.values() for segment in description.vectors]
    for folder in folders(directory, claimed):
        owner = _owner(tables, directory, folder, found.values())
        if owner is not None:
            owner.vectors.append(folder.name)
            owner.damage.append(f"the row of the folder {folder.name} is lost: its ids are those of this collection")
            continue
        description = found.setdefault(folder.name, _unknown("segment", folder.name))
        description.vectors.append(folder.name)
        description.damage.append(f"the folder {folder.name} belongs to no collection")
    _make_names_unique(found.values())
    return list(found.values())


def _owner(tables: Tables, directory: Path, folder: Path, candidates: Iterable[Description]) -> Description | None:
    """The only collection without a folder that has most ids of this folder's label map; None if there is none."""
    path = folder / LABELS
    if not path.is_file() or not tables.has_records:
        return None
    names = sorted({name for name, _ in islice(label_map.entries(path, label_map.LabelMap()), _SAMPLE_IDS)})
    marks, owners = ", ".join("?" * len(names)), []
    for description in candidates:
        if not names or any((directory / segment).is_dir() for segment in description.vectors):
            continue
        query = f"SELECT count(*) FROM source.embeddings WHERE segment_id = ? AND embedding_id IN ({marks})"  # noqa: S608
        known = sum(tables.count(query, segment, *names) for segment in description.records)
        if 2 * known > len(names):
            owners.append(description)
    return owners[0] if len(owners) == 1 else None


def _make_names_unique(descriptions: Iterable[Description]) -> None:
    """Add its id to the name of a collection if an earlier one has the name: a damaged byte makes one id two."""
    names = set()
    for item in descriptions:
        info = item.info
        if (info.tenant, info.database, info.name) in names:
            item.info = info = replace(info, name=f"{info.name}-{info.id}")
        names.add((info.tenant, info.database, info.name))


def _add_segments_without_row(tables: Tables, found: dict[str, Description], known: list[str]) -> None:
    """Segments with records, but without a row that names their collection: the queue may name it."""
    for (segment,) in list(tables.select("embeddings", ("segment_id",), "GROUP BY segment_id")):
        if segment in known:
            continue
        row = tables.connection.execute(
            "SELECT o.collection FROM source.embeddings e JOIN operations o ON o.id = e.embedding_id "
            "AND o.seq = decode_seq(e.seq_id) WHERE e.segment_id = ? LIMIT 1",
            [segment],
        ).fetchone()
        description = found.get(row[0]) if row else None
        if description is None:
            description = found.setdefault(segment, _unknown("segment", segment))
            description.damage.append("the row of the collection is lost")
        description.records.append(segment)


def _unknown(kind: str, identifier: str) -> Description:
    name = f"{kind}-{identifier[:8]}"
    info = CollectionInfo(identifier, DEFAULT_TENANT, DEFAULT_DATABASE, name, **_configured({}, {}, None))
    return Description(info, is_known=False)


def _described(tables: Tables) -> Iterator[Description]:
    databases = {row[0]: row[1:] for row in tables.select("databases", ("id", "name", "tenant_id"))}
    columns = ("id", "name", "dimension", "database_id", "config_json_str", "schema_str")
    for identifier, name, dimension, database, configuration, stored in list(tables.select("collections", columns)):
        damage: list[str] = []
        metadata = _metadata(tables, identifier)
        try:
            configured = _configured(metadata, _json(configuration) or {}, _json(stored))
        except (InvalidArgument, ValueError, TypeError, KeyError, AttributeError):
            # No collection can be created with index settings in its metadata that cannot be read.
            metadata = {key: value for key, value in metadata.items() if not key.startswith(_LEGACY)}
            configured = _configured({}, {}, None)
            damage.append("the configuration is not readable: the default is used")
        database_name, tenant = databases.get(database, (DEFAULT_DATABASE, DEFAULT_TENANT))
        info = CollectionInfo(
            id=identifier,
            tenant=tenant,
            database=database_name,
            name=name,
            metadata=metadata or None,
            dimension=dimension if type(dimension) is int and dimension > 0 else None,
            **configured,
        )
        is_ordered = bool(stored) or "vector_index" in str(configuration)
        yield Description(info, damage=damage, has_ordered_labels=is_ordered)


def _metadata(tables: Tables, identifier: str) -> dict[str, Any]:
    columns = ("key", "str_value", "int_value", "float_value", "bool_value")
    rows = tables.select("collection_metadata", columns, "WHERE collection_id = ?", (identifier,))
    return {key: value for key, *values in rows if (value := metadata_value(*values)) is not None}


def metadata_value(text: object, integer: object, real: object, boolean: object) -> str | int | float | bool | None:
    """The value of a metadata row: the first column whose value has its type; None in a row whose types are damaged."""
    if boolean is not None and type(boolean) is int:
        return bool(boolean)
    if type(integer) is int:
        return integer
    if isinstance(real, int | float):
        return float(real)
    return text.decode(errors="replace") if isinstance(text, bytes) else text if isinstance(text, str) else None


def _configured(
    metadata: Mapping[str, Any], configuration: Mapping[str, Any], stored: Mapping[str, Any] | None
) -> dict[str, Any]:
    """`configuration` and `schema` of a collection as its API describes them. Raises InvalidArgument."""
    is_legacy = any(key.startswith(_LEGACY) for key in metadata)
    if stored and not is_legacy:
        complete = schema.reconcile(None, stored, None)
    else:
        request = _request(configuration)
        if stored:
            request = {**request, **schema.configuration_json(schema.reconcile(None, stored, None))}
        hnsw = {**(request.get("hnsw") or {}), **legacy_parameters(metadata)}
        complete = schema.reconcile({**request, "hnsw": hnsw or None}, None, None)
    return {"configuration": schema.configuration_json(complete), "schema": complete}


def _request(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a create request for a stored one: of 0.5 and 0.6, of 1.0, or none."""
    if "hnsw_configuration" in configuration:
        return {"hnsw": old_parameters(configuration)}
    index = configuration.get("vector_index") or {}
    function = configuration.get("embedding_function")
    request = {kind: index[kind] for kind in ("hnsw", "spann") if index.get(kind) is not None}
    return request if function is None else {**request, "embedding_function": function}


def _json(text: object) -> Any:
    return orjson.loads(text) if isinstance(text, str) and text else None


def load_operations(tables: Tables) -> None:
    """Index the queue by collection and id, in the scratch database; a topic ends with the collection's id."""
    connection: sqlite3.Connection = tables.connection
    connection.execute("CREATE TABLE operations (collection, id, seq INTEGER, kind INTEGER, dimension INTEGER)")
    if "embeddings_queue" in tables.columns:
        connection.execute(
            f"INSERT INTO operations SELECT substr(topic, -{UUID_LENGTH}), id, seq_id, operation, "  # noqa: S608
            "length(vector) / 4 FROM source.embeddings_queue"
        )
    connection.execute("CREATE INDEX operations_index ON operations (collection, id, seq)")
