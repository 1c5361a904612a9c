"""Signatures, fields and tables of ``docs/reference/api.md``, as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import griffe

LINE_MAX = 96
"""A signature that is longer gets a line for each parameter."""

INSTANCES = {"Storage": "storage", "Transaction": "tx", "UnitOfWork": "fn", "Applied": "applied"}
"""What the one is called that a method is called on; the class itself where it is not here."""


def sections_of(
    found: griffe.Object | griffe.Alias, name: str
) -> Sequence[griffe.DocstringSection]:
    """The sections of a docstring.

    Raises:
        ValueError: there is no docstring.
    """
    if found.docstring is None:
        raise ValueError(f"{name} has no docstring")
    return found.docstring.parsed


def called(name: str) -> str:
    """``Storage.run`` as one writes it: ``storage.run``."""
    owner, dot, method = name.rpartition(".")
    return f"{INSTANCES.get(owner, owner)}{dot}{method}"


def default(found: griffe.Class | griffe.Function, parameter: griffe.Parameter) -> str:
    """A default; the value of the constant where it is one."""
    constant = found.module.members.get(str(parameter.default))
    value = constant.value if isinstance(constant, griffe.Attribute) else None
    return str(parameter.default if value is None else value)


def field_meanings(found: griffe.Class) -> dict[str, str]:
    """The docstrings below the fields of a dataclass; the first paragraph of each."""
    return {
        name: member.docstring.value.split("\n\n")[0]
        for name, member in found.members.items()
        if isinstance(member, griffe.Attribute)
        and "property" not in member.labels
        and member.docstring is not None
    }


def call(name: str, parameters: griffe.Parameters, arrow: str) -> list[str]:
    """A signature, on one line where it fits."""
    shown: list[str] = []
    has_star = False
    for one in parameters:
        if one.name in {"self", "cls"}:
            continue
        if one.kind is griffe.ParameterKind.keyword_only and not has_star:
            has_star = True
            shown.append("*")
        stars = {
            griffe.ParameterKind.var_positional: "*",
            griffe.ParameterKind.var_keyword: "**",
        }.get(one.kind or griffe.ParameterKind.positional_or_keyword, "")
        has_star |= stars == "*"
        text = f"{stars}{one.name}: {one.annotation}"
        shown.append(text if one.default is None or stars else f"{text} = {one.default}")
    line = f"{name}({', '.join(shown)}){arrow}"
    if len(line) <= LINE_MAX:
        return [line]
    return [f"{name}(", *(f"    {one}," for one in shown), f"){arrow}"]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table; a ``|`` in a cell is escaped."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
