"""From plain JSON values to the frozen dataclasses of the project, strictly, and back.

Strict: every field without a default must be there, nothing else may be, and every value must have
its type. Only what the records need is known here: numbers, texts, choices, optional values,
tuples, mappings, and dataclasses of these. A dataclass that stands in JSON otherwise than its
fields say has ``to_json`` and ``from_json``.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from chaos.errors import FormatError

T = TypeVar("T")

Readers = Mapping[type, Callable[[object, str], object]]
"""For types that are written in a form of their own: what reads a value, and where it stands."""
Writers = Mapping[type, Callable[[Any], object]]
"""The inverse of ``Readers``."""
_NONE: Mapping[type, Any] = {}


def decode(cls: type[T], value: object, key: str = "", readers: Readers = _NONE) -> T:
    """``value`` as an instance of the dataclass ``cls``.

    Args:
        cls: A dataclass.
        value: What ``json.loads`` or ``tomllib`` gave.
        key: Where the value stands, for messages.
        readers: For types inside of it that have a form of their own.

    Raises:
        FormatError: with the key of the first thing that is wrong, and the nearest valid key where
            one is unknown.
    """
    if not isinstance(value, Mapping):
        raise FormatError(key, f"expected an object, found {_name(value)}")
    if (from_json := getattr(cls, "from_json", None)) is not None:
        own: T = from_json(value, key)
        return own
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in value:
        if name not in fields:
            raise FormatError(_join(key, str(name)), f"unknown key{_nearest(str(name), fields)}")
    found: dict[str, object] = {}
    for name, field in fields.items():
        if name in value:
            found[name] = _decode(hints[name], value[name], _join(key, name), readers)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise FormatError(_join(key, name), "is missing")
    return cls(**found)


def encode(value: object, writers: Writers = _NONE) -> object:
    """The inverse of ``decode``: dataclasses as dicts, tuples as lists, the rest as it is."""
    if type(value) in writers:
        return writers[type(value)](value)
    if (to_json := getattr(value, "to_json", None)) is not None:
        return to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: encode(getattr(value, field.name), writers)
            for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(name): encode(item, writers) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item, writers) for item in value]
    return value


def _decode(hint: object, value: object, key: str, readers: Readers) -> object:
    """``value`` as the type ``hint`` says."""
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        own = readers.get(hint)
        return own(value, key) if own else decode(hint, value, key, readers)
    if origin is Literal:
        if value not in arguments:
            raise FormatError(key, f"expected one of {', '.join(map(str, arguments))}")
        return value
    if origin in {Union, types.UnionType}:
        return _decode_union(arguments, value, key, readers)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise FormatError(key, f"expected a list, found {_name(value)}")
        return tuple(
            _decode(arguments[0], item, f"{key}[{index}]", readers)
            for index, item in enumerate(value)
        )
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise FormatError(key, f"expected an object, found {_name(value)}")
        return {
            str(name): _decode(arguments[1], item, _join(key, str(name)), readers)
            for name, item in value.items()
        }
    return _decode_scalar(hint, value, key)


def _decode_union(
    arguments: tuple[object, ...], value: object, key: str, readers: Readers
) -> object:
    """The first member of the union that takes the value."""
    for argument in arguments:
        try:
            return _decode(argument, value, key, readers)
        except FormatError:
            continue
    names = " or ".join(getattr(argument, "__name__", str(argument)) for argument in arguments)
    raise FormatError(key, f"expected {names}, found {_name(value)}")


def _decode_scalar(hint: object, value: object, key: str) -> object:
    """Texts, numbers, booleans and null. A boolean is no number, an integer is also a float."""
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise FormatError(key, "expected a finite number")
        return float(value)
    if hint is not float and type(value) is hint:
        return value
    name = getattr(hint, "__name__", str(hint))
    raise FormatError(key, f"expected {name}, found {_name(value)}")


def _name(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]}?" if close else f", expected one of {', '.join(known)}"
