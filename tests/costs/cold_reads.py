"""What cold reads of a collection with lists take: asserted by tests/collection/test_cold_reads, in docs/cost.md."""

from dataclasses import dataclass

ROWS, DIMENSION = 4_000, 16


@dataclass(frozen=True)
class Expected:
    """The files that each round reads after the manifest, and at most how many bytes of them together."""

    rounds: list[list[str]]
    byte_size: int


EXPECTED = {
    "query": Expected([["centroids"], ["lists"], ["records", "vectors"]], 400_000),
    "query with a filter": Expected(
        [["centroids", "contents"], ["narrow"], ["lists"], ["records", "vectors"]], 450_000
    ),
    "query with a selective filter": Expected(
        [["centroids", "contents"], ["narrow"], ["covering"], ["records", "vectors"]], 250_000
    ),
    "count": Expected([], 0),
    "count with a filter": Expected([["contents"], ["narrow"]], 80_000),
    "get by ids": Expected([["contents", "places"], ["records", "vectors"]], 200_000),
    "page": Expected([["contents", "places"], ["records"]], 80_000),
    "last page": Expected([["contents", "places"], ["records", "vectors"]], 80_000),
    "page beyond the end": Expected([["contents"], ["places"]], 60_000),
    "get by filter": Expected([["contents"], ["narrow"], ["rows"], ["places"], ["records", "vectors"]], 200_000),
    "update of 1 record": Expected([["contents", "places"], ["records", "vectors"]], 100_000),
    "delete of 2 records": Expected([["contents", "places"]], 150_000),
    "90 small writes": Expected([["contents"], ["rows"], ["places"], ["records", "vectors"]], 500_000),
}


def table() -> str:
    """The table of docs/cost.md."""
    lines = ["| cold read | rounds after the manifest, and the files that each reads | at most, kB |", "|---|---|--:|"]
    for name, expected in EXPECTED.items():
        rounds = "; ".join(" and ".join(f"`{role}`" for role in roles) for roles in expected.rounds) or "none"
        lines.append(f"| {name} | {rounds} | {expected.byte_size // 1000} |")
    return "\n".join(lines) + "\n"
