"""The families of deformations as a picture.

``python -m DeepRegistrationLib.training.synthesis --figure out.png``.
"""

from __future__ import annotations

import argparse
import sys

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.training.synthesis.figure import draw


def main(arguments: list[str] | None = None) -> int:
    """Draw the figure and print what was measured; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m DeepRegistrationLib.training.synthesis")
    parser.add_argument("--figure", required=True, help="file to write: .png, .svg or .pdf")
    parser.add_argument("--seed", type=int, default=0, help="chooses the fields (default 0)")
    given = parser.parse_args(arguments)
    try:
        lines = draw(given.figure, given.seed)
    except RegistrationError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
