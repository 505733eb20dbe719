"""Handlers of the collection and fork routes, and a collection's JSON."""

import logging
from typing import Any

import orjson
from pydantic import BaseModel

from afterglow.api import legacy, models
from afterglow.api.http import request_params
from afterglow.api.http.errors import forbidden
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.validation import json_body, metadata
from afterglow.catalog import collections, embedding_functions, names, schema
from afterglow.catalog.model import Collection
from afterglow.collection.replica import indexing_progress
from afterglow.collection.write.lifecycle import function_policy
from afterglow.errors import InvalidArgument, InvalidBody, NotFound

logger = logging.getLogger("afterglow.api")

_EMPTY = b"{}"


def create(context: AppContext, request: Request) -> Response:
    """Create a collection, or return the existing one."""
    body = json_body.parse(models.CreateCollection, request.body)
    tenant, database = request_params.tenant_and_database(request)
    collection_metadata = metadata.check_collection(body.metadata, "metadata", nulls=False)
    names.validate_collection_name(body.name)
    collection_schema = schema.reconcile(
        _to_dict(body.configuration), _to_dict(body.collection_schema), collection_metadata, context.threads
    )
    try:
        collection = context.engine.create_collection(
            tenant, database, body.name, collection_metadata, collection_schema, get_or_create=body.get_or_create
        )
    except NotFound as error:
        # The database was deleted concurrently; for this route, Chroma's contract makes that an invalid argument.
        raise InvalidArgument(error.message) from error
    return _encode(context, request, collection)


def get_for_reader(context: AppContext, request: Request) -> Response:
    """The existing collection, for a caller that may not create one. Raises Forbidden for every other request."""
    tenant, database = request_params.tenant_and_database(request)
    try:
        body = json_body.parse(models.CreateCollection, request.body)
        if body.get_or_create:
            return _encode(context, request, _find_by_name(context, request, tenant, database, body.name))
    except (InvalidArgument, InvalidBody, NotFound):
        pass
    raise forbidden()


def list_all(context: AppContext, request: Request) -> Response:
    """A database's collections, by id."""
    limit, offset = request_params.limit_and_offset(request)
    database = request_params.tenant_and_database(request)
    if request.grant.wheres is None:
        page = context.engine.list_collections(*database, limit, offset)
    else:
        found = _visible_collections(context, request)
        page = found[offset:] if limit is None else found[offset : offset + limit]
    return Response(orjson.dumps([_to_json(context, request, collection) for collection in page]))


def count(context: AppContext, request: Request) -> Response:
    """The number of collections in a database."""
    if request.grant.wheres is not None:
        return Response(b"%d" % len(_visible_collections(context, request)))
    return Response(b"%d" % context.engine.count_collections(*request_params.tenant_and_database(request)))


def get(context: AppContext, request: Request) -> Response:
    """A collection by name, or by id if none has that name."""
    tenant, database = request_params.tenant_and_database(request)
    name_or_id = request.path_part("collection_id")
    try:
        return _encode(context, request, _find_by_name(context, request, tenant, database, name_or_id))
    except NotFound:
        collection = _find_by_id(context, request, tenant, database, name_or_id)
        if collection is None:
            raise
        return _encode(context, request, collection)


def get_by_id(context: AppContext, request: Request) -> Response:
    """A collection by id."""
    tenant, database = request_params.tenant_and_database(request)
    collection_id = names.parse_collection_id(
        request.path_part("collection_id"),
        "Validation error: collection_id: Invalid collection ID format, expected UUID",
    )
    try:
        collection = context.engine.get_collection_by_id(
            request_params.collection_scope(request, tenant, database, collection_id)
        )
    except NotFound:
        # Chroma's text for this route has no full stop.
        raise collections.not_found(str(collection_id)) from None
    return _encode(context, request, collection)


def get_by_crn(context: AppContext, request: Request) -> Response:
    """A collection by its tenant's resource name, its database's name and its own name."""
    resource_name, database, name = names.parse_crn(request.path_part("crn"))
    catalog = context.engine.catalog
    tenants = catalog.list_tenants() if request.grant.tenant is None else [request.grant.tenant]
    for tenant in tenants:
        if catalog.get_tenant(tenant) == resource_name:
            if not request.grant.can_see(tenant, database):
                raise collections.not_found(name)
            return _encode(context, request, context.engine.get_collection(tenant, database, name))
    raise NotFound(f"Tenant with resource name [{resource_name}] not found")


