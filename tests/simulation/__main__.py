"""Runs seeds of the simulation, or replays one.

python -m tests.simulation --seed 17
python -m tests.simulation --seeds 5000
"""

import argparse
import sys
import time
from collections import Counter

from tests.simulation.run import Failure, simulate


def main() -> int:
    """Run the seeds; 1 if one fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Deterministic simulation.")
    parser.add_argument("--seed", type=int, help="run this seed alone")
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to run (200)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--trace", type=int, default=60, help="events to show of a seed that fails (60)")
    parser.add_argument("--keep-going", action="store_true", help="run the others after one has failed")
    args = parser.parse_args()
    seeds = range(args.first, args.first + args.seeds) if args.seed is None else [args.seed]
    counts, failed, started = Counter[str](), [], time.monotonic()
    for seed in seeds:
        try:
            outcome = simulate(seed, trace=args.trace)
        except Failure as failure:
            failed.append(seed)
            print(failure, flush=True)
            if not args.keep_going:
                break
        else:
            counts.update(outcome.counts)
            counts["steps"] += outcome.steps
            if args.seed is not None:
                print(f"seed {seed}: {outcome.digest}")
    print(f"{len(seeds)} seeds in {time.monotonic() - started:.1f} s, failed: {failed}; {dict(sorted(counts.items()))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
