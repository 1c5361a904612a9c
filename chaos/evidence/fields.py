"""Typed access to the fields of one JSON line."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.evidence.records import Scalar

_NOTHING: Mapping[str, Scalar] = {}


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

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false; ``default`` where it is absent or null."""
        return default if self._values.get(name) is None else self.boolean(name)

    def scalars(self, name: str) -> Mapping[str, Scalar]:
        """An object of texts, numbers and booleans; empty where it is absent or null."""
        value = self._values.get(name)
        if value is None:
            return _NOTHING
        if not isinstance(value, dict):
            raise ValueError(f"{name} is no object")  # noqa: TRY004 - damage of a line, no bug
        for key, item in value.items():
            if item is not None and not isinstance(item, str | int | float | bool):
                raise ValueError(f"{name}.{key} is neither text nor number")
        return value
