"""What the settings of networks share."""

from __future__ import annotations

from dataclasses import dataclass

from DeepRegistrationLib.methods.parameters import parameter


@dataclass(frozen=True)
class NetworkParameters:
    """Settings of every network."""

    weights: str = parameter("auto", "Name of the weights; auto prefers your own to shipped ones.")
    precision: str = parameter(
        "auto",
        "Number format of the convolutions; auto uses 16 bits if the processor supports them.",
        choices=("auto", "float32"),
    )


@dataclass(frozen=True)
class RepeatedParameters(NetworkParameters):
    """Of one that can be applied to what it left."""

    passes: int = parameter(
        1,
        "How often the network is applied, each time to what is left by the times before; more "
        "take longer (the paper: 1).",
        minimum=1,
        maximum=4,
    )
