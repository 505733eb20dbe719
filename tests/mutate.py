"""Mutants: one-line faults in promises of this system, each of which the tests must notice.

`python -m tests.mutate` copies the sources into a temporary folder, applies one fault after another there, runs the
tests named beside it, and prints which mutants survive. Exit code 1 if any does. A mutant whose line is no longer
there is an error: `tests/house/test_mutants.py` checks that in every run of the tests.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path("layers/afterglow/afterglow")
_SECONDS = 600


"""Hand-picked: each breaks one promise of the protocols."""


def problem_of(mutant: Mutant) -> str | None:
    """Why the mutant cannot be applied, or None."""
    count = (ROOT / PACKAGE / mutant.file).read_text().count(mutant.before)
    return None if count == 1 else f"{mutant.name}: its line stands {count} times in {mutant.file}"


def survives(mutant: Mutant, copy: Path) -> bool:
    """Whether the tests pass with the fault in `copy`, which is as before afterwards."""
    path = copy / PACKAGE / mutant.file
    source = path.read_text()
    path.write_text(source.replace(mutant.before, mutant.after))
    tests = [name for name in mutant.tests.split() if (copy / name).exists()]
    environment = {**os.environ, "PYTHONPATH": str(copy / PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-m",
        "not stack and not clients",
        "-p",
        "no:cacheprovider",
        "--hypothesis-profile=mutants",  # a failing example is not shrunk
        *tests,
    ]
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    finally:
        path.write_text(source)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{mutant.name}: the tests did not run\n{done.stdout.decode()}{done.stderr.decode()}")
    return done.returncode == 0


def main() -> None:
    """Run the mutants, all or those whose names contain a word."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=__doc__)
    parser.add_argument("word", nargs="?", default="", help="Run only mutants whose name contains this text.")
    word = parser.parse_args().word
    chosen = [mutant for mutant in MUTANTS if word in mutant.name]
    problems = [problem for mutant in chosen if (problem := problem_of(mutant))]
    survivors = []
    with tempfile.TemporaryDirectory(prefix="afterglow-mutants-") as folder:
        copy = Path(folder)
        for name in ("layers/afterglow", "tests", "functions", "infra", "events", "docs"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        for name in ("pyproject.toml", "template.yaml", "README.md", "Makefile"):
            shutil.copy2(ROOT / name, copy / name)
        for mutant in chosen:
            if problem_of(mutant):
                continue
            is_alive = survives(mutant, copy)
            print(f"{'SURVIVES' if is_alive else 'dies    '}  {mutant.name}", flush=True)
            if is_alive:
                survivors.append(mutant.name)
    for problem in problems:
        print(f"ERROR     {problem}")
    print(f"{len(chosen) - len(problems) - len(survivors)} of {len(chosen)} mutants die")
    raise SystemExit(bool(survivors or problems))


if __name__ == "__main__":
    main()
