"""The tables of docs/cost.md: from the counts of tests/costs and the price list."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from afterglow.metering import Usage
from tests.costs import cold_reads
from tests.costs.operations import BULK, DIMENSION, INDEXED, Measured, measure
from tests.costs.prices import GB, MILLION, Prices, function_dollars, stores_dollars
from tests.support import aws

PRICES = Prices()
API_MB, INDEXER_MB, MAINTENANCE_MB = 1769, 3008, 1769
LOG_GB = 0.50
LOG_BYTES = 1_500
"""Per request: the function's log line and the gateway's."""

MILLISECONDS = {
    "query, warm": 12,
    "get of 2 records, warm": 9,
    "count, warm": 8,
    "write of 1 record": 14,
    f"write of {BULK} records": 60,
    "delete of 1 record": 14,
    "cold query, all indexed": 1_200,
}
"""Assumed durations of the function: its own CPU time is measured (0.3 to 2 ms), AWS latencies are typical values."""

_SERVICES = {"dynamodb": "DynamoDB", "s3": "S3", "sqs": "SQS"}


def measure_account() -> dict[str, Measured]:
    """The usage of every operation, over an emulated account."""
    with tempfile.TemporaryDirectory() as folder, aws.moto_aws():
        return measure(Path(folder))


def calls_table(operations: dict[str, Measured]) -> str:
    """The usage of each call."""
    rows = ["| request | AWS calls | read units | write units | $ per million requests |", "|---|---|--:|--:|--:|"]
    for name, operation in operations.items():
        usage = operation.usage
        requests = ", ".join(_requests(usage))
        dollars = _dollars(stores_dollars(usage) * MILLION)
        rows.append(f"| {name} | {requests} | {usage.read_units:g} | {usage.write_units:g} | {dollars} |")
    return "\n".join(rows) + "\n"


def requests_table(operations: dict[str, Measured]) -> str:
    """A million requests with everything that is billed for them."""
    rows = [
        "| a million of | function, ms each | stores | function | HTTP API | logs | total |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, milliseconds in MILLISECONDS.items():
        stores = stores_dollars(operations[name].usage) * MILLION
        function = function_dollars(milliseconds / 1000, API_MB) * MILLION
        # The gateway counts 512 KB as one request.
        gateway = PRICES.gateway_request * MILLION * (1 + operations[name].usage.bytes_written // (512 * 1024))
        logs = LOG_BYTES * MILLION / GB * LOG_GB
        amounts = (stores, function, gateway, logs, stores + function + gateway + logs)
        rows.append(f"| {name} | {milliseconds} | {' | '.join(map(_dollars, amounts))} |")
    return "\n".join(rows) + "\n"


def million_table(operations: dict[str, Measured]) -> str:
    """A million records, written in bulk and indexed."""
    bulk, indexing = operations[f"write of {BULK} records"], operations[f"indexing of {INDEXED} records"]
    writes = MILLION / bulk.records
    written = writes * (
        stores_dollars(bulk.usage)
        + function_dollars(MILLISECONDS[f"write of {BULK} records"] / 1000, API_MB)
        + PRICES.gateway_request * (1 + bulk.usage.bytes_written // (512 * 1024))
    )
    # Each record is inserted into an HNSW graph once, at 600,000 components a second, and copied about twice.
    seconds = MILLION * DIMENSION / 600_000 / 2 + 2 * MILLION * _stored_bytes(operations) / 60_000_000
    indexed = MILLION / indexing.records * stores_dollars(indexing.usage) + function_dollars(seconds, INDEXER_MB)
    gigabytes = MILLION * _stored_bytes(operations) / GB
    rows = [
        "| a million records | $ |",
        "|---|--:|",
        f"| written, {BULK} a request | {_dollars(written)} |",
        f"| indexed, {seconds:,.0f} s of the indexer | {_dollars(indexed)} |",
        f"| stored for a month, {gigabytes:.1f} GB in S3 | {_dollars(gigabytes * PRICES.bucket_month)} |",
    ]
    return "\n".join(rows) + "\n"


def idle_table(operations: dict[str, Measured]) -> str:
    """A month without requests."""
    check = operations["maintenance check of 1 collection"].usage
    rows = ["| collections, with a million records together | a month without a request |", "|---|--:|"]
    storage = MILLION * _stored_bytes(operations) / GB * PRICES.bucket_month
    for count in (1, 100, 10_000):
        checks = (
            8 * 30 * (count * check.read_units * PRICES.read_unit + function_dollars(1 + 0.01 * count, MAINTENANCE_MB))
        )
        # The daily clean-up: a listing, each collection's state, manifest and log, and a scrub that reads all files.
        files = 30 * (count * (PRICES.s3_put + 9 * PRICES.s3_get + 3 * PRICES.read_unit))
        files += 30 * (storage / PRICES.bucket_month * GB / (8 * 1024**2)) * PRICES.s3_get
        files += 30 * function_dollars(5 + 0.1 * count, MAINTENANCE_MB)
        rows.append(f"| {count:,} | {_dollars(storage + checks + files)} |")
    return "\n".join(rows) + "\n"


def _stored_bytes(operations: dict[str, Measured]) -> float:
    """Bytes in S3 of an indexed record."""
    cold = operations["cold query, all indexed"].usage
    return round(cold.bytes_read / INDEXED, -2)


def _requests(usage: Usage) -> Iterator[str]:
    for name, count in sorted(usage.calls.items()):
        service, _, operation = name.partition(".")
        yield f"{count} × {_SERVICES[service]} {operation}"


def _dollars(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 0.095 else f"{amount:.3f}"


def tables() -> dict[str, str]:
    """All tables: mark -> table."""
    operations = measure_account()
    return {
        "calls": calls_table(operations),
        "requests": requests_table(operations),
        "million": million_table(operations),
        "idle": idle_table(operations),
        "cold": cold_reads.table(),
    }
