"""Records each attempt that reached an AWS service in `metering.current_usage()`, with its billed units.

Two hooks of botocore: one stores a request's parameters in the request's context, and asks DynamoDB to report the
capacity that the request consumes; the other runs after each attempt (botocore repeats some) and evaluates the response
or its absence. Without an active collector they do nothing.

DynamoDB reports nothing for a request that it refuses, although it bills some:

* A failed condition is billed by the size of the existing item, which is in the response.
* A cancelled transaction counts in full, by the sizes of the items in the request (`storage.aws.billing`).
* An attempt without a connection is not recorded. One whose response was lost, that got 5xx or was throttled counts as
  a request without units.
"""

import os
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import HTTPClientError

from afterglow.metering import Usage, current_usage
from afterglow.storage.aws import billing

_PARAMETERS = "afterglow-parameters"
_METERED = frozenset(
    {
        "GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem",
        "TransactWriteItems",
    }
)  # fmt: skip
_READS = frozenset({"GetItem", "BatchGetItem", "Query"})
_CONDITION_FAILED, _CANCELLED = "ConditionalCheckFailedException", "TransactionCanceledException"
Attributes = Mapping[str, Any]


def attach(client: Any) -> None:
    """Record every attempt of this client."""
    service = client.meta.service_model.service_id.hyphenize()

    def store_parameters(params: dict[str, Any], context: dict[str, Any], model: Any, **_: object) -> None:
        if current_usage() is not None:
            context[_PARAMETERS] = params
            if service == "dynamodb" and model.name in _METERED:
                params["ReturnConsumedCapacity"] = "TOTAL"

    def record(
        event_name: str, parsed_response: Attributes | None, context: dict[str, Any], exception: object, **_: object
    ) -> None:
        usage, params = current_usage(), context.get(_PARAMETERS)
        if usage is None or params is None or not (exception is None or isinstance(exception, HTTPClientError)):
            return
        operation = event_name.rpartition(".")[2]
        outcome = _Outcome(parsed_response)
        if service == "dynamodb":
            _record_table_request(usage, operation, params, outcome)
        else:
            _record_bytes(usage, f"{service}.{operation}", params, outcome)

    client.meta.events.register(f"before-parameter-build.{service}", store_parameters)
    client.meta.events.register(f"response-received.{service}", record)


class _Outcome:
    """The outcome of one attempt; the body is empty when the response was lost."""

    def __init__(self, parsed: Attributes | None) -> None:
        self.body: Attributes = parsed or {}
        status = self.body.get("ResponseMetadata", {}).get("HTTPStatusCode", 200)
        self.code = str(self.body.get("Error", {}).get("Code", "")) if status >= 300 else ""

    @property
    def may_be_applied(self) -> bool:
        """Whether the request was, or may have been, applied."""
        return not self.code


def _record_bytes(usage: Usage, name: str, params: Attributes, outcome: _Outcome) -> None:
    read = outcome.body.get("ContentLength", 0) if outcome.may_be_applied and name == "s3.GetObject" else 0
    usage.call(name, read=read, written=_length(params.get("Body")) if outcome.may_be_applied else 0)


def _length(body: Any) -> int:
    if body is None:
        return 0
    if hasattr(body, "__len__"):
        return len(body)
    position = body.tell()
    size: int = body.seek(0, os.SEEK_END)
    body.seek(position)
    return size


def _record_table_request(usage: Usage, operation: str, params: Attributes, outcome: _Outcome) -> None:
    name = f"dynamodb.{operation}"
    if outcome.code == _CONDITION_FAILED:
        usage.call(name, write_units=billing.write_units(billing.item_size(outcome.body.get("Item", {}))))
    elif outcome.code == _CANCELLED:
        usage.call(name, write_units=sum(map(_transaction_units, params["TransactItems"])))
    elif operation in _READS:
        usage.call(name, read_units=_reported_units(outcome.body))
    else:
        usage.call(name, write_units=_reported_units(outcome.body))


def _reported_units(body: Attributes) -> float:
    """The capacity units in a response: of a table, or of each table of a batch or transaction; 0 without a report."""
    reported = body.get("ConsumedCapacity", [])
    tables = reported if isinstance(reported, list) else [reported]
    return float(sum(table.get("CapacityUnits", 0.0) for table in tables))


def _transaction_units(action: Attributes) -> int:
    """The units of one write of a transaction, by the size of its item in the request."""
    ((kind, write),) = action.items()
    return billing.TRANSACTION_FACTOR * billing.write_units(billing.written_size(kind, write))
