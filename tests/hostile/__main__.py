"""`python -m tests.hostile`: a hostile run with its figures; exits with 1 if a target is missed."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.hostile.run import hostile_run, report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="afterglow-hostile-") as folder:
        result = hostile_run(Path(folder), args.seconds, args.connections, workers=args.workers, seed=args.seed)
    print(report(result, args.seconds, began))
    sys.exit(1 if result.faults() or result.slow() else 0)


if __name__ == "__main__":
    main()
