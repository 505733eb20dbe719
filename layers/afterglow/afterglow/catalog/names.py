"""Rules for names of tenants, databases and collections. Violations raise InvalidArgument with Chroma's texts.

A name has 3 to 512 characters from `[a-zA-Z0-9._-]`, starts and ends with a letter or digit, contains no `..` and is
not an IPv4 address. `topology+name` is two such names. A tenant's name is any string of at least three characters.
"""

import ipaddress
import re
from functools import lru_cache
from uuid import UUID

import orjson

from afterglow.errors import InvalidArgument

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]")
_MIN_LENGTH = 3
_HYPHENED = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_UUID = re.compile(rf"[0-9a-fA-F]{{32}}|{_HYPHENED}|\{{{_HYPHENED}\}}|urn:uuid:{_HYPHENED}")


def validate_name(name: str) -> None:
    """Raise InvalidArgument for an invalid name of a database or collection."""
    segments = name.split("+")
    if len(segments) > 2:
        raise InvalidArgument("Expected a name to contain at most one topology:  Got two `+` characters.")
    for segment in segments:
        _validate_segment(segment)


def validate_collection_name(name: str, field: str = "name") -> None:
    """Like `validate_name`; the message names the request's field."""
    try:
        validate_name(name)
    except InvalidArgument as error:
        raise InvalidArgument(f"Validation error: {field}: {error.message}") from None


def validate_tenant_name(name: str) -> None:
    """Raise InvalidArgument for a tenant name of fewer than three characters."""
    if len(name) < _MIN_LENGTH:
        text = orjson.dumps(name).decode()
        raise InvalidArgument(
            f'Validation error: name: Validation error: length [{{"value": String({text}), "min": Number(3)}}]'
        )


def validate_database_segment(name: str) -> None:
    """Raise InvalidArgument when the database segment of a path is too short for a name."""
    if len(name) < _MIN_LENGTH:
        raise InvalidArgument("database name must be at least 3 characters")


@lru_cache(maxsize=1024)
def parse_collection_id(text: str, message: str = "Collection ID is not a valid UUIDv4") -> UUID:
    """Parse the id in a path segment; any UUID version."""
    match = _UUID.fullmatch(text)
    if match is None:
        raise InvalidArgument(message)
    return UUID(match[0])


def parse_crn(crn: str) -> tuple[str, str, str]:
    """Split `tenant:database:collection` into the tenant's resource name and the two other names."""
    segments = crn.split(":")
    if len(segments) != 3 or not all(segments):
        raise InvalidArgument(
            "Validation error: crn: CRN must be in the format "
            "<tenant_resource_name>:<database_name>:<collection_name> with non-empty parts"
        )
    return segments[0], segments[1], segments[2]


def _validate_segment(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise InvalidArgument(
            "Expected a name containing 3-512 characters from [a-zA-Z0-9._-], "
            f"starting and ending with a character in [a-zA-Z0-9]. Got: {name}"
        )
    if ".." in name:
        raise InvalidArgument(f"Expected a name that does not contains two consecutive periods (..). Got {name}")
    if _is_address(name):
        raise InvalidArgument(f"Expected a name that is not a valid ip address. Got {name}")


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True
