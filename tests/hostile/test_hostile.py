"""A short hostile run: nothing lost, nothing damaged, memory within its bound. Its speed is measured elsewhere."""

from pathlib import Path

import pytest

from tests.hostile.run import hostile_run


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_under_attack_serves_an_honest_client(tmp_path: Path, workers: int) -> None:
    result = hostile_run(tmp_path, 12, 120, workers=workers)
    assert result.faults() == []
    assert len(result.experience.acknowledged) > 10
    assert result.attacks.total() > 100
