"""Which method, and which weights of a method, suit a pair; importing it loads no PyTorch.

Every method with figures for the anatomy, and all weights that are there, are compared with the
instance optimization on the same data; the one with the smallest error is taken, the optimization
where none beats it. Previews are compared too, but not taken: their cards say that they are not to
be relied on. Of a network that the user chose, the weights are taken in the order of
:mod:`DeepRegistrationLib.methods.weights`, but after all others where they were measured on other
anatomy alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from DeepRegistrationLib.methods import AUTOMATIC, Method, method_class, method_names
from DeepRegistrationLib.methods.anatomy import (
    CARDIAC_MRI,
    CARDIAC_MRI_PATIENTS,
    GENERAL,
    TITLES,
    Anatomy,
)
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.expected_accuracy import ExpectedAccuracy
from DeepRegistrationLib.methods.weights import ModelCard, find_weights, weight_cards, why_first

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image

REFERENCE = "optimize"

_ORGANS = {CARDIAC_MRI_PATIENTS: CARDIAC_MRI}  # the same, as far as weights are concerned
_CLEARLY = 0.95  # of the reference's error: less than that, a few pairs cannot tell apart


@dataclass(frozen=True)
class Choice:
    """What to run, and why.

    Attributes:
        method: Name of the method.
        weights: Name of its weights; empty where it needs none.
        refine: Whether the optimization shall follow.
        why: A sentence for the user.
    """

    method: str
    weights: str
    refine: bool
    why: str

    @property
    def parameters(self) -> dict[str, str]:
        """Of the method, those that differ from its defaults."""
        return {"weights": self.weights} if self.weights else {}


@dataclass(frozen=True)
class _Candidate:
    """A method with weights, with or without refinement, and its figures for the anatomy."""

    method: str
    weights: str
    refine: bool
    preview: bool
    figures: tuple[ExpectedAccuracy, ...]

    @property
    def title(self) -> str:
        name = method_class(self.method).title
        if self.weights:
            name += f" ({self.weights}{', a preview' if self.preview else ''})"
        return f"{name} with refinement" if self.refine else name

    def shared(
        self, reference: tuple[ExpectedAccuracy, ...]
    ) -> list[tuple[ExpectedAccuracy, ExpectedAccuracy]]:
        """Own and the reference's figures of the same measure on the same data."""
        return [
            (own, other)
            for own in self.figures
            for other in reference
            if (own.measure, own.data) == (other.measure, other.data)
        ]

    def ratio(self, reference: tuple[ExpectedAccuracy, ...]) -> float:
        """Mean ratio of its error to the reference's; infinite where nothing is shared."""
        shared = self.shared(reference)
        if not shared:
            return float("inf")
        return sum(own.error / max(other.error, 1e-6) for own, other in shared) / len(shared)


def resolve(method: Method, fixed: Image, moving: Image, context: Context) -> tuple[Method, bool]:
    """The method that shall register a pair, and whether to refine what it gives.

    ``auto`` becomes the method that suits the pair, or the one that can be driven; a network
    becomes one with the name of the weights that it is going to use; all others stay, unrefined.
    What was chosen and why is said in the context's notes.

    Raises:
        RegistrationError: As :func:`choose_weights`.
    """
    automatic = method.name == AUTOMATIC
    weights: str = getattr(method.parameters, "weights", "")
    if not automatic and not weights:
        return method, False
    from DeepRegistrationLib.methods.anatomy_recognition import recognize  # loads PyTorch

    if automatic and (context.guide is not None or context.structures is not None):
        title = method_class(REFERENCE).title
        context.notes.append(f"{title} was chosen, which landmarks and segments can drive.")
        return method_class(REFERENCE)(), False
    if automatic and method.parameters.anatomy != "auto":
        anatomy = Anatomy(method.parameters.anatomy, "your choice")
    else:
        anatomy = recognize(fixed, moving, context.fixed_mask)
    if automatic:
        choice = choose_method(anatomy)
        context.notes.append(choice.why)
        kind = method_class(choice.method)
        return kind(kind.Parameters(**choice.parameters)), choice.refine
    card, notes = choose_weights(method.name, weights, anatomy)
    context.notes.extend(notes)
    return type(method)(replace(method.parameters, weights=card.name)), False


