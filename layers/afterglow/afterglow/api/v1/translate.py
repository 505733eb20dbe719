"""Translates v1 requests to v2, and v2's errors to v1."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import BaseModel

from afterglow.api.http import request_params
from afterglow.api.http.errors import InvalidCollection, InvalidDimension, InvalidId, UniqueConstraint
from afterglow.api.http.handler import AppContext, Request
from afterglow.catalog.names import parse_collection_id
from afterglow.catalog.tenants import DEFAULT_DATABASE, DEFAULT_TENANT
from afterglow.errors import AlreadyExists, InvalidArgument, NotFound, WrongDimension

_FILTERS = ("where", "where_document")
_DATA = "data"


def query_tenant_scope(request: Request) -> tuple[str, None]:
    """The tenant of the query string, or the default one."""
    return request_params.query_field(request, "tenant") or DEFAULT_TENANT, None


def query_scope(request: Request) -> tuple[str, str]:
    """The tenant and the database of the query string, or the default ones; a database in the path takes precedence."""
    tenant, _ = query_tenant_scope(request)
    if "database" in request.path:
        return tenant, request.path_part("database")
    return tenant, request_params.query_field(request, "database") or DEFAULT_DATABASE


def with_tenant(request: Request) -> Request:
    """The request with its tenant in the path."""
    return _with_path_params(request, tenant=query_tenant_scope(request)[0])


def with_database(request: Request) -> Request:
    """The request with its tenant and its database in the path."""
    tenant, database = query_scope(request)
    return _with_path_params(request, tenant=tenant, database=database)


def resolve_collection(context: AppContext, request: Request) -> Request:
    """The request with the tenant and the database of the collection whose id is in the path.

    Raises InvalidId, InvalidCollection.
    """
    text = request.path_part("collection_id")
    try:
        collection_id = parse_collection_id(text)
    except InvalidArgument:
        raise InvalidId(f"Could not parse {text} as a UUID") from None
    with v1_errors(text):
        tenant, database = context.engine.locate(
            collection_id, request.grant.can_see, request_params.restriction(request)
        )
    return _with_path_params(request, tenant=tenant, database=database)


def drop_empty_filters(request: Request, model: type[BaseModel], *unknown_fields: str) -> Request:
    """The request without filters that are `{}`, and without fields that v1 or the `model` does not have.

    v1 ignores unknown fields, of which `unknown_fields` are some that v2 has. It also drops `data` from the include
    list, because clients assemble that column themselves.
    """

    def transform(body: dict[str, Any]) -> dict[str, Any]:
        fields = {
            name: value
            for name, value in body.items()
            if name in model.model_fields and name not in unknown_fields and not (name in _FILTERS and value == {})
        }
        include = fields.get("include", _DATA)
        if include is None:
            del fields["include"]
        elif isinstance(include, list) and _DATA in include:
            fields["include"] = [name for name in include if name != _DATA]
        return fields

    return _transform_body(request, transform)


def drop_empty_metadata(request: Request, name: str) -> Request:
    """The request with null instead of `{}` as its metadata, which is the field `name`."""
    return _transform_body(request, lambda body: body | {name: None} if body.get(name) == {} else body)


def _transform_body(request: Request, transform: Callable[[dict[str, Any]], dict[str, Any]]) -> Request:
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return request  # the handler reports the error
    transformed = transform(body) if isinstance(body, dict) else body
    if transformed == body:
        return request
    try:
        return replace(request, body=orjson.dumps(transformed))
    except orjson.JSONEncodeError as error:
        raise InvalidArgument(f"Failed to parse the request body as JSON: {error}") from None


@contextmanager
def v1_errors(collection: str) -> Iterator[None]:
    """Convert the errors of a collection with this name or id to v1's."""
    try:
        yield
    except WrongDimension as error:
        raise InvalidDimension(
            f"Embedding dimension {error.given} does not match collection dimensionality {error.expected}"
        ) from None
    except NotFound:
        raise InvalidCollection(f"Collection {collection} does not exist.") from None


@contextmanager
def v1_name_taken(request: Request, resource: str, *, field: str = "name", suffix: str = "") -> Iterator[None]:
    """Convert the error of a taken name to v1's; the body's `field` holds the name. Raises UniqueConstraint."""
    try:
        yield
    except AlreadyExists:
        raise UniqueConstraint(f"{resource} {orjson.loads(request.body)[field]} already exists{suffix}") from None


def _with_path_params(request: Request, **params: str) -> Request:
    path = request.path | {name: quote(value, safe="") for name, value in params.items()}
    # Without headers the handlers return the current form to every client.
    return replace(request, path=path, headers={})
