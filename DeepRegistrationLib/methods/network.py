"""What the settings of networks share."""

from __future__ import annotations

from dataclasses import dataclass

from DeepRegistrationLib.methods.base import parameter


@dataclass(frozen=True)
class NetworkParameters:
    """Settings of a network that has no others."""

    weights: str = parameter("auto", "Name of the weights; auto prefers your own to shipped ones.")
    precision: str = parameter(
        "auto",
        "Of the convolutions; auto takes 16 bits where the processor has them.",
        choices=("auto", "float32"),
    )
