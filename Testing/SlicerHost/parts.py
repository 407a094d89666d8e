"""What the written widgets share: properties that are kept, or that an inner widget has."""

from __future__ import annotations

from typing import Any


class Plain:
    """Properties that are only kept: ``defaults`` names them, ``plain`` has their values.

    Their setters (``setTracking`` of ``tracking``) need not be written.
    """

    defaults: dict[str, Any] = {}

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.plain: dict[str, Any] = {}
        for base in reversed(type(self).__mro__):
            self.plain |= vars(base).get("defaults", {})
        self.build()

    def build(self) -> None:
        """Make what is inside; ``plain`` is there already."""

    def __getattr__(self, name: str) -> Any:
        key = name[3:4].lower() + name[4:]
        if name.startswith("set") and key in self.__dict__.get("plain", {}):
            return lambda value: self.set_plain(key, value)
        raise AttributeError(f"{type(self).__name__} has no attribute {name}")

    def set_plain(self, name: str, value: Any) -> None:
        if self.plain[name] != value:
            self.plain[name] = value
            self.plain_changed(name)

    def plain_changed(self, name: str) -> None:
        """Show the new value."""


def inner(part: str, name: str) -> property:
    """A property that the inner widget ``part`` has under ``name``."""

    def read(self):
        return getattr(self, part).property(name)

    def write(self, value):
        getattr(self, part).setProperty(name, value)

    return property(read, write)
