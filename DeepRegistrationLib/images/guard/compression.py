"""Compressed files: by what they begin with, not by their names."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO

from DeepRegistrationLib.errors import RegistrationError

GZIP = b"\x1f\x8b"

_PACKED = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def check_packing(path: Path) -> None:
    """Refuse a file whose name hides that it is compressed.

    Raises:
        RegistrationError: With the name that it should have, or what to unpack it with.
    """
    with open(path, "rb") as file:
        head = file.read(6)
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise RegistrationError(
                f"{path.name} is compressed ({name}), which image readers cannot read; unpack it "
                "first."
            )
    if head.startswith(GZIP) and path.name.lower().endswith((".nii", ".hdr", ".img")):
        raise RegistrationError(
            f"{path.name} is gzip-compressed, but its name does not say so; rename it to "
            f"{path.name}.gz."
        )


def open_unpacked(path: Path) -> IO[bytes]:
    """Open a file for reading, unpacked where it begins like gzip, whatever its name."""
    with open(path, "rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path) if packed else open(path, "rb")  # type: ignore[return-value]
