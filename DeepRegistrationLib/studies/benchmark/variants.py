"""By which methods pairs are registered, and with which settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import cast

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods import make_parameters, method_class
from DeepRegistrationLib.options import QUALITIES, Quality, RegistrationOptions
from DeepRegistrationLib.studies.benchmark.peers import Peer  # and the tools themselves, by name

MASKS = ("auto", "none")
OWN_SETTINGS = ("quality", "refine", "masks")
"""What may stand beside a method's parameters after its name: ``optimize:quality=best``."""


@dataclass(frozen=True)
class Variant:
    """A method with its settings.

    Attributes:
        label: What rows and tables call it.
        options: How to register; device and seed are the run's.
        masked: False to let every voxel count, also where the engine would find lungs.
    """

    label: str
    options: RegistrationOptions
    masked: bool = True


def variants_of(
    specifications: Sequence[str], qualities: Sequence[str], masks: Sequence[str]
) -> list[Variant]:
    """Every method with every quality, with and without masks as asked for.

    Args:
        specifications: ``NAME`` or ``NAME:SETTING=VALUE,SETTING=VALUE``; a setting is a parameter
            of the method, or one of ``OWN_SETTINGS``.
        qualities: Of ``QUALITIES``, for methods that do not say their own.
        masks: ``auto`` (given masks, or lungs that the engine finds), ``none``, or both; for
            methods that do not say their own.

    Raises:
        RegistrationError: Unknown method, setting, quality or mask word, one given twice, or a
            quality for a tool that has none.
    """
    found = []
    for text in specifications:
        name, _, given = text.partition(":")
        settings = _settings(text, given)
        own = {key: settings.pop(key) for key in OWN_SETTINGS if key in settings}
        values = make_parameters(method_class(name), settings)
        parameters = {key: getattr(values, key) for key in settings}
        refine = _known("refine", own.get("refine", "false").lower(), ("false", "true")) == "true"
        for quality in [own["quality"]] if "quality" in own else qualities:
            for mask in [own["masks"]] if "masks" in own else masks:
                known = cast(Quality, _known("quality", quality, QUALITIES))
                options = RegistrationOptions(name, known, parameters, refine=refine)
                label = _label(name, settings, quality, refine, mask)
                found.append(Variant(label, options, _known("masks", mask, MASKS) == "auto"))
    if not found:
        raise RegistrationError("No method was given; name one or more after --methods.")
    for variant in found:
        _check_quality(variant.options)
    twice = [label for label, n in Counter(v.label for v in found).items() if n > 1]
    if twice:
        raise RegistrationError(f"The method {twice[0]} is given twice; name each once.")
    return found


def _check_quality(options: RegistrationOptions) -> None:
    """Refuse a quality that changes nothing: its rows would be those of another.

    Raises:
        RegistrationError: The method is a tool of others, which has its own settings.
    """
    if options.quality != "default" and issubclass(method_class(options.method), Peer):
        raise RegistrationError(
            f"{options.method} runs with its own settings and knows no quality; name it as "
            f"{options.method}:quality=default."
        )


def check_available(variants: Sequence[Variant]) -> None:
    """Refuse before hours of work what no pair could be registered by.

    Raises:
        RegistrationError: A network has no weights (or not those asked for), elastix or a package
            of another tool is missing.
    """
    from DeepRegistrationLib.methods.elastix.process import require_elastix
    from DeepRegistrationLib.methods.weights import find_weights

    for variant in variants:
        method, parameters = variant.options.method, variant.options.parameters
        chosen = method_class(method)
        if method == "elastix":
            require_elastix()
        elif issubclass(chosen, Peer):
            chosen.require()
        if "weights" in {f.name for f in fields(chosen.Parameters)}:
            find_weights(method, parameters.get("weights", "auto"))


def _settings(text: str, given: str) -> dict[str, str]:
    """``SETTING=VALUE,SETTING=VALUE`` as a dictionary."""
    settings: dict[str, str] = {}
    for entry in filter(None, given.split(",")):
        key, equals, value = (part.strip() for part in entry.partition("="))
        if not equals:
            raise RegistrationError(f"{text!r}: {entry!r} is not NAME=VALUE; write it so.")
        if key in settings:
            raise RegistrationError(f"{text!r} sets {key} twice; set it once.")
        settings[key] = value
    return settings


def _known(setting: str, word: str, known: Sequence[str]) -> str:
    if word not in known:
        raise RegistrationError(f"{setting} is {word!r}; choose one of {', '.join(known)}.")
    return word


def _label(name: str, settings: dict[str, str], quality: str, refine: bool, mask: str) -> str:
    """What tables call a variant: ``elastix par0011-mask``, ``optimize best``."""
    chosen = {f.name for f in fields(method_class(name).Parameters) if f.metadata["choices"]}
    words = [name, *(v if k in chosen else f"{k}={v}" for k, v in settings.items())]
    words += [quality] if quality != "default" else []
    words += ["+ refine"] if refine else []
    words += ["no mask"] if mask == "none" else []
    return " ".join(words)
