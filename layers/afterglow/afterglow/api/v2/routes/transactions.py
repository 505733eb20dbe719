"""The routes of transactions."""

from typing import TYPE_CHECKING

from afterglow.api.http.late import late
from afterglow.api.http.route import Route
from afterglow.api.v2.routes.paths import COLLECTION, DATABASE
from afterglow.auth import Permission

if TYPE_CHECKING:
    from afterglow.api import models, responses
    from afterglow.api.v2 import joint_commits, transaction_queries, transactions
else:
    models = late("afterglow.api.models")
    responses = late("afterglow.api.responses")
    joint_commits = late("afterglow.api.v2.joint_commits")
    transaction_queries = late("afterglow.api.v2.transaction_queries")
    transactions = late("afterglow.api.v2.transactions")

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        COLLECTION + "/conditional/get",
        "transactions.get",
        transactions.get,
        "Transactions",
        "Get records in a transaction: all its reads see one snapshot",
        models.ConditionalGet,
        responses.ConditionalGetResponse,
        failures=(400, 404, 412),
        permission=Permission.READ,
        restricted=transactions.get,
    ),
    Route(
        "POST",
        COLLECTION + "/conditional/query",
        "transactions.query",
        transaction_queries.query,
        "Transactions",
        "Query the nearest records in a transaction",
        models.ConditionalQuery,
        responses.ConditionalQueryResponse,
        failures=(400, 404, 412, 429),
        permission=Permission.READ,
        restricted=transaction_queries.query,
    ),
    Route(
        "POST",
        COLLECTION + "/conditional/search",
        "transactions.search",
        transaction_queries.search,
        "Transactions",
        "Search in a transaction",
        models.ConditionalSearch,
        responses.ConditionalSearchResponse,
        failures=(400, 404, 412, 429),
        permission=Permission.READ,
        restricted=transaction_queries.search,
    ),
    Route(
        "POST",
        COLLECTION + "/conditional/commit",
        "transactions.commit",
        transactions.commit,
        "Transactions",
        "Commit a transaction: write all its operations, unless what it has read was written since",
        models.ConditionalCommit,
        responses.ConditionalCommitResponse,
        failures=(400, 404, 409, 412, 429, 501, 507),
        permission=Permission.WRITE,
        read_only=transactions.commit_nothing,
        restricted=transactions.commit,
    ),
    Route(
        "POST",
        DATABASE + "/conditional/commit",
        "transactions.commit_together",
        joint_commits.commit,
        "Transactions",
        "Commit a transaction of several collections: write all its operations in all of them, or nothing",
        models.JointCommit,
        responses.JointCommitResponse,
        failures=(400, 404, 409, 412, 429, 501, 507),
        permission=Permission.WRITE,
        restricted=joint_commits.commit,
    ),
)
