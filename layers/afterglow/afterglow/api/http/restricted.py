"""Responses for callers whose keys have filters: nothing in them depends on records outside the filters.

A log position counts the writes of others, and the figures in some errors their records.
"""

from dataclasses import replace

from afterglow.api.http.handler import Response
from afterglow.errors import AfterglowError, Busy, LimitExceeded, StaleRead, StorageFull, Unavailable

LOG_POSITION = b"afterglow-log-position"


def hide_positions(response: Response) -> Response:
    """The response without its log position."""
    return replace(response, headers=[header for header in response.headers if header[0] != LOG_POSITION])


def without_figures(error: AfterglowError) -> AfterglowError:
    """The error without figures about the stores and the work of others."""
    match error:
        case Busy():
            return Busy("the server is busy: retry later", error.retry_after)
        case StorageFull():
            return StorageFull("no space left on the device; nothing was written")
        case Unavailable():
            return Unavailable("the stores are unavailable: retry later", error.retry_after)
        case StaleRead():
            return StaleRead("the snapshot of this transaction can no longer be read: run the transaction again")
        case LimitExceeded():
            return LimitExceeded("the request takes too much work: send fewer vectors, conditions or values at a time")
        case _:
            return error
