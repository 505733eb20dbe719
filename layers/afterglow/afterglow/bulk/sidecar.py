"""What may lie beside a file, as `<name>.import.json`: what its columns are, and what the collection is to be like.

::

    {
      "columns": {"id": "package", "embedding": "vec", "document": "summary", "uri": "url",
                  "metadata": "attributes" | ["section", "size"]},
      "types": {"zip": "str"},                                          of a CSV's columns: int, float, bool, json, str
      "delimiter": ";",                                                 of a CSV
      "dimension": 384, "space": "cosine",
      "configuration": {…}, "schema": {…}, "collection_metadata": {…},  as a client gives them to create_collection
      "batch_size": 1000
    }

Everything may be left out. What is about the collection matters only where the import makes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from afterglow.bulk.endpoint import CollectionInfo, create_request
from afterglow.bulk.types import ImportRejected
from afterglow.errors import InvalidArgument

SPACES = ("l2", "ip", "cosine")
_ROLES = ("id", "embedding", "document", "uri")
_TYPES = ("int", "float", "bool", "json", "str")
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What is said of a file. `columns` are by role; `metadata` is the column of objects, or the columns of values."""

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

    def create_request(self, name: str) -> dict[str, Any]:
        """The body of a request that makes the collection where there is none."""
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


def parse(value: bytes, name: str) -> Sidecar:
    """The sidecar of a file's bytes. Raises Refused."""
    if len(value) > _MOST_BYTES:
        raise ImportRejected(f"{name} has {len(value)} bytes, a sidecar has at most {_MOST_BYTES}")
    try:
        return from_json(orjson.loads(value))
    except (orjson.JSONDecodeError, InvalidArgument) as error:
        raise ImportRejected(f"{name}: {error}") from None


def from_json(given: Any) -> Sidecar:
    """The sidecar that a JSON object says. Raises InvalidArgument."""
    if type(given) is not dict:
        raise InvalidArgument("a sidecar is a JSON object")
    unknown = given.keys() - Sidecar.__dataclass_fields__.keys() | given.keys() & {"metadata"}
    if unknown:
        raise InvalidArgument(f"a sidecar has no {', '.join(sorted(unknown))}")
    columns = dict(_object(given, "columns") or {})
    metadata = columns.pop("metadata", None)
    if type(metadata) is list and all(type(each) is str for each in metadata):
        metadata = tuple(metadata)
    elif metadata is not None and type(metadata) is not str:
        raise InvalidArgument("columns.metadata is the name of a column of objects, or a list of names")
    for role, column in columns.items():
        if role not in _ROLES or type(column) is not str:
            raise InvalidArgument(f"columns: {role!r}: it names {', '.join(_ROLES)} and metadata, each by a string")
    types = dict(_object(given, "types") or {})
    if not all(each in _TYPES for each in types.values()):
        raise InvalidArgument(f"types are {', '.join(_TYPES)}")
    if given.get("space") not in (None, *SPACES):
        raise InvalidArgument(f"space is one of {', '.join(SPACES)}, not {given['space']!r}")
    delimiter = given.get("delimiter")
    if delimiter is not None and (type(delimiter) is not str or len(delimiter) != 1 or delimiter in '"\r\n'):
        raise InvalidArgument(f"delimiter is one character, not {delimiter!r}")
    return Sidecar(
        columns=columns,
        metadata=metadata,
        types=types,
        delimiter=delimiter,
        dimension=_number(given, "dimension"),
        space=given.get("space"),
        configuration=_object(given, "configuration"),
        schema=_object(given, "schema"),
        collection_metadata=_object(given, "collection_metadata"),
        batch_size=_number(given, "batch_size"),
    )


def _object(given: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    found = given.get(name)
    if found is not None and type(found) is not dict:
        raise InvalidArgument(f"{name} is an object, not {found!r}")
    return found


def _number(given: Mapping[str, Any], name: str) -> int | None:
    found = given.get(name)
    if found is not None and (type(found) is not int or found < 1):
        raise InvalidArgument(f"{name} is a whole number from 1 on, not {found!r}")
    return found


SIDECAR_SUFFIX = ".import.json"

_COLUMNS = {"id": "id", "embedding": "embedding", "document": "document", "uri": "uri", "metadata": "metadata"}


def sidecar_path(file: Path) -> Path:
    """The sidecar of a file."""
    return file.with_name(file.name + SIDECAR_SUFFIX)


def encode(of: CollectionInfo) -> bytes:
    """The sidecar's content."""
    value = {
        "columns": _COLUMNS,
        "dimension": of.dimension,
        "collection_metadata": of.metadata,
        **create_request(of),
    }
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
