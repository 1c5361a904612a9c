"""Typed access to the fields of one JSON line."""

from __future__ import annotations

from collections.abc import Mapping


class Fields:
    """The fields of a line. Every method raises ``ValueError`` that names the field."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self.text_or_none(name)
        if value is None:
            raise ValueError(f"{name} is missing")
        return value

    def text_or_none(self, name: str) -> str | None:
        """A text; None where it is absent or null."""
        value = self._values.get(name)
        if value is None or isinstance(value, str):
            return value
        raise ValueError(f"{name} is no text")

    def integer(self, name: str) -> int:
        """An integer that must be there."""
        value = self.integer_or_none(name)
        if value is None:
            raise ValueError(f"{name} is missing")
        return value

    def integer_or_none(self, name: str) -> int | None:
        """An integer; None where it is absent or null."""
        value = self._values.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise ValueError(f"{name} is no integer")

    def number(self, name: str) -> float:
        """A number that must be there."""
        value = self.number_or_none(name)
        if value is None:
            raise ValueError(f"{name} is missing")
        return value

    def number_or_none(self, name: str) -> float | None:
        """A number; None where it is absent or null."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise ValueError(f"{name} is no number")

    def boolean(self, name: str) -> bool:
        """True or false, which must be there."""
        value = self._values.get(name)
        if isinstance(value, bool):
            return value
        raise ValueError(f"{name} is neither true nor false")

    def flag(self, name: str) -> bool:
        """True or false; false where it is absent or null."""
        return self._values.get(name) is not None and self.boolean(name)
