"""The decision of a person about one transform of two images, and whether it still holds.

It is kept as one line of JSON: in the scene as an attribute of the transform's node, in a page in
its head. A decision is about exactly the voxels, geometries and transform that were looked at: see
:func:`DeepRegistrationLib.reports.identity.subject_checksum`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

from DeepRegistrationLib.errors import RegistrationError

CHOICES = {
    "accept": "Accepted",
    "limits": "Accepted with limits",
    "reject": "Rejected",
}
"""What can be decided, and how the page says it."""

META = "deepregistration-decision"
"""Name of the element in a page's head that holds the decision."""

_LONGEST = {"reviewer": 200, "comment": 4000}
_HEAD = 1 << 20  # characters of a page in which its head ends


@dataclass(frozen=True)
class Decision:
    """What somebody has decided.

    Attributes:
        choice: Of ``CHOICES``.
        reviewer: Who.
        comment: Why; with limits, which ones.
        date: When, ISO 8601 with the offset to UTC.
        subject: About what: :func:`identity.subject_checksum`.
    """

    choice: str
    reviewer: str
    comment: str
    date: str
    subject: str

    def holds_for(self, subject: str) -> bool:
        """Whether it is about these images and this transform."""
        return bool(subject) and self.subject == subject

    def text(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))


def check_decision(choice: str, reviewer: str, comment: str) -> None:
    """Refuse what is not a decision.

    Raises:
        RegistrationError: With what is missing.
    """
    if choice not in CHOICES:
        raise RegistrationError(f"{choice!r} is no decision; decide one of {', '.join(CHOICES)}.")
    if not reviewer.strip():
        raise RegistrationError("A decision needs a name; say who decides.")
    if choice != "accept" and not comment.strip():
        what = "which limits hold" if choice == "limits" else "why"
        raise RegistrationError(f"This decision needs a comment; say {what}.")
    for name, value in (("reviewer", reviewer), ("comment", comment)):
        if len(value) > _LONGEST[name]:
            raise RegistrationError(
                f"The {name} has {len(value)} characters; write no more than {_LONGEST[name]}."
            )


def decided(choice: str, reviewer: str, comment: str, subject: str) -> Decision:
    """A decision of this moment.

    Raises:
        RegistrationError: As :func:`check_decision`.
    """
    check_decision(choice, reviewer, comment)
    return Decision(choice, reviewer.strip(), comment.strip(), now(), subject)


def now() -> str:
    """The date and time, to the second, with the offset to UTC."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def decision_of(text: str | None) -> Decision | None:
    """The decision in a line of JSON; None where there is none, or the line was damaged."""
    try:
        values = json.loads(text or "")
        found = Decision(**values)
        check_decision(found.choice, found.reviewer, found.comment)
    except (ValueError, TypeError, AttributeError, RegistrationError):
        return None
    return found if isinstance(found.date, str) and isinstance(found.subject, str) else None


def decision_in_page(path: str | Path) -> Decision | None:
    """The decision in a page that was written earlier, or None."""
    try:
        with open(path, encoding="utf-8") as file:
            head = file.read(_HEAD)
    except (OSError, UnicodeDecodeError):
        return None
    reader = _MetaReader()
    reader.feed(head)
    return decision_of(reader.content)


class _MetaReader(HTMLParser):
    """Finds the element that holds the decision."""

    content: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "meta" and values.get("name") == META:
            self.content = values.get("content")
