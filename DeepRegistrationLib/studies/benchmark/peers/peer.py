"""What tools of other groups have in common as methods."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import ClassVar

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods import Card, Method

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
