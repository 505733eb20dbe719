"""What a collection costs elsewhere: price lists as published by November 2026, and the bytes of the workload.

All prices are those of US East, without free tiers, contracts and taxes. Where a price depends on what only the vendor
knows, the assumption is in the offer's `note`, and it is the one in favour of the vendor.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.costs.prices import GB, MILLION

DIMENSION, DOCUMENT, METADATA, RESULTS = 384, 400, 60, 10
RECORD = 4 * DIMENSION + DOCUMENT + METADATA
"""Bytes of a record: float32 vector, document, id and metadata."""
RESPONSE = RESULTS * (DOCUMENT + METADATA)
"""Bytes of a response without vectors."""
HOURS = 730
T4G_MEDIUM, T4G_LARGE, DISK_MONTH = 0.0336, 0.0672, 0.08
"""EC2, on demand: an hour of 2 processors with 4 or 8 GB; gp3: a GB for a month."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Records that are stored, and the requests of a month."""

    records: int = MILLION
    queries: int = 100_000
    writes: int = 10_000

    @property
    def gigabytes(self) -> float:
        """All records."""
        return self.records * RECORD / GB

    @property
    def written(self) -> float:
        """GB that a month's small writes, of one record each, add."""
        return self.writes * RECORD / GB

    @property
    def examined(self) -> float:
        """GB, if each query of the month is billed for all records."""
        return self.queries * self.gigabytes


@dataclass(frozen=True, slots=True)
class Bill:
    """Dollars: for writing all records once, for a month, for a month without a request."""

    load: float
    month: float
    idle: float


@dataclass(frozen=True, slots=True)
class Offer:
    """A vendor's price list, and what it lacks compared with the others."""

    name: str
    bill: Callable[[Workload], Bill]
    note: str


def chroma_cloud(work: Workload) -> Bill:
    """Chroma Cloud: GiB written 2.50, TiB queried 0.0075, GiB a month 0.33, GiB returned 0.09."""
    idle = 0.33 * work.gigabytes
    queries = 0.0075 * work.examined / 1024 + 0.09 * work.queries * RESPONSE / GB
    return Bill(2.50 * work.gigabytes, idle + queries + 2.50 * work.written, idle)


def s3_vectors(work: Workload) -> Bill:
    """S3 Vectors: GB a month 0.06, GB put 0.20 in puts of at least 128 KB, a million queries 2.50 and TB of the index.

    The first 100,000 vectors are examined at 0.004 a TB, all others at 0.002.
    """
    idle = 0.06 * work.gigabytes
    first = min(1.0, 100_000 / work.records)
    queries = 2.50 * work.queries / MILLION + work.examined / 1024 * (0.004 * first + 0.002 * (1 - first))
    return Bill(0.20 * work.gigabytes, idle + queries + 0.20 * work.writes * 128 / 1024**2, idle)


def dynamodb_index(work: Workload) -> Bill:
    """A vector index of DynamoDB: GB a month 0.25, GB written 0.52, GB examined 0.002; and the table of the records."""
    idle = 2 * 0.25 * work.gigabytes
    units = -(-RECORD // 1024) * 0.625 / MILLION
    return Bill(
        0.52 * work.gigabytes + work.records * units,
        idle + 0.002 * work.examined / 100 + 0.52 * work.written + work.writes * units,
        idle,
    )


def opensearch(work: Workload) -> Bill:
    """OpenSearch Serverless NextGen: OCU-hour 0.24, half a unit each for indexing and search, GB a month 0.024."""
    idle = 0.024 * work.gigabytes
    return Bill(0.0, idle + 0.24 * HOURS, idle)


def turbopuffer(_: Workload) -> Bill:
    """turbopuffer: the minimum of its smallest plan, within which such a collection stays."""
    return Bill(0.0, 16.0, 16.0)


def machine(work: Workload) -> Bill:
    """Chroma or `afterglow run` on a machine that runs always, with a disk of three times the records."""
    month = (T4G_MEDIUM if work.records <= MILLION else T4G_LARGE) * HOURS + DISK_MONTH * 3 * work.gigabytes
    return Bill(0.0, month, month)


OFFERS = (
    Offer(
        "Chroma Cloud",
        chroma_cloud,
        "the same API; each query is billed for the records of its collection; no account of your own",
    ),
    Offer(
        "S3 Vectors",
        s3_vectors,
        "no Chroma API; 40 KB of metadata a vector, of which filters see 2; top-k to 10,000; about 100 ms a warm query",
    ),
    Offer(
        "DynamoDB's vector indexes",
        dynamodb_index,
        "no Chroma API; top-k to 100, filters by equality, no text search; assumed: a query examines 1 % of the index",
    ),
    Offer(
        "OpenSearch Serverless NextGen",
        opensearch,
        "no Chroma API; at zero it needs 10 to 30 s to wake; assumed: requests all day, so that it never sleeps",
    ),
    Offer("turbopuffer", turbopuffer, "no Chroma API; a minimum each month, with or without requests"),
    Offer(
        "a machine with Chroma or `afterglow run`",
        machine,
        "one machine without a replica; you keep its system and its backups",
    ),
)
