"""The honest client: small reads and writes over one connection, a write of 5 MB now and then, and what it was told."""

import time
from dataclasses import dataclass, field

import orjson

from tests.hostile.attacks import Target
from tests.support.http import BareClient, Response

LARGE_BYTES = 5_000_000
LARGE_EVERY_SECONDS = 4.0
PAUSE_SECONDS = 0.02


@dataclass(slots=True)
class Experience:
    """Seconds of each request by kind, the ids of acknowledged records, and responses other than success."""

    seconds: dict[str, list[float]] = field(
        default_factory=lambda: {"small read": [], "small write": [], "5 MB write": []}
    )
    acknowledged: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def percentile(self, kind: str, share: float) -> float:
        """The seconds that this share of the requests did not exceed."""
        ordered = sorted(self.seconds[kind]) or [0.0]
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def visit(client: BareClient, target: Target, seconds: float) -> Experience:
    """Work for some time."""
    experience = Experience()
    began, turn = time.monotonic(), 0
    until, large_at = began + seconds, began
    while time.monotonic() < until:
        identifier = f"honest-{turn}"
        if time.monotonic() >= large_at:
            large_at += LARGE_EVERY_SECONDS
            answer = _timed(experience, "5 MB write", client, target, "add", _record(identifier, LARGE_BYTES))
        else:
            answer = _timed(experience, "small write", client, target, "add", _record(identifier, 100))
        if answer.status == 201:
            experience.acknowledged.append(identifier)
        query = orjson.dumps({"query_embeddings": [[1.0, float(turn % 7), 0.0, 0.0]], "n_results": 3, "include": []})
        answer = _timed(experience, "small read", client, target, "query", query)
        if answer.status == 200 and len(orjson.loads(answer.body)["ids"][0]) != min(3, len(experience.acknowledged)):
            experience.failures.append(f"query after {turn}: {answer.body[:200]!r}")
        turn += 1
        time.sleep(PAUSE_SECONDS)
    return experience


def _record(identifier: str, size: int) -> bytes:
    number = float(len(identifier))
    record = {"ids": [identifier], "embeddings": [[1.0, number, 2.0, 3.0]], "documents": ["x" * size]}
    return orjson.dumps(record)


def _timed(experience: Experience, kind: str, client: BareClient, target: Target, verb: str, body: bytes) -> Response:
    request = target.post(verb, f"content-length: {len(body)}") + body
    began = time.perf_counter()
    answer = client.call(request)
    experience.seconds[kind].append(time.perf_counter() - began)
    if answer.status not in (200, 201):
        experience.failures.append(f"{kind}: {answer.status} {answer.body[:200]!r}")
    return answer
