"""What the settings of networks share."""

from __future__ import annotations

from dataclasses import dataclass

from DeepRegistrationLib.methods.parameters import parameter


@dataclass(frozen=True)
class NetworkParameters:
    """Settings of a network that has no others."""

    weights: str = parameter("auto", "Name of the weights; auto prefers your own to shipped ones.")
    precision: str = parameter(
        "auto",
        "Number format of the convolutions; auto uses 16 bits if the processor supports them.",
        choices=("auto", "float32"),
    )
