"""The order of errors in Chroma: an unknown collection takes precedence over a wrong value in the request."""

from collections.abc import Iterator
from contextlib import contextmanager

from afterglow.api.http.handler import AppContext
from afterglow.collection.types import Scope
from afterglow.errors import InvalidArgument


@contextmanager
def collection_first(context: AppContext, scope: Scope) -> Iterator[None]:
    """Check values within it: InvalidArgument is raised if the collection exists, and NotFound otherwise."""
    try:
        yield
    except InvalidArgument:
        context.engine.get_collection_by_id(scope)
        raise
