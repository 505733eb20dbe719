"""Attached functions: computed from a collection's records into an output collection, which the indexer updates.

1. **Attach**: in one transaction create the output collection and put the function into the collection's state, on
   condition that the state is the one that was read. *Before: nothing. After: both are there.* Then notify the indexer.
   *Crash before: the next flush runs the function.*
2. **Run**: `jobs.functions`.
3. **Detach**: remove the function from the state; a run that is under way notices it. Then drop the output, if that was
   requested. *Crash between: the output stays, an ordinary collection.*

A collection has at most one function. A fork has none.
"""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from afterglow.catalog import collections, keys, schema
from afterglow.catalog import state as states
from afterglow.catalog.model import FUNCTIONS, AttachedFunction, Collection
from afterglow.collection.write.notification import notify_indexer
from afterglow.errors import AlreadyExists, FunctionAttached, NotFound, Unavailable
from afterglow.retry import Backoff, attempts
from afterglow.storage.ports import ConditionFailed, Put, Stores

_RETRIES = Backoff(max_attempts=20, first=0.0, last=0.0)
"""Start over at once: a flush changed the state."""
_REASON = "idle function"
"""The nonce after it makes the message unique: within minutes the queue would drop an equal one as a duplicate."""


@dataclass(frozen=True, slots=True)
class FunctionRequest:
    """The name of the function to be, the function, the name of its output collection, and its parameters."""

    name: str
    function: str
    output_name: str
    params: Any = None


def attach(stores: Stores, collection_id: UUID, request: FunctionRequest) -> tuple[Collection, bool]:
    """Attach a function; the collection with it, and whether it is new: the same request is answered twice.

    Raises NotFound, AlreadyExists for the output collection, FunctionAttached, Unavailable, StorageFull.
    """
    if request.function not in FUNCTIONS:
        raise NotFound("function not found")
    function = AttachedFunction(
        stores.system.new_id(),
        request.name,
        request.function,
        request.output_name,
        stores.system.new_id(),
        request.params,
    )
    stores.objects.reserve_space()
    for _ in attempts(stores.system, _RETRIES):
        existing = collections.require(stores.table, collection_id)
        if existing.function is not None:
            return existing, _is_new(existing.function, function)
        output = _output_collection(stores, existing, function)
        attached = replace(existing, function=function)
        state = Put(keys.collection(collection_id), keys.STATE, states.encode(attached), if_version=existing.version)
        try:
            stores.table.transact([*collections.creation_writes(output), state])
        except ConditionFailed:
            if collections.require(stores.table, collection_id).function is None:
                _check_output(stores, output)
            continue
        notify_indexer(stores, collection_id, f"{_REASON} {stores.system.nonce()}")
        return replace(attached, version=existing.version + 1), True
    raise Unavailable(f"collection {collection_id} has too many concurrent changes; try again")


def find(collection: Collection, name: str) -> AttachedFunction:
    """The attached function of this name. Raises NotFound."""
    function = collection.function
    if function is None or function.name != name:
        raise NotFound("Attached function not found")
    return function


def detach(stores: Stores, collection_id: UUID, name: str) -> tuple[Collection, AttachedFunction]:
    """Detach the function; the collection without it, and the function. Raises NotFound, Unavailable."""
    detached = find(collections.require(stores.table, collection_id), name)

    def edit(existing: Collection) -> Collection | None:
        return replace(existing, function=None) if _is_same(existing.function, detached) else None

    return collections.update(stores.table, collection_id, edit), detached


def _is_same(attached: AttachedFunction | None, function: AttachedFunction) -> bool:
    return attached is not None and attached.id == function.id


def _is_new(attached: AttachedFunction, function: AttachedFunction) -> bool:
    """Whether our own attempt, whose response was lost, attached it. Raises FunctionAttached for another function."""
    described = ("name", "function", "output_name", "params")
    if any(getattr(attached, field) != getattr(function, field) for field in described):
        raise FunctionAttached(
            f"collection already has an attached function: name={attached.name}, function={attached.function}, "
            f"output_collection={attached.output_name}"
        )
    return attached.id == function.id


def _output_collection(stores: Stores, source: Collection, function: AttachedFunction) -> Collection:
    return Collection(
        id=function.output_id,
        name=function.output_name,
        tenant=source.tenant,
        database=source.database,
        namespace_id=source.namespace_id,
        schema=schema.reconcile(None, None, None),
        created_at=stores.system.now(),
    )


def _check_output(stores: Stores, output: Collection) -> None:
    try:
        collections.resolve_create_conflict(stores.table, output)
    except AlreadyExists:
        raise AlreadyExists(f"Output collection [{output.name}] already exists") from None
