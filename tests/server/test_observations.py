"""Observations that are added up give the same histogram as one at a time."""

import random

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from afterglow.server.observations import ObservationsByLabel

BUCKETS = (0.25, 0.5, 1.0, 4.0)


def histogram() -> tuple[CollectorRegistry, Histogram]:
    registry = CollectorRegistry()
    return registry, Histogram("seconds", "Of something.", ("kind",), buckets=BUCKETS, registry=registry)


def text(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


def test_sums_are_those_of_single_observations() -> None:
    (one_registry, one_by_one), (registry, summed) = histogram(), histogram()
    observations = ObservationsByLabel(summed)
    source = random.Random(4)
    for _ in range(5):
        for _ in range(source.randrange(40)):
            kind = source.choice("abc")
            value = source.choice([*BUCKETS, 0.0, source.randrange(64) / 8])
            one_by_one.labels(kind).observe(value)
            observations[kind].observe(value)
        observations.flush()
        observations.flush()
        assert text(registry) == text(one_registry)
    assert len(text(registry)) > 20
