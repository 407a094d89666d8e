"""What came of the last thing a section did, said only as long as it is about what is chosen."""

import weakref


class Outcome:
    """A sentence that holds for the choices, and the result, it was said about.

    Args:
        section: Its parameters, and its panel's result, are looked at.

    Attributes:
        text, isError, details: The sentence, whether something went wrong, and technical details.
    """

    def __init__(self, section):
        self._section = section
        self.clear()

    def clear(self):
        """Nothing is to be said."""
        self.text, self.details, self.isError = "", "", False
        self._about, self._result = {}, None

    def say(self, text, about, isError=False, details=""):
        """Keep a sentence while parameters are as they are now.

        Args:
            text: The sentence.
            about: Names of the parameters that it depends on.
            isError: Whether it says that something went wrong.
            details: Technical details, for a dialog.
        """
        self.text, self.details, self.isError = text, details, isError
        result = self._section.panel.result
        self._result = None if result is None else weakref.ref(result)  # an undo frees its memory
        self._about = {name: self._value(name) for name in about}

    @property
    def holds(self):
        """Whether there is a sentence, and it is about what is chosen."""
        same = all(self._value(name) == value for name, value in self._about.items())
        return bool(self.text) and same and self._isSameResult()

    def _isSameResult(self):
        """Whether the panel has the result that it had then, or still none."""
        result = self._section.panel.result
        if self._result is None or result is None:
            return self._result is result
        return self._result() is result

    def _value(self, name):
        value = getattr(self._section.parameters, name)
        return value.GetID() if hasattr(value, "GetID") else value
