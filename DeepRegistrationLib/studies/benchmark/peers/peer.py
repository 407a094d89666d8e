"""What tools of other groups have in common as methods."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image, write_image
from DeepRegistrationLib.methods import Card, Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.transforms import Affine

HOUNSFIELD = (-1000.0, 400.0)  # padding outside the scanner's circle would steer the metric


@dataclass(frozen=True)
class NoParameters:
    """The tools run with their defaults."""


class Peer(Method):
    """A tool of others: known to benchmarks by its name, and in no list of methods.

    Attributes:
        package: The Python package that it needs, by the name that imports it; empty where none.
        distribution: Its name on PyPI, where that is another one.
    """

    listed = False
    Parameters = NoParameters
    package: ClassVar[str] = ""
    distribution: ClassVar[str] = ""

    @classmethod
    def require(cls) -> None:
        """Refuse before anything is registered.

        Raises:
            RegistrationError: Its package is missing.
        """
        if cls.package and importlib.util.find_spec(cls.package) is None:
            package = cls.distribution or cls.package
            raise RegistrationError(
                f"{cls.title} needs the Python package {package}; run `pip install {package}`, or "
                f"leave {cls.name} out."
            )


def peer_card(description: str, citation: str, licence: str, *, masks: bool) -> Card:
    """The card of a tool, whose time and error are what the benchmark measures."""
    return Card(
        description,
        "any",
        "both images of one modality",
        citation,
        licence,
        "see the benchmark",
        "see the benchmark",
        masks,
    )


def affine_start(title: str, context: Context) -> Affine | None:
    """The initial transform of tools that take no other than an affine one.

    Raises:
        RegistrationError: It is not affine.
    """
    start = context.initial
    if start is not None and not isinstance(start, Affine):
        raise RegistrationError(f"{title} starts from an affine transform; give it no other.")
    return start


def write_pair(fixed: Image, moving: Image, folder: Path) -> None:
    """``fixed.nii`` and ``moving.nii``, as a tool reads them."""
    for image, file in ((fixed, "fixed.nii"), (moving, "moving.nii")):
        clamped = image.data.clamp(*HOUNSFIELD) if image.data.min() < -500 else image.data
        write_image(Image(clamped, image.grid, image.name), folder / file)


def run_program(title: str, program: str, arguments: list[str], folder: Path) -> None:
    """Run Python code in a process of its own, with PyTorch's number of threads for ITK.

    Raises:
        RegistrationError: It failed, with the last line that it said.
    """
    threads = {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-c", program, *arguments]
    environment = {**os.environ, **threads}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise RegistrationError(f"{title} failed: {last[0]}")
