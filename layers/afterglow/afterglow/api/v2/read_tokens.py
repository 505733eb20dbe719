"""The read tokens of transactions: numbers of log entries, or for callers whose keys have filters, text.

A **read token** is the number of the log entry that would follow the snapshot. It counts the writes of others, so the
holder of a key with filters gets a text instead that tells nothing (`auth.hidden_positions`), and no position of its
commits. Its nonces are stored together with its filters, so that they never meet those of others.
"""

import hashlib
import re

from afterglow.api.http.handler import AppContext, Request
from afterglow.collection.types import Scope
from afterglow.errors import InvalidArgument, StaleRead

_MAX_TOKEN = 2**63 - 1
_NONCE = re.compile("[0-9A-Za-z_-]{16,64}")


def encode(context: AppContext, scope: Scope, position: int) -> int | str:
    """The token for reads of the snapshot at a log position."""
    if scope.restriction is None:
        return position + 1
    return context.engine.hidden_positions.hide(position, _purpose(scope))


def position_of(context: AppContext, scope: Scope, read_token: int | str | None) -> int | None:
    """The log position of a token. Raises InvalidArgument, StaleRead."""
    if read_token is None:
        return None
    if scope.restriction is not None:
        text = read_token if isinstance(read_token, str) else ""
        position = context.engine.hidden_positions.find(text, _purpose(scope))
        if position is None:
            raise InvalidArgument("read_token: not a token that a read of this collection with such a key has returned")
        return position
    if isinstance(read_token, str):
        raise InvalidArgument("read_token: only those of keys with filters are text")
    if read_token > _MAX_TOKEN:
        raise InvalidArgument(f"conditional read token {read_token} exceeds i64 range")
    if read_token == 0:
        raise StaleRead("invalid read token: log upper bound offset is 0")
    return read_token - 1


def check_nonce(request: Request, nonce: str | None) -> str | None:
    """The nonce of a commit as it is stored. Raises InvalidArgument."""
    if nonce is not None and _NONCE.fullmatch(nonce) is None:
        raise InvalidArgument("nonce: 16 to 64 letters, digits, - and _")
    wheres = request.grant.wheres
    if nonce is None or wheres is None:
        return nonce
    return hashlib.blake2b(repr((nonce, wheres)).encode(), digest_size=24, person=b"restricted nonce").hexdigest()


def _purpose(scope: Scope) -> str:
    return f"read_token {scope.collection}"
