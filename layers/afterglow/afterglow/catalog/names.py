"""What tenants, databases and collections may be called. Every refusal is InvalidArgument, in Chroma's words.

A name is 3–512 characters from `[a-zA-Z0-9._-]` that begins and ends with a letter or digit, holds no `..` and is no
IPv4 address. `topology+name` is two such names. A tenant is anything of three characters or more.
"""

import ipaddress
import re
from uuid import UUID

import orjson

from afterglow.errors import InvalidArgument

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]")
_SHORTEST = 3
_HYPHENED = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_UUID = re.compile(rf"[0-9a-fA-F]{{32}}|{_HYPHENED}|\{{{_HYPHENED}\}}|urn:uuid:{_HYPHENED}")


def validate_name(name: str) -> None:
    """Refuse what no database or collection may be called."""
    parts = name.split("+")
    if len(parts) > 2:
        raise InvalidArgument("Expected a name to contain at most one topology:  Got two `+` characters.")
    for part in parts:
        _validate_part(part)


def validate_collection_name(name: str, field: str = "name") -> None:
    """Like `validate_name`; the message names the field of the request that held the name."""
    try:
        validate_name(name)
    except InvalidArgument as error:
        raise InvalidArgument(f"Validation error: {field}: {error.message}") from None


def validate_tenant_name(name: str) -> None:
    """Refuse a tenant name of fewer than three characters."""
    if len(name) < _SHORTEST:
        text = orjson.dumps(name).decode()
        raise InvalidArgument(
            f'Validation error: name: Validation error: length [{{"value": String({text}), "min": Number(3)}}]'
        )


def validate_database_segment(name: str) -> None:
    """Refuse the database part of a path when it is too short for any database."""
    if len(name) < _SHORTEST:
        raise InvalidArgument("database name must be at least 3 characters")


def parse_collection_id(text: str, message: str = "Collection ID is not a valid UUIDv4") -> UUID:
    """The id of a path's segment, of any UUID version."""
    found = _UUID.fullmatch(text)
    if found is None:
        raise InvalidArgument(message)
    return UUID(found[0])


def parse_crn(crn: str) -> tuple[str, str, str]:
    """Resource name of the tenant, database name and collection name of `tenant:database:collection`."""
    parts = crn.split(":")
    if len(parts) != 3 or not all(parts):
        raise InvalidArgument(
            "Validation error: crn: CRN must be in the format "
            "<tenant_resource_name>:<database_name>:<collection_name> with non-empty parts"
        )
    return parts[0], parts[1], parts[2]


def _validate_part(name: str) -> None:
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
