"""Sidecars, `<name>.import.json`: the columns of a file, and the collection to create for it.

::

    {
      "columns": {"id": "package", "embedding": "vec", "document": "summary", "uri": "url",
                  "metadata": "attributes" | ["section", "size"]},
      "types": {"zip": "str"},                                          of a CSV's columns: int, float, bool, json, str
      "delimiter": ";",                                                 for a CSV
      "sheet": "Books",                                                 of a workbook
      "encoding": "latin-1", "flatten": true,                           of a text; nested metadata as keys like a.b
      "dimension": 384, "space": "cosine",
      "configuration": {…}, "schema": {…}, "collection_metadata": {…},  as in create_collection
      "batch_size": 1000
    }

Everything may be left out. What describes the collection is used only if the import creates it. An export writes
a sidecar with which its file can be imported again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from afterglow.bulk.endpoint import CollectionInfo, create_request
from afterglow.bulk.formats.detect import SIDECAR_SUFFIX
from afterglow.bulk.sources import Source
from afterglow.bulk.types import ImportRejected
from afterglow.errors import InvalidArgument

SPACES = ("l2", "ip", "cosine")
_ROLES = ("id", "embedding", "document", "uri")
_TYPES = ("int", "float", "bool", "json", "str")
_MAX_BYTES = 1024 * 1024
_COLUMNS = {"id": "id", "embedding": "embedding", "document": "document", "uri": "uri", "metadata": "metadata"}


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The content of a sidecar. `columns` are by role; `metadata` is one column of objects, or several of values."""

    columns: dict[str, str] = field(default_factory=dict)
    metadata: str | tuple[str, ...] | None = None
    types: dict[str, str] = field(default_factory=dict)
    delimiter: str | None = None
    dimension: int | None = None
    space: str | None = None
    configuration: dict[str, Any] | None = None
    schema: dict[str, Any] | None = None
    collection_metadata: dict[str, Any] | None = None
    batch_size: int | None = None
    encoding: str | None = None
    sheet: str | None = None
    flatten: bool = False

    def create_request(self, name: str) -> dict[str, Any]:
        """The body of the request that creates the collection if it does not exist."""
        configuration = self.configuration
        if self.space is not None:
            configuration = {
                **(configuration or {}),
                "hnsw": {**(configuration or {}).get("hnsw", {}), "space": self.space},
            }
        return {
            "name": name,
            "get_or_create": True,
            "metadata": self.collection_metadata,
            "configuration": configuration,
            "schema": self.schema,
        }


@dataclass(frozen=True, slots=True)
class GivenOptions:
    """What a command was given: a `sidecar` instead of that of each file, and options that go before both."""

    sidecar: Sidecar | None = None
    columns: dict[str, str] = field(default_factory=dict)
    metadata: tuple[str, ...] | None = None
    space: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    flatten: bool = False

    def apply_to(self, own: Sidecar) -> Sidecar:
        """The options of a file with this sidecar."""
        base = own if self.sidecar is None else self.sidecar
        return replace(
            base,
            columns={**base.columns, **self.columns},
            metadata=base.metadata if self.metadata is None else self.metadata,
            space=self.space or base.space,
            encoding=self.encoding or base.encoding,
            sheet=self.sheet or base.sheet,
            flatten=self.flatten or base.flatten,
        )


def read_sidecar(source: Source) -> Sidecar:
    """The sidecar of a file, an empty one if there is none. Raises ImportRejected."""
    sibling = source.sibling(source.name.rpartition("/")[2] + SIDECAR_SUFFIX)
    return Sidecar() if sibling is None else parse(sibling.read(0, sibling.size), sibling.name)


def parse(value: bytes, name: str) -> Sidecar:
    """Parse a sidecar. Raises ImportRejected."""
    if len(value) > _MAX_BYTES:
        raise ImportRejected(f"{name} has {len(value)} bytes, a sidecar has at most {_MAX_BYTES}")
    try:
        return from_json(orjson.loads(value))
    except (orjson.JSONDecodeError, InvalidArgument) as error:
        raise ImportRejected(f"{name}: {error}") from None


def from_json(content: Any) -> Sidecar:
    """The sidecar for a JSON value. Raises InvalidArgument."""
    if type(content) is not dict:
        raise InvalidArgument("a sidecar is a JSON object")
    unknown = content.keys() - Sidecar.__dataclass_fields__.keys() | content.keys() & {"metadata"}
    if unknown:
        raise InvalidArgument(f"a sidecar has no {', '.join(sorted(unknown))}")
    columns = dict(_object(content, "columns") or {})
    metadata = columns.pop("metadata", None)
    if type(metadata) is list and all(type(name) is str for name in metadata):
        metadata = tuple(metadata)
    elif metadata is not None and type(metadata) is not str:
        raise InvalidArgument("columns.metadata is the name of a column of objects, or a list of names")
    for role, column in columns.items():
        if role not in _ROLES or type(column) is not str:
            raise InvalidArgument(f"columns: {role!r}: it names {', '.join(_ROLES)} and metadata, each by a string")
    types = dict(_object(content, "types") or {})
    if not all(column_type in _TYPES for column_type in types.values()):
        raise InvalidArgument(f"types are {', '.join(_TYPES)}")
    if content.get("space") not in (None, *SPACES):
        raise InvalidArgument(f"space is one of {', '.join(SPACES)}, not {content['space']!r}")
    delimiter = content.get("delimiter")
    if delimiter is not None and (type(delimiter) is not str or len(delimiter) != 1 or delimiter in '"\r\n'):
        raise InvalidArgument(f"delimiter is one character, not {delimiter!r}")
    return Sidecar(
        columns=columns,
        metadata=metadata,
        types=types,
        delimiter=delimiter,
        dimension=_positive(content, "dimension"),
        space=content.get("space"),
        configuration=_object(content, "configuration"),
        schema=_object(content, "schema"),
        collection_metadata=_object(content, "collection_metadata"),
        batch_size=_positive(content, "batch_size"),
        encoding=_text(content, "encoding"),
        sheet=_text(content, "sheet"),
        flatten=bool(content.get("flatten")),
    )


def _text(content: Mapping[str, Any], name: str) -> str | None:
    value = content.get(name)
    if value is not None and type(value) is not str:
        raise InvalidArgument(f"{name} is a string, not {value!r}")
    return value


def _object(content: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = content.get(name)
    if value is not None and type(value) is not dict:
        raise InvalidArgument(f"{name} is an object, not {value!r}")
    return value


def _positive(content: Mapping[str, Any], name: str) -> int | None:
    value = content.get(name)
    if value is not None and (type(value) is not int or value < 1):
        raise InvalidArgument(f"{name} is a whole number from 1 on, not {value!r}")
    return value


def sidecar_path(file: Path) -> Path:
    """The path of a file's sidecar."""
    return file.with_name(file.name + SIDECAR_SUFFIX)


def encode(collection: CollectionInfo) -> bytes:
    """The sidecar of an exported collection."""
    value = {
        "columns": _COLUMNS,
        "dimension": collection.dimension,
        "collection_metadata": collection.metadata,
        **create_request(collection),
    }
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
