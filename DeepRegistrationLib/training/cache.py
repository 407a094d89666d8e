"""Where training keeps what takes long to make and is the same every time."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "DEEPREG_CACHE"  # environment variable


def cache_folder(kind: str) -> Path:
    """A folder for results of one kind: $DEEPREG_CACHE/kind, or the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(FOLDER) or Path(base) / "deepreg") / kind
