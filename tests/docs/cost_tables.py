"""The tables of docs/cost.md: from the counts of tests/costs and the price list."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from afterglow.embedding.invoked_model import SLICE_TEXTS
from afterglow.metering import Usage
from afterglow.prices import stores_dollars
from tests.costs import cold_reads
from tests.costs.competitors import DISK_MONTH, HOURS, OFFERS, RESPONSE, T4G_MEDIUM, Bill, Workload
from tests.costs.operations import BULK, DIMENSION, INDEXED, Measured, measure
from tests.costs.prices import GB, MILLION, Prices, function_dollars
from tests.support import aws

PRICES = Prices()
API_MB, INDEXER_MB, MAINTENANCE_MB, EMBEDDER_MB = 1769, 3008, 1769, 1769
TEXT_SECONDS = 0.0147
"""CPU of a text of 160 characters: docs/benchmarks.md."""
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

RANGES, RANGES_SECONDS = 75, 0.3
"""Requests to S3 of a query that finds nothing in the cache, as `make bench-cold` counts them, and assumed seconds."""
CACHE_GB = 4
"""ApiStorage."""

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
        parts = _request_parts(operations, name)
        amounts = (part * MILLION for part in (*parts, sum(parts)))
        rows.append(f"| {name} | {milliseconds} | {' | '.join(map(_dollars, amounts))} |")
    return "\n".join(rows) + "\n"


def _request_parts(operations: dict[str, Measured], name: str) -> tuple[float, float, float, float]:
    """Dollars of one request: stores, function, gateway, logs."""
    usage = operations[name].usage
    return (
        stores_dollars(usage),
        function_dollars(MILLISECONDS[name] / 1000, API_MB),
        # The gateway counts 512 KB as one request.
        PRICES.gateway_request * (1 + usage.bytes_written // (512 * 1024)),
        LOG_BYTES / GB * LOG_GB,
    )


def million_table(operations: dict[str, Measured]) -> str:
    """A million records, written in bulk and indexed."""
    written, indexed, seconds = _million(operations)
    gigabytes = MILLION * _stored_bytes(operations) / GB
    rows = [
        "| a million records | $ |",
        "|---|--:|",
        f"| written, {BULK} a request | {_dollars(written)} |",
        f"| indexed, {seconds:,.0f} s of the indexer | {_dollars(indexed)} |",
        f"| stored for a month, {gigabytes:.1f} GB in S3 | {_dollars(gigabytes * PRICES.bucket_month)} |",
    ]
    return "\n".join(rows) + "\n"


def _million(operations: dict[str, Measured]) -> tuple[float, float, float]:
    """Dollars for writing and for indexing a million records, and seconds of the indexer."""
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
    return written, indexed, seconds


def idle_table(operations: dict[str, Measured]) -> str:
    """A month without requests."""
    rows = ["| collections, with a million records together | a month without a request |", "|---|--:|"]
    rows += [f"| {count:,} | {_dollars(_idle(operations, count, MILLION))} |" for count in (1, 100, 10_000)]
    return "\n".join(rows) + "\n"


def _idle(operations: dict[str, Measured], count: int, records: int) -> float:
    """Dollars for a month without requests, of so many collections with so many records together."""
    check = operations["maintenance check of 1 collection"].usage
    storage = records * _stored_bytes(operations) / GB * PRICES.bucket_month
    checks = 8 * 30 * (count * check.read_units * PRICES.read_unit + function_dollars(1 + 0.01 * count, MAINTENANCE_MB))
    # The daily clean-up: a listing, each collection's state, manifest and log, and a scrub that reads all files.
    files = 30 * (count * (PRICES.s3_put + 9 * PRICES.s3_get + 3 * PRICES.read_unit))
    files += 30 * (storage / PRICES.bucket_month * GB / (8 * 1024**2)) * PRICES.s3_get
    files += 30 * function_dollars(5 + 0.1 * count, MAINTENANCE_MB)
    return storage + checks + files


def _afterglow(operations: dict[str, Measured], work: Workload) -> Bill:
    """The bill of a workload here; one query in a hundred is a container's first.

    Of a collection that is larger than the cache, queries read by ranges what is not in it.
    """
    warm, cold, write = (
        sum(_request_parts(operations, name))
        for name in ("query, warm", "cold query, all indexed", "write of 1 record")
    )
    units = operations["write of 1 record"].usage.write_units * PRICES.write_unit
    indexing = units + stores_dollars(operations[f"indexing of {INDEXED} records"].usage) / 64
    written, indexed, _ = _million(operations)
    idle = _idle(operations, 1, work.records)
    uncached = max(0.0, 1 - CACHE_GB * GB / (work.records * _stored_bytes(operations)))
    ranges = RANGES * PRICES.s3_get + function_dollars(RANGES_SECONDS, API_MB) - PRICES.function_request
    query = 0.99 * (warm + uncached * ranges) + 0.01 * cold + PRICES.traffic * RESPONSE / GB
    month = idle + work.queries * query
    return Bill(work.records / MILLION * (written + indexed), month + work.writes * (write + indexing), idle)


def competitors_table(operations: dict[str, Measured]) -> str:
    """A workload here and elsewhere."""
    work = Workload()
    rows = ["| $ | loaded once | a month | idle month | what it lacks, and what is assumed |", "|---|--:|--:|--:|---|"]
    own = "one query in a hundred is a container's first, which takes about a second"
    bills = [("Afterglow", _afterglow(operations, work), own)]
    bills += [(offer.name, offer.bill(work), offer.note) for offer in OFFERS]
    for name, bill, note in bills:
        amounts = (_dollars(amount) if amount else "–" for amount in (bill.load, bill.month, bill.idle))
        rows.append(f"| {name} | {' | '.join(amounts)} | {note} |")
    return "\n".join(rows) + "\n"


def texts_table() -> str:
    """A million texts, embedded by the stack's own function, for which the API's waits."""
    rows = ["| a million | invocations | embedder | API, while it waits | total |", "|---|--:|--:|--:|--:|"]
    for name, texts in (("documents", SLICE_TEXTS), ("query texts", 1)):
        invocations = MILLION / texts
        seconds = texts * TEXT_SECONDS
        embedder = invocations * function_dollars(seconds, EMBEDDER_MB)
        waiting = invocations * (function_dollars(seconds, API_MB) - PRICES.function_request)
        amounts = " | ".join(map(_dollars, (embedder, waiting, embedder + waiting)))
        rows.append(f"| {name} | {invocations:,.0f} | {amounts} |")
    return "\n".join(rows) + "\n"


def sizes_table(operations: dict[str, Measured]) -> str:
    """Larger collections, with ten times the queries."""
    names = ("Chroma Cloud", "S3 Vectors", "DynamoDB's vector indexes")
    offers = {offer.name: offer for offer in OFFERS}
    rows = [
        f"| records | GB | Afterglow: loaded once | a month | idle month | {', a month | '.join(names)}, a month |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for records in (MILLION, 3 * MILLION, 10 * MILLION):
        work = Workload(records, queries=MILLION, writes=100_000)
        own = _afterglow(operations, work)
        amounts = [own.load, own.month, own.idle, *(offers[name].bill(work).month for name in names)]
        rows.append(f"| {records:,} | {work.gigabytes:,.0f} | {' | '.join(map(_dollars, amounts))} |")
    return "\n".join(rows) + "\n"


def machine_table(operations: dict[str, Measured]) -> str:
    """Queries a second, all day, from which on a machine costs less than the functions."""
    rows = ["| requests | a machine is cheaper from, a second | a million of them on functions, $ |", "|---|--:|--:|"]
    month = T4G_MEDIUM * HOURS + DISK_MONTH * 3 * Workload().gigabytes
    for name in ("query, warm", "write of 1 record"):
        dollars = sum(_request_parts(operations, name))
        rows.append(f"| {name} | {month / dollars / (HOURS * 3600):.1f} | {_dollars(dollars * MILLION)} |")
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
        "texts": texts_table(),
        "requests": requests_table(operations),
        "million": million_table(operations),
        "idle": idle_table(operations),
        "competitors": competitors_table(operations),
        "sizes": sizes_table(operations),
        "machine": machine_table(operations),
        "cold": cold_reads.table(),
    }
