"""``deepreg methods`` and ``deepreg info``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from typing import Any

import torch

from DeepRegistrationLib.devices import choose_device
from DeepRegistrationLib.methods import method_class, method_names
from DeepRegistrationLib.reports.report import versions


def list_methods(arguments: argparse.Namespace) -> None:
    """``deepreg methods``."""
    cards = [describe_method(name) for name in method_names()]
    if arguments.json:
        print(json.dumps(cards, indent=2))
        return
    for card in cards:
        print(f"{card['name']}: {card['title']}")
        print(f"    {card['card']['description']}")
        print(f"    time {card['card']['expected_time']}; error {card['card']['expected_error']}")
        for entry in card["parameters"]:
            unit = f" {entry['unit']}" if entry["unit"] else ""
            print(f"    --set {entry['name']}={entry['default']}{unit}: {entry['help']}")


def describe_method(name: str) -> dict[str, Any]:
    """A method's name, title, card and parameters (type, default, range, unit, help)."""
    method = method_class(name)
    parameters = [
        {
            "name": entry.name,
            "type": type(entry.default).__name__,
            "default": entry.default,
            **{key: entry.metadata[key] for key in ("help", "unit", "minimum", "maximum")},
            "choices": entry.metadata["choices"] and list(entry.metadata["choices"]),
        }
        for entry in dataclasses.fields(method.Parameters)
    ]
    return {
        "name": method.name,
        "title": method.title,
        "card": dataclasses.asdict(method.card),
        "parameters": parameters,
    }


def show_info(arguments: argparse.Namespace) -> None:
    """``deepreg info``: devices, memory and versions."""
    info = machine_info()
    if arguments.json:
        print(json.dumps(info, indent=2))
        return
    print(f"Device: {info['device_reason']}")
    print(f"CPU: {info['cpu_threads']} threads, {info['memory_gb']} GB of memory")
    for gpu in info["gpus"]:
        print(f"GPU: {gpu['name']}, {gpu['memory_gb']} GB, {gpu['free_gb']} GB free")
    print(", ".join(f"{name} {version}" for name, version in info["versions"].items()))


def machine_info() -> dict[str, Any]:
    """What can compute here: plain numbers for JSON, memory in GB."""
    gpus = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        gpus.append(
            {
                "name": torch.cuda.get_device_name(index),
                "memory_gb": _gigabytes(total),
                "free_gb": _gigabytes(free),
            }
        )
    device, reason = choose_device("auto")
    return {
        "device": str(device),
        "device_reason": reason,
        "cpu_threads": torch.get_num_threads(),
        "memory_gb": _main_memory(),
        "gpus": gpus,
        "versions": versions(),
    }


def _main_memory() -> float | None:
    """Main memory of the machine, where the system tells it."""
    try:
        return _gigabytes(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return None


def _gigabytes(size: int) -> float:
    return round(size / 2**30, 1)
