"""From a v1 request to the v2 call that it means, and from v2's errors to v1's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson

from afterglow.api.http import request_params
from afterglow.api.http.errors import InvalidCollection, InvalidDimension, InvalidId, UniqueConstraint
from afterglow.api.http.handler import AppContext, Request
from afterglow.catalog.names import parse_collection_id
from afterglow.catalog.tenants import DEFAULT_DATABASE, DEFAULT_TENANT
from afterglow.errors import AlreadyExists, InvalidArgument, NotFound, WrongDimension

_FILTERS = ("where", "where_document")
_DATA = "data"


def tenant_of_query(call: Request) -> tuple[str, None]:
    """The tenant that the query names, or the default one."""
    return request_params.field(call, "tenant") or DEFAULT_TENANT, None


def place_of_query(call: Request) -> tuple[str, str]:
    """The tenant and the database that the query names, or the default ones; a database of the path goes first."""
    tenant, _ = tenant_of_query(call)
    if "database" in call.path:
        return tenant, call.path_part("database")
    return tenant, request_params.field(call, "database") or DEFAULT_DATABASE


def within_tenant(call: Request) -> Request:
    """The call with its tenant in its path."""
    return _placed(call, tenant=tenant_of_query(call)[0])


def within_database(call: Request) -> Request:
    """The call with its tenant and its database in its path."""
    tenant, database = place_of_query(call)
    return _placed(call, tenant=tenant, database=database)


def resolve_collection(service: AppContext, call: Request) -> Request:
    """The call with the tenant and the database of the collection whose id is in its path.

    Raises InvalidId, InvalidCollection.
    """
    text = call.path_part("collection_id")
    try:
        collection_id = parse_collection_id(text)
    except InvalidArgument:
        raise InvalidId(f"Could not parse {text} as a UUID") from None
    with v1_errors(text):
        tenant, database = service.engine.locate(collection_id, call.grant.can_see)
    return _placed(call, tenant=tenant, database=database)


def drop_empty_filters(call: Request, *dropped: str) -> Request:
    """The call with no filter where its body says `{}`, and without the fields `dropped`, which v1 does not have.

    What clients put together themselves, `data`, is not asked of the handlers.
    """

    def changed(body: dict[str, Any]) -> dict[str, Any]:
        kept = {
            name: value
            for name, value in body.items()
            if name not in dropped and not (name in _FILTERS and value == {})
        }
        include = kept.get("include", _DATA)
        if include is None:
            del kept["include"]
        elif isinstance(include, list) and _DATA in include:
            kept["include"] = [each for each in include if each != _DATA]
        return kept

    return _changed(call, changed)


def without_empty_metadata(call: Request, name: str) -> Request:
    """The call with no metadata where its body says `{}`."""
    return _changed(call, lambda body: body | {name: None} if body.get(name) == {} else body)


def _changed(call: Request, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Request:
    try:
        body = orjson.loads(call.body)
    except orjson.JSONDecodeError:
        return call  # the handler says what is wrong with it
    wanted = change(body) if isinstance(body, dict) else body
    if wanted == body:
        return call
    try:
        return replace(call, body=orjson.dumps(wanted))
    except orjson.JSONEncodeError as error:
        raise InvalidArgument(f"Failed to parse the request body as JSON: {error}") from None


@contextmanager
def v1_errors(collection: str) -> Iterator[None]:
    """What goes wrong with a collection of this name or id, in the words of v1."""
    try:
        yield
    except WrongDimension as error:
        raise InvalidDimension(
            f"Embedding dimension {error.given} does not match collection dimensionality {error.expected}"
        ) from None
    except NotFound:
        raise InvalidCollection(f"Collection {collection} does not exist.") from None


@contextmanager
def v1_name_taken(call: Request, what: str, *, field: str = "name", of: str = "") -> Iterator[None]:
    """A name that is taken, in the words of v1; the request's body has it as `field`. Raises UniqueConstraint."""
    try:
        yield
    except AlreadyExists:
        raise UniqueConstraint(f"{what} {orjson.loads(call.body)[field]} already exists{of}") from None


def _placed(call: Request, **parts: str) -> Request:
    path = call.path | {name: quote(part, safe="") for name, part in parts.items()}
    # Without headers the handlers answer in the present form, whoever asks.
    return replace(call, path=path, headers={})
