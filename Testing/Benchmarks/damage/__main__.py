"""``python -m Testing.Benchmarks.damage``: all corpora, and how many answers were wrong."""

from __future__ import annotations

import argparse
import sys

from Testing.Benchmarks.damage import faults, inputs
from Testing.Benchmarks.damage.running import run_trials


def main() -> int:
    """Run the corpora; 0 where no answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=["inputs", "mutants", "faults"])
    parser.add_argument("--mutants", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts = {"inputs": inputs.COUNT, "mutants": options.mutants, "faults": faults.COUNT}
    total = 0
    for kind in options.kinds:
        wrong = 0
        for answer in run_trials(kind, counts[kind], options.seed):
            if answer.wrong:
                wrong += 1
                print(f"wrong: {answer.name}: {answer.wrong}", flush=True)
        print(f"{kind}: {wrong} of {counts[kind]} wrong (seed {options.seed})", flush=True)
        total += wrong
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
