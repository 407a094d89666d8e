"""``python -m DeepRegistrationLib`` is the command ``deepreg``."""

import sys

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.devices import keep_freed_memory


def command() -> int:
    """The command, in a process of its own."""
    keep_freed_memory()
    return main()


if __name__ == "__main__":
    sys.exit(command())
