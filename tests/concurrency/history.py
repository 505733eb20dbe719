"""What happened, as the clients saw it, and what must hold of it.

A client notes for every call when it was begun and when its answer was there, on the machine-wide monotonic clock. From
the notes of all clients together follows, whatever the interleaving:

no lost write     the last read of a key shows its last acknowledged version or a later one that was begun
no stale read     a read begun after a write was acknowledged shows that write or a later one
nothing invented  a read shows only versions whose write was begun before the read ended
monotone reads    of two reads of a key, one ended before the other began, the later one never shows an older version
one winner        of several adds of one id, one alone is ever seen, by everybody
one order         listings agree on the order; a record acknowledged before another was begun comes before it;
                  a listing holds every record acknowledged before it was begun
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise


@dataclass(frozen=True, slots=True)
class Write:
    """A write of one key. `version` grows with every write of the key; `ended` is None when no answer came."""

    client: str
    key: str
    version: int
    began: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class Read:
    """A read of one key: `version` is None when the key was not there."""

    client: str
    key: str
    version: int | None
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Claim:
    """An `add` of an id that others add as well; `token` tells who."""

    client: str
    key: str
    token: str
    began: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class Sight:
    """Who was seen to have claimed an id; None when nobody."""

    client: str
    key: str
    token: str | None
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Insert:
    """A record that is added once and never touched again."""

    client: str
    key: str
    began: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class Listing:
    """All such records, in the order in which they were returned."""

    client: str
    keys: tuple[str, ...]
    began: float
    ended: float


Event = Write | Read | Claim | Sight | Insert | Listing


def violations(events: Iterable[Event]) -> list[str]:
    """Everything in the history that must not be, in words."""
    seen = list(events)
    return [
        *_registers(
            [each for each in seen if isinstance(each, Write)], [each for each in seen if isinstance(each, Read)]
        ),
        *_claims(
            [each for each in seen if isinstance(each, Claim)], [each for each in seen if isinstance(each, Sight)]
        ),
        *_listings(
            [each for each in seen if isinstance(each, Insert)], [each for each in seen if isinstance(each, Listing)]
        ),
    ]


def _registers(writes: Sequence[Write], reads: Sequence[Read]) -> list[str]:
    found: list[str] = []
    for key in sorted({each.key for each in reads}):
        # One client writes a key, one version after the other: both lists ascend.
        of_key = sorted((each for each in writes if each.key == key), key=lambda write: write.version)
        begins = [each.began for each in of_key]
        ends = [each.ended for each in of_key if each.ended is not None]
        shown = sorted((each for each in reads if each.key == key), key=lambda read: read.ended)
        for read in shown:
            version = 0 if read.version is None else read.version
            owed, begun = bisect_left(ends, read.began), bisect_left(begins, read.ended)
            if version < owed:
                found.append(f"stale: {read} though version {owed} was acknowledged before it began")
            if version > begun:
                found.append(f"invented: {read} though only version {begun} was begun before it ended")
        found += _backwards(shown)
    return found


def _backwards(reads: Sequence[Read]) -> list[str]:
    """`reads` of one key, by their ends."""
    found: list[str] = []
    ends = [each.ended for each in reads]
    newest = list(accumulate((each.version or 0 for each in reads), max))
    for read in reads:
        earlier = bisect_left(ends, read.began)
        if earlier and newest[earlier - 1] > (read.version or 0):
            found.append(f"backwards: {read} after version {newest[earlier - 1]} was read")
    return found


def _claims(claims: Sequence[Claim], sights: Sequence[Sight]) -> list[str]:
    found: list[str] = []
    for key in sorted({each.key for each in claims}):
        of_key = [each for each in claims if each.key == key]
        shown = [each for each in sights if each.key == key]
        winners = {each.token for each in shown if each.token is not None}
        if len(winners) > 1:
            found.append(f"several winners of {key}: {sorted(winners)}")
        if not winners <= {each.token for each in of_key}:
            found.append(f"{key} was won by nobody who claimed it: {sorted(winners)}")
        first_end = min((each.ended for each in of_key if each.ended is not None), default=None)
        found += [
            f"lost claim: {each} though a claim was acknowledged before it began"
            for each in shown
            if each.token is None and first_end is not None and first_end < each.began
        ]
        for token in winners & {each.token for each in of_key}:
            rivals = [each for each in of_key if each.ended is not None and each.token != token]
            winner = next(each for each in of_key if each.token == token)
            found += [f"{winner} won though {each} was acknowledged before" for each in rivals if _before(each, winner)]
    return found


def _before(first: Claim, second: Claim) -> bool:
    return first.ended is not None and first.ended < second.began


def _listings(inserts: Sequence[Insert], listings: Sequence[Listing]) -> list[str]:
    """Records are only ever added, so each listing must begin with every shorter one."""
    found: list[str] = []
    by_length = sorted(listings, key=lambda listing: len(listing.keys))
    for shorter, longer in pairwise(by_length):
        if longer.keys[: len(shorter.keys)] != shorter.keys:
            found.append(f"order: a listing of {longer.client} does not begin with one of {shorter.client}")
    for listing in listings:
        present = set(listing.keys)
        if len(present) != len(listing.keys):
            found.append(f"twice: a listing of {listing.client} repeats records")
        owed = [each.key for each in inserts if each.ended is not None and each.ended < listing.began]
        found += [f"stale: {key} is not in a listing of {listing.client}" for key in owed if key not in present]
    if by_length:
        found += _real_time(inserts, by_length[-1])
    return found


def _real_time(inserts: Sequence[Insert], listing: Listing) -> list[str]:
    """A record acknowledged before another was begun stands before it."""
    place = {key: at for at, key in enumerate(listing.keys)}
    placed = sorted((each for each in inserts if each.key in place), key=lambda each: place[each.key])
    found: list[str] = []
    latest_begin = float("-inf")
    for each in placed:
        if each.ended is not None and each.ended < latest_begin:
            found.append(f"order: {each} stands behind a record that was begun after it")
        latest_begin = max(latest_begin, each.began)
    return found
