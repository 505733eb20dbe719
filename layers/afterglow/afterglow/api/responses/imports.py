"""Imports of files."""

from typing import Literal

from afterglow.api.responses.base import ResponseModel


class RejectedRow(ResponseModel):
    """A rejected row of a file, with the reason."""

    file: str
    line: int
    reason: str


class Import(ResponseModel):
    """The report of an import, running or finished. Times are unix seconds."""

    id: str
    state: Literal["running", "done", "failed"]
    file: str
    size: int
    tenant: str
    database: str
    collection: str
    collection_id: str | None
    rows: int
    rejected: int
    ranges: int
    ranges_done: int
    started_at: float
    finished_at: float | None
    reason: str | None
    columns: dict[str, str]
    ignored: dict[str, str]
    left_out: dict[str, int]
