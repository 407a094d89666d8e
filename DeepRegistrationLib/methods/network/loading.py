"""From the name of weights to a network that is ready to run."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.model_card import ModelCard
from DeepRegistrationLib.methods.network.precision import ready
from DeepRegistrationLib.methods.weights import find_weights, load_weights, record_use


def network_for(
    method: str, weights: str, precision: str, kind: type[nn.Module], context: Context
) -> tuple[Any, dict[str, Any]]:
    """The network on the context's device, and what else the card says about its use.

    Args:
        method: Name of the method.
        weights: Name of the weights, or ``auto``.
        precision: ``auto`` or ``float32``, of the convolutions.
        kind: Class of the network; of the card's architecture it gets the arguments that it
            takes, and the rest is returned.

    Raises:
        RegistrationError: No such weights, damaged ones, or those of another architecture.
    """
    card = find_weights(method, weights)
    record_use(card)
    network, rest = network_of(card, kind)
    if card.preview:
        context.notes.append(
            f"The weights {card.name} are a preview: they were trained only briefly."
        )
    dtype = torch.float32 if precision == "float32" else None
    return ready(network, context.device, dtype), rest


def network_of(card: ModelCard, kind: type[nn.Module]) -> tuple[Any, dict[str, Any]]:
    """The network with the weights of a card, on the CPU, and what else the card says.

    Args:
        kind: As for :func:`network_for`.

    Raises:
        RegistrationError: Damaged weights, or those of another architecture.
    """
    taken = set(inspect.signature(kind).parameters)
    arguments = {k: v for k, v in card.architecture.items() if k in taken}
    rest = {k: v for k, v in card.architecture.items() if k not in taken}
    try:
        network = kind(**arguments)
        network.load_state_dict(load_weights(card))
    except (RuntimeError, ValueError, TypeError) as error:
        raise RegistrationError(
            f"The weights {card.name} do not fit the network that their model card describes; get "
            "them again."
        ) from error
    return network, rest
