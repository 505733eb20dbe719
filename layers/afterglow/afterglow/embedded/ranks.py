"""Rank expressions that chromadb does not have, for its own `Search`; HTTP clients take them, too."""

from dataclasses import dataclass
from typing import Any

from chromadb.execution.expression.operator import Rank


@dataclass
class Rerank(Rank):
    """The first `limit` records of `rank`, scored by the server's cross-encoder for `query`; see docs/search.md.

    Texts of a `Knn` in `rank` are embedded by the server.
    """

    query: str
    rank: Rank
    limit: int = 32
    default: float | None = None
    return_rank: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The expression as JSON."""
        fields: dict[str, Any] = {"query": self.query, "rank": self.rank.to_dict(), "limit": self.limit}
        if self.default is not None:
            fields["default"] = self.default
        if self.return_rank:
            fields["return_rank"] = True
        return {"$rerank": fields}
