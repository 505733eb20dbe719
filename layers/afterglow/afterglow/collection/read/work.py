"""Estimates the work of a read before it is done, and refuses what would take too long.

The estimate is in seconds of one core, by the rough costs below, which were measured once, not on the machine. For
filters it is an upper bound, because conditions on documents skip the rows that other conditions have excluded. One
vector and `FREE_CONDITIONS` conditions are never counted, so that a collection of any size can be read: a request is
refused only if it has much to do at once, and can be split.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from afterglow.collection.read.knn_planner import uses_graph
from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.columns.column import ColumnType
from afterglow.errors import LimitExceeded
from afterglow.filters.ast import Contains, Filter, IdIn, In, Leaf, MatchesRegex, StringMatchesRegex, leaves
from afterglow.segment.hnsw import rescored

FREE_CONDITIONS = 16

CONDITION_SECONDS = 2e-5
VALUE_SECONDS = 1.5e-9
"""Compare the values of one row with an operand."""
STRING_SECONDS = 1e-5
"""Find one string of `$in` in a dictionary, or one id."""
TEXT_SECONDS = 2.5e-10
"""Search one byte of documents for a substring."""
PATTERN_SECONDS = 1e-8
"""Search one byte of documents for a regular expression."""
PATTERN_STRING_SECONDS = 1e-6
"""Search one string of metadata for a regular expression; equal ones are searched once, but may all differ."""
PRODUCT_SECONDS = 1e-10
"""One component of an exact distance, of several vectors at a time."""
GRAPH_SECONDS = 1e-3
"""Search one graph, or the lists of one segment, for one vector."""
RESCORE_SECONDS, RESCORE_COMPONENT_SECONDS = 1.4e-6, 3.5e-9
"""Find one candidate in an index and compute its exact distance, of which one component."""
SCANNED_SECONDS, SCANNED_COMPONENT_SECONDS = 5e-7, 5.5e-9
"""The same for one of the nearest rows of a scan."""
HIT_SECONDS = 2e-7
"""Sort one row among the nearest, or evaluate one operator for it."""
CANDIDATE_SECONDS = 2e-8
"""Compare one estimated distance with the k-th."""
TERM_SECONDS = 2e-5
"""Look up one dimension of a sparse vector in one segment."""


@dataclass(frozen=True, slots=True)
class Work:
    """The parts of a read that count: `filters`, each vector's `neighbors` (k), and what else takes `seconds`.

    Vectors of an `exact` search are compared with all rows, without an index, and the first one counts, too.
    """

    filters: Sequence[Filter] = ()
    neighbors: Sequence[int] = ()
    seconds: float = 0.0
    exact: bool = False


def check(snapshot: Snapshot, work: Work, max_seconds: float) -> None:
    """Raises LimitExceeded if the estimate for the work on this snapshot exceeds `max_seconds`."""
    conditions = [leaf for condition in work.filters for leaf in leaves(condition)]
    if len(conditions) <= FREE_CONDITIONS and len(work.neighbors) <= 1 and not (work.seconds or work.exact):
        return
    seconds = work.seconds + _filter_seconds(snapshot, conditions) + _search_seconds(snapshot, work)
    if seconds > max_seconds:
        raise LimitExceeded(
            f"the request would take about {seconds:.0f} s, at most {max_seconds:g} s are allowed "
            "(AFTERGLOW_MAX_READ_SECONDS); send fewer vectors, conditions or searches at a time"
        )


def _filter_seconds(snapshot: Snapshot, conditions: Sequence[Leaf]) -> float:
    if len(conditions) <= FREE_CONDITIONS:
        return 0.0
    total = 0.0
    # The documents of a clustered segment are opened only for a condition that reads them.
    reads_documents = any(isinstance(leaf, Contains | MatchesRegex) for leaf in conditions)
    for group in snapshot.row_groups:
        text_bytes = len(group.rows.documents.data) if reads_documents else 0
        costs = sorted((_condition_seconds(leaf, group.rows.rows, text_bytes) for leaf in conditions), reverse=True)
        total += sum(costs[FREE_CONDITIONS:])
    return total


def _condition_seconds(leaf: Leaf, rows: int, text_bytes: int) -> float:
    match leaf:
        case Contains():
            return CONDITION_SECONDS + TEXT_SECONDS * text_bytes
        case MatchesRegex():
            return CONDITION_SECONDS + PATTERN_SECONDS * text_bytes
        case StringMatchesRegex():
            return CONDITION_SECONDS + PATTERN_STRING_SECONDS * rows
        case In(_, ColumnType.STR, values, _) | IdIn(values, _):
            return CONDITION_SECONDS + STRING_SECONDS * len(values) + VALUE_SECONDS * rows
        case _:
            return CONDITION_SECONDS + VALUE_SECONDS * rows


def _search_seconds(snapshot: Snapshot, work: Work) -> float:
    """The time of every vector but the most expensive one, which has the largest k; of all in an exact search."""
    others = sorted(work.neighbors) if work.exact else sorted(work.neighbors)[:-1]
    dimension = snapshot.collection.dimension or 0
    total = 0.0
    for k, vectors in Counter(others).items():
        seconds = sum(_vector_seconds(group, dimension, k, exact=work.exact) for group in snapshot.row_groups)
        total += vectors * seconds
    return total


def _vector_seconds(group: RowGroupView, dimension: int, k: int, *, exact: bool) -> float:
    """The time of one vector in one row group."""
    k = min(k, group.rows.rows)
    is_indexed = group.lists is not None or (group.graph is not None and uses_graph(k))
    if exact or not is_indexed:
        nearest = k * (SCANNED_SECONDS + SCANNED_COMPONENT_SECONDS * dimension + HIT_SECONDS)
        return (PRODUCT_SECONDS * dimension + CANDIDATE_SECONDS) * group.rows.rows + nearest
    candidates = min(rescored(k), group.rows.rows)
    rescoring = candidates * (RESCORE_SECONDS + RESCORE_COMPONENT_SECONDS * dimension)
    return GRAPH_SECONDS + rescoring + HIT_SECONDS * k
