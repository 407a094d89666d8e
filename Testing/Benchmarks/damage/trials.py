"""The process that does trials: ``python -m ... KIND BEGIN END SEED FOLDER``."""

import sys

from Testing.Benchmarks.damage import faults, inputs, mutants
from Testing.Benchmarks.damage.running import serve

KINDS = {"inputs": inputs.trial, "mutants": mutants.trial, "faults": faults.trial}

if __name__ == "__main__":
    serve(KINDS[sys.argv[1]])
