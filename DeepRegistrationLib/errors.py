"""The errors that a user can cause, and the signal that a user pressed Cancel."""

from __future__ import annotations


class RegistrationError(Exception):
    """Something that the user can mend; the message is one sentence that says what to do.

    Everything that can go wrong through input, options or the machine's limits is raised as
    this class. Any other exception is a defect of the software.
    """


class Cancelled(Exception):  # noqa: N818 - it reports no error
    """The user asked to stop; nothing was changed."""
