"""The tables of docs/cost.md: from the counts of tests/metering and the price list."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from afterglow.metering import Usage
from tests.costs.operations import BULK, DIMENSION, INDEXED, Measured, measure
from tests.costs.prices import GB, MILLION, Prices, function_dollars, stores_dollars
from tests.support import aws

PRICES = Prices()
API_MB, INDEXER_MB, JANITOR_MB = 1769, 3008, 1769
LOG_GB = 0.50
LOG_BYTES = 1_500
"""Of the line of each request and the gateway's own line."""

MILLISECONDS = {
    "query, warm": 12,
    "get of 2 records, warm": 9,
    "count, warm": 8,
    "write of 1 record": 14,
    f"write of {BULK} records": 60,
    "delete of 1 record": 14,
    "query of a container that never saw the collection, all indexed": 1_200,
}
"""Of the function, assumed: what it computes is measured (0.3 to 2 ms), what AWS takes to answer is its usual time."""

_WORDS = {"dynamodb": "DynamoDB", "s3": "S3", "sqs": "SQS"}


def measured() -> dict[str, Measured]:
    """Every operation, over an emulated account."""
    with tempfile.TemporaryDirectory() as folder, aws.moto_aws():
        return measure(Path(folder))


def calls_text(found: dict[str, Measured]) -> str:
    """What each call uses."""
    rows = ["| call | requests | read units | write units | $ per million calls |", "|---|---|--:|--:|--:|"]
    for name, each in found.items():
        usage = each.usage
        requests = ", ".join(_requests(usage))
        dollars = _dollars(stores_dollars(usage) * MILLION)
        rows.append(f"| {name} | {requests} | {usage.read_units:g} | {usage.write_units:g} | {dollars} |")
    return "\n".join(rows) + "\n"


def requests_text(found: dict[str, Measured]) -> str:
    """A million requests, everything that is billed for them."""
    rows = [
        "| a million of | function, ms each | stores | function | HTTP API | logs | together |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, milliseconds in MILLISECONDS.items():
        stores = stores_dollars(found[name].usage) * MILLION
        function = function_dollars(milliseconds / 1000, API_MB) * MILLION
        # The gateway counts 512 KB as one request.
        gateway = PRICES.gateway_request * MILLION * (1 + found[name].usage.bytes_written // (512 * 1024))
        logs = LOG_BYTES * MILLION / GB * LOG_GB
        shown = [_dollars(each) for each in (stores, function, gateway, logs, stores + function + gateway + logs)]
        rows.append(f"| {name} | {milliseconds} | {' | '.join(shown)} |")
    return "\n".join(rows) + "\n"


def million_text(found: dict[str, Measured]) -> str:
    """A million records, written in bulk and indexed."""
    bulk, indexing = found[f"write of {BULK} records"], found[f"indexing of {INDEXED} records"]
    writes = MILLION / bulk.records
    written = writes * (
        stores_dollars(bulk.usage)
        + function_dollars(MILLISECONDS[f"write of {BULK} records"] / 1000, API_MB)
        + PRICES.gateway_request * (1 + bulk.usage.bytes_written // (512 * 1024))
    )
    # Each record is inserted into a graph once, at 600,000 components a second, and copied about twice.
    seconds = MILLION * DIMENSION / 600_000 / 2 + 2 * MILLION * _stored_bytes(found) / 60_000_000
    indexed = MILLION / indexing.records * stores_dollars(indexing.usage) + function_dollars(seconds, INDEXER_MB)
    gigabytes = MILLION * _stored_bytes(found) / GB
    rows = [
        "| a million records | $ |",
        "|---|--:|",
        f"| written, {BULK} a request | {_dollars(written)} |",
        f"| indexed, {seconds:,.0f} s of the indexer | {_dollars(indexed)} |",
        f"| kept for a month, {gigabytes:.1f} GB in S3 | {_dollars(gigabytes * PRICES.bucket_month)} |",
    ]
    return "\n".join(rows) + "\n"


def idle_text(found: dict[str, Measured]) -> str:
    """A month in which nobody asks anything."""
    look = found["look of the janitor at 1 collection"].usage
    rows = ["| collections, with a million records together | a month without a request |", "|---|--:|"]
    storage = MILLION * _stored_bytes(found) / GB * PRICES.bucket_month
    for count in (1, 100, 10_000):
        looks = 8 * 30 * (count * look.read_units * PRICES.read_unit + function_dollars(1 + 0.01 * count, JANITOR_MB))
        # A look at everything once a day: a listing, the state, the manifest and the log of each, and all files read.
        files = 30 * (count * (PRICES.s3_put + 9 * PRICES.s3_get + 3 * PRICES.read_unit))
        files += 30 * (storage / PRICES.bucket_month * GB / (8 * 1024**2)) * PRICES.s3_get
        files += 30 * function_dollars(5 + 0.1 * count, JANITOR_MB)
        rows.append(f"| {count:,} | {_dollars(storage + looks + files)} |")
    return "\n".join(rows) + "\n"


def _stored_bytes(found: dict[str, Measured]) -> float:
    """Bytes in S3 of a record that is indexed."""
    cold = found["query of a container that never saw the collection, all indexed"].usage
    return round(cold.bytes_read / INDEXED, -2)


def _requests(usage: Usage) -> Iterator[str]:
    for name, count in sorted(usage.calls.items()):
        service, _, operation = name.partition(".")
        yield f"{count} × {_WORDS[service]} {operation}"


def _dollars(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 0.095 else f"{amount:.3f}"


def texts() -> dict[str, str]:
    """Every table by its mark."""
    found = measured()
    return {
        "calls": calls_text(found),
        "requests": requests_text(found),
        "million": million_text(found),
        "idle": idle_text(found),
    }
