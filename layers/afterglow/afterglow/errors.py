"""The errors of the library, classified by what the caller should do.

::

    AfterglowError
    ├── InvalidArgument        the request has an invalid value; correct the request
    │   └── WrongDimension     a vector's dimension differs from the collection's
    ├── InvalidBody            the request body is valid JSON that does not match the schema
    ├── NotFound               no such tenant, database, collection or record
    ├── PositionExpired        the changes after a position of the log are not stored any more
    ├── AlreadyExists          the name is taken
    ├── WriteConflict          another write changed what a transaction had read; run the transaction again
    ├── StaleRead              a transaction began too long ago; run it again
    ├── FunctionAttached       the collection has an attached function already
    ├── Unauthenticated        missing or invalid credentials; send valid ones
    ├── PermissionDenied       disabled by configuration, or not permitted to this caller
    │   └── Forbidden          valid credentials without the permission
    ├── Unimplemented          a route of Chroma's API that this server does not implement
    ├── TooLarge               over a size limit; send less
    │   └── ResponseTooLarge   the request was valid, but its response is too large; request less
    ├── LimitExceeded          more work than one request may take; split it
    ├── Busy                   too many unflushed operations, or a service throttles; wait `retry_after` seconds
    ├── Unavailable            a dependency did not respond in time; no data is known to be lost; retry
    ├── StorageFull            no space left; nothing of this request was stored
    ├── Corrupt                stored bytes do not match their checksum or format; the message names the object
    │   └── UnsupportedFormat  another release wrote them in a format that this release does not read
    └── InternalError          a broken invariant

`storage.ports` adds two that never leave the library: `ConditionFailed` and `ObjectNotFound`.
`api.http.errors` maps these classes to HTTP statuses and Chroma's error names.

For `import afterglow as chromadb` this module also has the names of `chromadb.errors`.
"""

from importlib import import_module
from typing import Any
from uuid import UUID


def __getattr__(name: str) -> Any:
    """An error of chromadb's client, if chromadb is installed."""
    if not name.startswith("_"):
        try:
            return getattr(import_module("chromadb.errors"), name)
        except ImportError:
            pass
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class AfterglowError(Exception):
    """Base class of the library's errors; `message` is written for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgument(AfterglowError):
    """The request has an invalid value."""


class WrongDimension(InvalidArgument):
    """A vector has dimension `given`, the collection has dimension `expected`."""

    def __init__(self, expected: int, given: int) -> None:
        super().__init__(f"Collection expecting embedding with dimension of {expected}, got {given}")
        self.expected = expected
        self.given = given


class InvalidBody(AfterglowError):
    """The request body is valid JSON that does not match the schema."""


class NotFound(AfterglowError):
    """No such tenant, database, collection or record; `collection` is the id of a missing collection, if known."""

    def __init__(self, message: str, collection: UUID | None = None) -> None:
        super().__init__(message)
        self.collection = collection


class PositionExpired(AfterglowError):
    """The changes after a position of the log are not stored any more; those after position `oldest` are."""

    def __init__(self, message: str, oldest: int = 0) -> None:
        super().__init__(message)
        self.oldest = oldest


class AlreadyExists(AfterglowError):
    """The name is taken."""


class WriteConflict(AfterglowError):
    """Another write changed what a transaction had read. Clients recognise it by its text."""

    def __init__(self, message: str = "conditional write conflict") -> None:
        super().__init__(message)


class StaleRead(AfterglowError):
    """The snapshot of a transaction, or what was written since, can no longer be read."""


class FunctionAttached(AfterglowError):
    """The collection has an attached function already."""


class Unauthenticated(AfterglowError):
    """Missing or invalid credentials."""


class PermissionDenied(AfterglowError):
    """Disabled by configuration, or not permitted to this caller."""


class Forbidden(PermissionDenied):
    """Valid credentials without the permission, whether or not the resource exists."""


class Unimplemented(AfterglowError):
    """A route of Chroma's API that this server does not implement."""


class TooLarge(AfterglowError):
    """Over a size limit."""


class ResponseTooLarge(TooLarge):
    """The request was valid, but its response is too large to send."""


class LimitExceeded(AfterglowError):
    """More work than one request may take; the message names the limit and a way."""


class Busy(AfterglowError):
    """Too many unflushed operations, or a service throttles; retry after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(AfterglowError):
    """A dependency did not respond in time; retry after `retry_after` seconds.

    More than `PASSING_SECONDS` are for what does not pass by itself, such as a model that cannot be fetched.
    """

    PASSING_SECONDS = 30.0

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def is_passing(self) -> bool:
        """Whether a caller that has time should wait and try again."""
        return self.retry_after <= self.PASSING_SECONDS


class StorageFull(AfterglowError):
    """No space left on the device; nothing of the request was stored."""


class Corrupt(AfterglowError):
    """Stored bytes do not match their checksum or format; the message names the object and what to do."""


class UnsupportedFormat(Corrupt):
    """Another release wrote `name` in a format that this release does not read; the message has the advice."""

    def __init__(self, name: str, found: object, supported: int) -> None:
        is_newer = isinstance(found, int) and found > supported
        advice = (
            "a newer release wrote it: upgrade to that release"
            if is_newer
            else "an older release wrote it: export each collection with that release (afterglow export), then import "
            "the files into an empty directory with this one (afterglow import)"
        )
        super().__init__(f"{name} has format {found}, this release reads format {supported}; {advice}")


class InternalError(AfterglowError):
    """A broken invariant."""
