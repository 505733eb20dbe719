"""What can go wrong, by what the caller should do about it.

::

    AfterglowError
    ├── InvalidArgument        the request names something that cannot be; mend the request
    │   └── WrongDimension     a vector does not have as many components as the collection's
    ├── Malformed              the request is well-formed JSON of the wrong shape
    ├── NotFound               no such tenant, database, collection or record
    ├── AlreadyExists          the name is taken
    ├── Unauthenticated        who calls is not known; send a credential that is
    ├── PermissionDenied       switched off, or not for this caller
    │   └── Forbidden          who calls is known, and may not do this here
    ├── Unimplemented          a call of the contract that this server does not serve
    ├── TooLarge               over a size limit; send less
    ├── Busy                   the unindexed tail is at its limit, or a service throttles; wait `retry_after` seconds
    ├── Unavailable            a dependency did not answer in time; nothing is known to be lost; retry
    ├── StorageFull            no space left; nothing of this request was kept
    ├── Corrupt                stored bytes do not match their checksum or format; the message names the object
    │   └── UnsupportedFormat  another release wrote them in a format that this one does not read
    └── InternalError          a broken invariant

`storage.ports` adds two that never leave the library: `ConditionFailed` and `ObjectMissing`.
The one table from these to HTTP statuses and Chroma's error names is `api.http.errors`.
"""


class AfterglowError(Exception):
    """Base of every error the library raises on purpose; `message` is what the user reads."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgument(AfterglowError):
    """The request names something that cannot be."""


class WrongDimension(InvalidArgument):
    """A vector has `given` components where the collection's have `expected`."""

    def __init__(self, expected: int, given: int) -> None:
        super().__init__(f"Collection expecting embedding with dimension of {expected}, got {given}")
        self.expected = expected
        self.given = given


class InvalidBody(AfterglowError):
    """Well-formed JSON of the wrong shape."""


class NotFound(AfterglowError):
    """No such tenant, database, collection or record."""


class AlreadyExists(AfterglowError):
    """The name is taken."""


class Unauthenticated(AfterglowError):
    """Who calls is not known."""


class PermissionDenied(AfterglowError):
    """Switched off by configuration, or not for this caller."""


class Forbidden(PermissionDenied):
    """Who calls is known, and may not do this here, be it there or not."""


class Unimplemented(AfterglowError):
    """A call of the contract that this server does not serve."""


class TooLarge(AfterglowError):
    """Over a size limit."""


class Busy(AfterglowError):
    """The unindexed tail is at its limit, or a service takes no more; retry after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(AfterglowError):
    """A dependency did not answer in time; retry after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StorageFull(AfterglowError):
    """No space left on the device; nothing of the request was kept."""


class Corrupt(AfterglowError):
    """Stored bytes do not match their checksum or format; the message names the object and what to do."""


class UnsupportedFormat(Corrupt):
    """Another release wrote `name`, in a format that this one does not read."""

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
