"""The read tokens of transactions: numbers of log entries, hidden for callers whose keys have filters.

A **read token** is the number of the log entry that would follow the snapshot. It counts the writes of others, so the
holder of a key with filters gets another number that tells nothing (`auth.hidden_positions`), and no position of its
commits. Its nonces are stored together with its filters, so that they never meet those of others.
"""

import hashlib
import re

from afterglow.api.http.handler import AppContext, Request
from afterglow.collection.types import Scope
from afterglow.errors import InvalidArgument, StaleRead

_MAX_TOKEN = 2**63 - 1
_NONCE = re.compile("[0-9A-Za-z_-]{16,64}")


def encode(context: AppContext, scope: Scope, position: int, first: int | None) -> int:
    """The token for reads of the snapshot at a log position: of the transaction's first read, if this is a later one.

    Raises LimitExceeded, Unavailable.
    """
    if scope.restriction is None:
        return position + 1
    return context.engine.hidden_positions.hide(position, _purpose(scope)) if first is None else first


def position_of(context: AppContext, scope: Scope, read_token: int | None) -> int | None:
    """The log position of a token; of a hidden one that no read has returned, an arbitrary position.

    Raises InvalidArgument, StaleRead, Unavailable.
    """
    if read_token is None:
        return None
    if scope.restriction is not None:
        position = context.engine.hidden_positions.find(read_token, _purpose(scope))
        if position is None:
            raise StaleRead("no read of a transaction has returned this token")
        return position
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
