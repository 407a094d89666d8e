"""``python -m DeepRegistrationLib`` is the command ``deepreg``."""

import sys

from DeepRegistrationLib.cli import main

sys.exit(main())
