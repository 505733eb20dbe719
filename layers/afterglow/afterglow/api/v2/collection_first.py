"""The order of errors in Chroma: an unknown collection takes precedence over a wrong value in the request."""

from afterglow.api.http.handler import AppContext
from afterglow.collection.types import Scope
from afterglow.errors import InvalidArgument


class collection_first:  # noqa: N801  used like a function, for every request
    """Check values within it: InvalidArgument is raised if the collection exists, and NotFound otherwise."""

    __slots__ = ("_context", "_scope")

    def __init__(self, context: AppContext, scope: Scope) -> None:
        self._context, self._scope = context, scope

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InvalidArgument):
            self._context.engine.get_collection_by_id(self._scope)
