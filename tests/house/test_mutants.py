"""The mutants of `python -m tests.mutate` can be applied; two of them are run here, all of them by that command."""

from pathlib import Path

from tests.mutants import MUTANTS
from tests.mutate import problem_of

ROOT = Path(__file__).parents[2]


def test_every_mutant_has_its_line_and_tests() -> None:
    assert [problem for mutant in MUTANTS if (problem := problem_of(mutant))] == []
    assert [name for mutant in MUTANTS for name in mutant.tests.split() if not (ROOT / name).exists()] == []
