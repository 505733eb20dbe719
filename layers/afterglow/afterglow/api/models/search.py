"""Bodies of the calls that are not served yet: search and functions. Their shapes are judged all the same."""

from typing import Any, Literal

from pydantic import Field

from afterglow.api.models.fields import U32, Closed, Shape


class SearchLimit(Shape):
    """Which part of the hits."""

    offset: U32 = 0
    limit: U32 | None = None


class SearchSelect(Shape):
    """Which fields of the hits."""

    keys: list[str] = Field(default=[])


class SearchAggregate(Closed):
    """How many of a group, by which keys."""

    min_k: dict[str, Any] | None = Field(default=None, alias="$min_k")
    max_k: dict[str, Any] | None = Field(default=None, alias="$max_k")


class SearchGroups(Shape):
    """Hits grouped by metadata keys."""

    keys: list[str] = Field(default=[])
    aggregate: SearchAggregate | None = None


class Search(Shape):
    """One search."""

    filter: dict[str, Any] | None = None
    rank: dict[str, Any] | None = None
    group_by: SearchGroups | None = None
    limit: SearchLimit | None = None
    select: SearchSelect | None = None


class SearchRecords(Shape):
    """Several searches; not served yet."""

    searches: list[Search]
    read_level: Literal["index_and_wal", "index_only", "index_and_bounded_wal"] = "index_and_wal"


class AttachFunction(Shape):
    """A function to run over what is written; not served."""

    name: str
    function_id: str
    output_collection: str
    params: Any = None


class DetachFunction(Shape):
    """Whether the output goes too; not served."""

    delete_output: bool = False
