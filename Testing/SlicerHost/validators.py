"""Annotations of parameters: what refuses values, what hints widgets, what gives the default."""

from __future__ import annotations

from dataclasses import dataclass


class Validator:
    """Refuses values; a base for a module's own ones."""

    def validate(self, value) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class WithinRange(Validator):
    minimum: float
    maximum: float

    def validate(self, value) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within [{self.minimum}, {self.maximum}]")


@dataclass(frozen=True)
class Minimum(Validator):
    minimum: float

    def validate(self, value) -> None:
        if value < self.minimum:
            raise ValueError(f"{value} is less than {self.minimum}")


@dataclass(frozen=True)
class Maximum(Validator):
    maximum: float

    def validate(self, value) -> None:
        if value > self.maximum:
            raise ValueError(f"{value} is more than {self.maximum}")


@dataclass(frozen=True)
class Choice(Validator):
    choices: list

    def validate(self, value) -> None:
        if value not in self.choices:
            raise ValueError(f"{value!r} is none of {self.choices}")


@dataclass(frozen=True)
class Exclude(Validator):
    excludedValues: list

    def validate(self, value) -> None:
        if value in self.excludedValues:
            raise ValueError(f"{value!r} is one of {self.excludedValues}")


class NotNone(Validator):
    def validate(self, value) -> None:
        if value is None:
            raise ValueError("None is not allowed")


@dataclass(frozen=True)
class Decimals:
    """How many decimals a widget shows."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """The step of a widget."""

    value: float


@dataclass(frozen=True)
class Label:
    """What stands beside a created widget."""

    label: str


class Default:
    """The default as an annotation; ``generator`` makes a new one each time."""

    def __init__(self, value=None, *, generator=None) -> None:
        self._make = generator if generator is not None else lambda: value

    @property
    def value(self):
        return self._make()
