"""What a read did (`explain`)."""

from typing import Literal

from afterglow.api.responses.base import ResponseModel


class ExplainedGroup(ResponseModel):
    """The search of one row group, a segment or the memtable, for the nearest records.

    `rows` includes deleted ones, `matching` are inside the filter. `index` is the index that the row group has.
    `breadth` is how much of it was searched: nodes kept in a graph (ef), lists read out of `of`, or terms of a sparse
    query. `compared` counts the distances, or postings. `recall` is promised by the breadth.
    """

    rows: int
    matching: int
    index: Literal["graph", "lists", "postings"] | None
    method: Literal["none", "scan", "graph", "lists", "covering", "postings"]
    breadth: int | None
    of: int | None
    compared: int
    recall: float | None
    may_lose_recall: bool


class ExplainedNeighbors(ResponseModel):
    """The search for the `k` nearest records of each of several vectors."""

    key: str
    k: int
    vectors: int
    row_groups: list[ExplainedGroup]


class ExplainedRerank(ResponseModel):
    """The documents that a cross-encoder scored, of the first `limit` records of an expression."""

    limit: int
    documents: int


class ExplainedSearch(ResponseModel):
    """One search: the rows of the snapshot, deleted ones included, and those that the filter leaves."""

    rows: int
    matching: int
    conditions: int
    reads_documents: bool
    neighbors: list[ExplainedNeighbors]
    reranked: list[ExplainedRerank]


class Explanation(ResponseModel):
    """How a read was executed.

    The times are milliseconds by phase. `left_out` entries of a large explanation are not listed. `requests` are those
    to AWS services, and texts embedded, by name; `dollars` is what AWS bills for them.
    """

    milliseconds: dict[str, float]
    records: int
    row_groups: int
    log_position: int
    may_lose_recall: bool
    searches: list[ExplainedSearch]
    left_out: int
    requests: dict[str, int]
    read_units: float
    bytes_read: int
    dollars: float
