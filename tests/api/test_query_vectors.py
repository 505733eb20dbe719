"""The vector of a query becomes float32 as numpy does it, alone or with others."""

import random

from afterglow.api.validation.embeddings import to_queries

NUMBERS = [0, -1, 2**24 + 1, 2**53 + 1, 2**63, 2**64 - 1, -0.0, 1e-46, 5e-324, 1e39, -1e39, 3.4028235677973366e38]


def test_a_vector_alone_is_that_of_several() -> None:
    source = random.Random(3)
    for _ in range(500):
        row = [
            source.choice(NUMBERS) if source.random() < 0.2 else source.uniform(-1, 1) * 10 ** source.uniform(-40, 38)
            for _ in range(source.randrange(0, 9))
        ]
        alone, several = to_queries([row]), to_queries([row, row])
        assert (alone.dtype, alone.shape) == (several.dtype, (1, len(row)))
        assert alone[0].tobytes() == several[0].tobytes() == several[1].tobytes()
