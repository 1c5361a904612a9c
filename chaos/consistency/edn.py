"""A reader of EDN, the notation in which Jepsen writes histories. Pure.

What is read is made of the types that JSON has, so that the readers of both are the same code:

- a keyword or symbol is its name, without the colon: ``:append`` and ``"append"`` are one value;
- a vector, list or set is a ``list``;
- a number that ends in ``M`` is a ``Decimal``, which JSON has not;
- a map is a ``dict``; a collection as its key is a tuple;
- ``nil``, ``true`` and ``false`` are ``None``, ``True`` and ``False``;
- a tag is dropped, what it stands before is kept: ``#jepsen.history.Op{...}`` is its map.

Source: the EDN format, https://github.com/edn-format/edn.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from chaos.consistency.errors import HistoryValueError

EdnValue = None | bool | int | float | Decimal | str | list["EdnValue"] | dict[object, "EdnValue"]

DEPTH_MAX = 100
"""Collections in collections: what is deeper is no history, and Python's stack has an end."""

_TOKEN = re.compile(
    r"""
      (?P<space>   [\s,]+ | ;[^\n]* )
    | (?P<integer> [+-]?\d+N? (?=[\s,;()\[\]{}"]|$) )
    | (?P<keyword> :[^\s,;()\[\]{}"]+ )
    | (?P<open>    [\[({] | \#\{ )
    | (?P<close>   [\])}] )
    | (?P<string>  "(?:[^"\\]|\\.)*" )
    | (?P<discard> \#_ )
    | (?P<float>   \#\#-?[A-Za-z]+ | [+-]?\d[^\s,;()\[\]{}"]* )
    | (?P<tag>     \#[A-Za-z][^\s,;()\[\]{}"]* )
    | (?P<char>    \\(?:[A-Za-z0-9]+|.) )
    | (?P<symbol>  [^\s,;()\[\]{}"\#:\\]+[^\s,;()\[\]{}"]* )
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSES = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_CONSTANTS: dict[str, EdnValue] = {"nil": None, "true": True, "false": False}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_CHARACTERS = {"newline": "\n", "space": " ", "tab": "\t", "return": "\r"}
_SPECIAL_FLOATS = {"##Inf": "inf", "##-Inf": "-inf", "##NaN": "nan"}


class Form(NamedTuple):
    """One value at the top of a text."""

    line: int
    """Where it begins, from 1."""
    value: EdnValue


class _OpenForm(NamedTuple):
    """A collection that is not closed yet."""

    mark: str
    at: int
    items: list[EdnValue]
    skips: int
    """How many ``#_`` stand before it."""


def read_edn(text: str) -> Iterator[Form]:
    """The values at the top of a text, in their order.

    Raises:
        HistoryValueError: with the line, where the text is no EDN.
    """
    lines = _Lines(text)
    stack: list[_OpenForm] = []
    items: list[EdnValue] = []
    skips = begin = 0
    for token in _tokens(text, lines):
        kind, word, at = token.lastgroup or "", token.group(), token.start()
        if not stack and kind != "discard":
            begin = at
        if kind == "discard":
            skips += 1
            continue
        if kind == "open":
            if len(stack) == DEPTH_MAX:
                raise HistoryValueError(f"nested deeper than {DEPTH_MAX}", line=lines.of(at))
            stack.append(_OpenForm(word, at, items, skips))
            items, skips = [], 0
            continue
        if kind == "close":
            if not stack or _CLOSES[stack[-1].mark] != word:
                raise HistoryValueError(f"a {word!r} that closes nothing", line=lines.of(at))
            done, (mark, begin, items, skips) = items, stack.pop()
            value = _map(done, lines, begin) if mark == "{" else done
        else:
            value = _atom(kind, word, lines, at)
        if skips:
            skips -= 1
        elif stack:
            items.append(value)
        else:
            yield Form(lines.of(begin), value)
    if stack:
        mark, opened, *_ = stack[-1]
        raise HistoryValueError(f"a {mark!r} is never closed", line=lines.of(opened))


def _tokens(text: str, lines: _Lines) -> Iterator[re.Match[str]]:
    """Everything but spaces, comments and tags."""
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise HistoryValueError(f"this is no EDN: {text[at : at + 20]!r}", line=lines.of(at))
        if token.lastgroup not in {"space", "tag"}:
            yield token
        at = token.end()


class _Lines:
    """The line of a place in a text; asked for ever later places."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1

    def of(self, at: int) -> int:
        if at < self._at:
            return self._text.count("\n", 0, at) + 1
        self._line += self._text.count("\n", self._at, at)
        self._at = at
        return self._line


def _map(items: list[EdnValue], lines: _Lines, at: int) -> EdnValue:
    if len(items) % 2:
        raise HistoryValueError("a map has a key without a value", line=lines.of(at))
    return {frozen(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def frozen(value: object) -> Hashable:
    """A value as something that can be a key: a list becomes a tuple, a map one of its pairs, in
    an order of their own."""
    if isinstance(value, list | tuple):
        return tuple(frozen(one) for one in value)
    if isinstance(value, dict):
        return tuple(sorted(((key, frozen(one)) for key, one in value.items()), key=repr))
    return value


def _atom(kind: str, word: str, lines: _Lines, at: int) -> EdnValue:
    if kind == "keyword":
        return word[1:]
    if kind == "string":
        return _unescaped(word[1:-1]) if "\\" in word else word[1:-1]
    if kind == "symbol":
        return _CONSTANTS.get(word, word)
    if kind == "char":
        return _CHARACTERS.get(word[1:], word[1:])
    try:
        return _number(kind, word)
    except (ValueError, InvalidOperation) as error:
        raise HistoryValueError(f"{word[:40]!r} is no number", line=lines.of(at)) from error


def _number(kind: str, word: str) -> int | float | Decimal:
    if kind == "integer":
        return int(word.removesuffix("N"))
    if word.endswith("M"):
        return Decimal(word.removesuffix("M"))
    return float(_SPECIAL_FLOATS.get(word, word))


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        word = match.group(1)
        return chr(int(word[1:], 16)) if len(word) > 1 else _ESCAPES.get(word, word)

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", character, text, flags=re.DOTALL)