def choose_method(anatomy: Anatomy) -> Choice:
    """The method with the best measured accuracy for what a pair shows.

    The optimization where nothing is clearly better: it needs no training on such images.
    """
    reference = _of(method_class(REFERENCE).card.expected, anatomy, refined=False)
    candidates = sorted(_candidates(anatomy), key=lambda each: each.ratio(reference))
    networks = [each for each in candidates if each.weights]
    final = [each for each in candidates if not each.preview]
    shown = f"for {anatomy.title}: {anatomy.why}"
    if final and final[0].ratio(reference) < _CLEARLY:
        best = final[0]
        why = f"{best.title} was chosen {shown}. {_measured('It', best, reference)}"
        return Choice(best.method, best.weights, best.refine, why)
    if networks and networks[0].shared(reference):
        reason = _measured(
            f"The best network for that, {networks[0].title},", networks[0], reference
        )
    else:
        reason = "No available network was compared with it on such images."
    return Choice(
        REFERENCE, "", False, f"{method_class(REFERENCE).title} was chosen {shown}. {reason}"
    )


def choose_weights(method: str, name: str, anatomy: Anatomy) -> tuple[ModelCard, list[str]]:
    """The weights of a network for a pair, and what the user must know about the choice.

    Args:
        method: Of the network.
        name: Of the weights, or ``auto``.
        anatomy: What the pair shows.

    Returns:
        The card, and sentences: with ``auto`` which weights were taken and why; in any case a
        warning where they were measured on other anatomy alone.

    Raises:
        RegistrationError: As :func:`find_weights`.
    """
    card = find_weights(method, name)
    notes = []
    if name == "auto":
        cards = weight_cards(method)
        elsewhere = [each.name for each in cards if _measured_elsewhere(each, anatomy)]
        suited = [each for each in cards if each.name not in elsewhere]
        card = find_weights(method, (suited or cards)[0].name)
        text = f"The weights {card.name} were used: {why_first(suited or cards)}"
        if suited and elsewhere:
            text += f" for such images ({', '.join(elsewhere)}: measured on others)"
        if not card.expected:
            text += "; their card states no accuracy to compare"
        notes.append(f"{text}.")
    if _measured_elsewhere(card, anatomy):
        known = " and ".join(sorted({TITLES[each.anatomy] for each in card.expected}))
        notes.append(
            f"The weights {card.name} were measured only on {known}, but this is {anatomy.title} "
            f"({anatomy.why}): check the result closely, or name other weights."
        )
    return card, notes


def _measured_elsewhere(card: ModelCard, anatomy: Anatomy) -> bool:
    """Whether a card's figures are all of other anatomy than a pair's; never where that is unknown.

    A card without figures says nothing.
    """
    known = {_ORGANS.get(each.anatomy, each.anatomy) for each in card.expected}
    shown = _ORGANS.get(anatomy.name, anatomy.name)
    return bool(known) and GENERAL not in {*known, shown} and shown not in known


def _candidates(anatomy: Anatomy) -> Iterator[_Candidate]:
    """Everything that can be run, but for the reference itself."""
    for refine in (False, True):
        for name in method_names():
            figures = _of(method_class(name).card.expected, anatomy, refined=refine)
            if figures and name not in (AUTOMATIC, REFERENCE):
                yield _Candidate(name, "", refine, False, figures)
        for card in weight_cards():
            figures = _of(card.expected, anatomy, refined=refine)
            if figures and card.method in method_names() and card.path.is_file():
                yield _Candidate(card.method, card.name, refine, card.preview, figures)


def _of(
    figures: tuple[ExpectedAccuracy, ...] | list[ExpectedAccuracy],
    anatomy: Anatomy,
    *,
    refined: bool,
) -> tuple[ExpectedAccuracy, ...]:
    return tuple(e for e in figures if e.anatomy == anatomy.name and e.refined == refined)


def _measured(subject: str, candidate: _Candidate, reference: tuple[ExpectedAccuracy, ...]) -> str:
    """A sentence with both figures on each data set that is shared."""
    parts = [
        f"{own.text} against {other.text} on {own.data}"
        for own, other in candidate.shared(reference)
    ]
    return f"{subject} was compared with {REFERENCE}: {'; '.join(parts)}."
