"""The history of requests as seen by the clients, and a checker for linearizability violations in it.

A client records the start and end of every request on the machine-wide monotonic clock. For the merged history of all
clients, whatever the interleaving, this must hold:

no lost write        the last read of a key returns its last acknowledged version or a later one that was started
no stale read        a read started after a write was acknowledged returns that write or a later one
no invented version  a read returns only versions whose write was started before the read ended
monotonic reads      of two reads of a key, one ended before the other started, the later one returns no older version
one winner           of several adds of one id, all reads return the same one
one order            listings agree on the order; a record acknowledged before another was started comes before it;
                     a listing has every record acknowledged before it was started
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise


@dataclass(frozen=True, slots=True)
class Write:
    """A write of one key. `version` grows with every write of the key; `ended` is None without a response."""

    client: str
    key: str
    version: int
    started: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class Read:
    """A read of one key: `version` is None if the key did not exist."""

    client: str
    key: str
    version: int | None
    started: float
    ended: float


@dataclass(frozen=True, slots=True)
class Claim:
    """An `add` of an id that other clients add as well; `token` identifies the client."""

    client: str
    key: str
    token: str
    started: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class Observation:
    """A read of a claimed id: the token of its winner, None if it did not exist."""

    client: str
    key: str
    token: str | None
    started: float
    ended: float


@dataclass(frozen=True, slots=True)
class Insert:
    """A record that is added once and never changed."""

    client: str
    key: str
    started: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class Listing:
    """All inserted records in the order of the response."""

    client: str
    keys: tuple[str, ...]
    started: float
    ended: float


Event = Write | Read | Claim | Observation | Insert | Listing


def violations(events: Iterable[Event]) -> list[str]:
    """Descriptions of all violations in the history."""
    seen = list(events)
    return [
        *_registers(
            [event for event in seen if isinstance(event, Write)], [event for event in seen if isinstance(event, Read)]
        ),
        *_claims(
            [event for event in seen if isinstance(event, Claim)],
            [event for event in seen if isinstance(event, Observation)],
        ),
        *_listings(
            [event for event in seen if isinstance(event, Insert)],
            [event for event in seen if isinstance(event, Listing)],
        ),
    ]


def _registers(writes: Sequence[Write], reads: Sequence[Read]) -> list[str]:
    problems: list[str] = []
    for key in sorted({read.key for read in reads}):
        # One client writes a key, one version after another, so both lists ascend.
        of_key = sorted((write for write in writes if write.key == key), key=lambda write: write.version)
        starts = [write.started for write in of_key]
        ends = [write.ended for write in of_key if write.ended is not None]
        shown = sorted((read for read in reads if read.key == key), key=lambda read: read.ended)
        for read in shown:
            version = 0 if read.version is None else read.version
            acknowledged, started = bisect_left(ends, read.started), bisect_left(starts, read.ended)
            if version < acknowledged:
                problems.append(f"stale: {read} though version {acknowledged} was acknowledged before it started")
            if version > started:
                problems.append(f"invented: {read} though only version {started} was started before it ended")
        problems += _backwards(shown)
    return problems


def _backwards(reads: Sequence[Read]) -> list[str]:
    """`reads` of one key, sorted by their ends."""
    problems: list[str] = []
    ends = [read.ended for read in reads]
    newest = list(accumulate((read.version or 0 for read in reads), max))
    for read in reads:
        earlier = bisect_left(ends, read.started)
        if earlier and newest[earlier - 1] > (read.version or 0):
            problems.append(f"backwards: {read} after version {newest[earlier - 1]} was read")
    return problems


def _claims(claims: Sequence[Claim], observations: Sequence[Observation]) -> list[str]:
    problems: list[str] = []
    for key in sorted({claim.key for claim in claims}):
        of_key = [claim for claim in claims if claim.key == key]
        shown = [observation for observation in observations if observation.key == key]
        winners = {observation.token for observation in shown if observation.token is not None}
        if len(winners) > 1:
            problems.append(f"several winners of {key}: {sorted(winners)}")
        if not winners <= {claim.token for claim in of_key}:
            problems.append(f"{key} was won by a client that did not claim it: {sorted(winners)}")
        first_end = min((claim.ended for claim in of_key if claim.ended is not None), default=None)
        problems += [
            f"lost claim: {observation} though a claim was acknowledged before it started"
            for observation in shown
            if observation.token is None and first_end is not None and first_end < observation.started
        ]
        for token in winners & {claim.token for claim in of_key}:
            rivals = [claim for claim in of_key if claim.ended is not None and claim.token != token]
            winner = next(claim for claim in of_key if claim.token == token)
            problems += [
                f"{winner} won though {rival} was acknowledged before" for rival in rivals if _before(rival, winner)
            ]
    return problems


def _before(first: Claim, second: Claim) -> bool:
    return first.ended is not None and first.ended < second.started


def _listings(inserts: Sequence[Insert], listings: Sequence[Listing]) -> list[str]:
    """Records are only added, so each listing must start with every shorter one."""
    problems: list[str] = []
    by_length = sorted(listings, key=lambda listing: len(listing.keys))
    for shorter, longer in pairwise(by_length):
        if longer.keys[: len(shorter.keys)] != shorter.keys:
            problems.append(f"order: a listing of {longer.client} does not begin with one of {shorter.client}")
    for listing in listings:
        present = set(listing.keys)
        if len(present) != len(listing.keys):
            problems.append(f"twice: a listing of {listing.client} repeats records")
        acknowledged = [insert.key for insert in inserts if insert.ended is not None and insert.ended < listing.started]
        problems += [
            f"stale: {key} is not in a listing of {listing.client}" for key in acknowledged if key not in present
        ]
    if by_length:
        problems += _real_time(inserts, by_length[-1])
    return problems


def _real_time(inserts: Sequence[Insert], listing: Listing) -> list[str]:
    """A record acknowledged before another was started comes before it."""
    position = {key: at for at, key in enumerate(listing.keys)}
    listed = sorted((insert for insert in inserts if insert.key in position), key=lambda insert: position[insert.key])
    problems: list[str] = []
    latest_start = float("-inf")
    for insert in listed:
        if insert.ended is not None and insert.ended < latest_start:
            problems.append(f"order: {insert} comes after a record that was started after it")
        latest_start = max(latest_start, insert.started)
    return problems