def update(context: AppContext, request: Request) -> Response:
    """Rename a collection, replace its metadata, reconfigure it."""
    body = json_body.parse(models.UpdateCollection, request.body)
    scope = request_params.scope(request)
    try:
        new_metadata = metadata.check_collection(body.new_metadata, "new_metadata", nulls=True)
        if body.new_name is not None:
            names.validate_collection_name(body.new_name, "new_name")
    except InvalidArgument:
        context.engine.get_collection_by_id(scope)
        raise
    context.engine.modify_collection(scope, body.new_name, new_metadata, _to_dict(body.new_configuration))
    return Response(_EMPTY)


def delete(context: AppContext, request: Request) -> Response:
    """Delete a collection by name, or by id if none has that name."""
    tenant, database = request_params.tenant_and_database(request)
    name_or_id = request.path_part("collection_id")
    try:
        context.engine.delete_collection(tenant, database, name_or_id)
    except NotFound:
        collection = _find_by_id(context, request, tenant, database, name_or_id)
        if collection is None:
            raise
        context.engine.delete_collection(tenant, database, collection.name)
    return Response(_EMPTY)


def fork(context: AppContext, request: Request) -> Response:
    """Fork a collection, as it is or as of the point in time in the query string."""
    body = json_body.parse(models.ForkCollection, request.body)
    scope = request_params.scope(request)
    names.validate_collection_name(body.new_name, "new_name")
    return _encode(context, request, context.engine.fork(scope, body.new_name, request_params.parse_at(request)))


def fork_count(context: AppContext, request: Request) -> Response:
    """The number of forks in a collection's lineage."""
    return Response(orjson.dumps({"count": context.engine.fork_count(request_params.scope(request))}))


def _find_by_name(context: AppContext, request: Request, tenant: str, database: str, name: str) -> Collection:
    """The collection of this name, if the filters of the caller's key do not exclude it. Raises NotFound."""
    restriction = request_params.restriction(request)
    if restriction is not None and restriction.filter_of(name) is None:
        raise collections.not_found(name)
    return context.engine.get_collection(tenant, database, name)


def _visible_collections(context: AppContext, request: Request) -> list[Collection]:
    """The collections of the path's database for which the caller's key has a filter, by id."""
    restriction = request_params.restriction(request)
    found = context.engine.list_collections(*request_params.tenant_and_database(request))
    return [one for one in found if restriction is None or restriction.filter_of(one.name) is not None]


def _find_by_id(context: AppContext, request: Request, tenant: str, database: str, text: str) -> Collection | None:
    """The collection with the id `text`, if any; Chroma's routes accept only a name here."""
    try:
        scope = request_params.collection_scope(request, tenant, database, names.parse_collection_id(text))
        return context.engine.get_collection_by_id(scope)
    except (InvalidArgument, NotFound):
        return None


def _encode(context: AppContext, request: Request, collection: Collection) -> Response:
    return Response(orjson.dumps(_to_json(context, request, collection)))


def _to_json(context: AppContext, request: Request, collection: Collection) -> dict[str, Any]:
    """The collection in the form that the client's version parses."""
    _warn_if_unsafe(context, collection)
    fields = {
        "id": collection.id,
        "name": collection.name,
        "configuration_json": schema.configuration_json(collection.schema),
        "schema": collection.schema,
        "metadata": collection.metadata or None,
        "dimension": collection.dimension,
        "tenant": collection.tenant,
        "database": collection.database,
        "log_position": collection.flushed_seq,
        "version": indexing_progress.checkpoint_count(collection),
    }
    if request.grant.wheres is not None:
        # What others write changes none of these.
        fields |= {"schema": schema.without_registered_keys(collection.schema), "log_position": 0, "version": 0}
    return legacy.to_legacy_collection(fields) if legacy.is_old_client(request) else fields


def _warn_if_unsafe(context: AppContext, collection: Collection) -> None:
    """Log, once per process, a collection whose embedding function this process would not store."""
    if collection.id in context.reported_collections:
        return
    functions = embedding_functions.in_schema(collection.schema)
    for problem in embedding_functions.find_problems(functions, function_policy(context.settings)):
        context.reported_collections.add(collection.id)
        logger.warning(
            "collection %s (%s): %s, and so does every client that opens it: replace its embedding function",
            collection.name,
            collection.id,
            problem,
        )


def _to_dict(model: BaseModel | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(exclude_none=True)
