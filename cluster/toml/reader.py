"""Reads TOML that a person wrote, and names everything that is wrong with it at once.

A loader opens a ``TomlDocument``, takes values from its tables, and calls ``settle``. A value that
is missing or wrong is noted and replaced by a neutral one of its type, so that reading goes on and
the next problem is found too; nothing that was read may be used before ``settle`` has returned.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from cluster.errors import Problem

MakesError = Callable[[str, tuple[Problem, ...]], Exception]
"""Makes the error of the loader's own package from a source and its problems."""

Word = TypeVar("Word", bound=str)
Neutral = TypeVar("Neutral")
Parsed = TypeVar("Parsed")

NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?")
NAME_RULE = (
    "a name of lower-case letters, digits and hyphens that begins with a letter, does not end "
    "with a hyphen and has at most 32 characters"
)
"""Names become host names (RFC 1123), namespaces and parts of file names."""

PARAMETER = re.compile(r"[a-z_][a-z0-9_.]*")
"""Of PostgreSQL, its extensions' with a dot (manual, 20.1.1 and 20.16)."""
LINE = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
SHOWN_CHARACTERS_MAX = 40
_MISSING = object()
_SYNTAX = re.compile(r"(?P<words>.*) \(at (?P<place>.*)\)", re.DOTALL)


class TomlDocument:
    """A TOML document that is being read.

    Args:
        text: the TOML.
        source: the file, or another name of it for people.
        refuse: makes the error to raise.

    Raises:
        what ``refuse`` makes: the text is no TOML; the error has line and column.
    """

    def __init__(self, text: str, source: str, refuse: MakesError) -> None:
        self._source = source
        self._refuse = refuse
        self._tables: list[TomlTable] = []
        try:
            values = tomllib.loads(text)
        except RecursionError as error:
            raise self._refusal([Problem(key="", words="nested too deeply")]) from error
        except tomllib.TOMLDecodeError as error:
            raise self._refusal([_syntax_problem(str(error))]) from error
        except ValueError as error:  # Python reads at most 4300 digits
            words = "no valid TOML: a number has too many digits"
            raise self._refusal([Problem(key="", words=words)]) from error
        self.root = TomlTable(values, "", self._tables)

    def settle(self, more: Iterable[Problem] = ()) -> None:
        """Refuse the document if anything in it, or in ``more``, is wrong.

        Raises:
            what ``refuse`` makes: with every problem, table by table.
        """
        problems = [problem for table in self._tables for problem in table.problems()]
        problems += more
        if problems:
            raise self._refusal(problems)

    def _refusal(self, problems: Sequence[Problem]) -> Exception:
        return self._refuse(self._source, tuple(problems))


class TomlTable:
    """One table of a document. Every key that is asked for is a valid one, all others are unknown.

    Each method takes the value of ``key``; ``default`` makes the key optional.
    """

    def __init__(self, values: Mapping[str, object], path: str, tables: list[TomlTable]) -> None:
        self._values = values
        self._path = path
        self._tables = tables
        self._known: list[str] = []
        self._problems: list[Problem] = []
        tables.append(self)

    def has(self, key: str) -> bool:
        """Whether an optional key is there."""
        self._known.append(key)
        return key in self._values

    def line(self, key: str) -> str:
        """A text of one line, 1 to 200 characters."""
        return self._text(key, LINE, "a text of one line, 1 to 200 characters")

    def name(self, key: str) -> str:
        """A name (``NAME_RULE``)."""
        return self._text(key, NAME, NAME_RULE)

    def text(self, key: str, default: str | None = None) -> str:
        """Any text."""
        return self._text(key, re.compile(r".*", re.DOTALL), "a text", default)

    def flag(self, key: str, default: bool | None = None) -> bool:
        """``true`` or ``false``."""
        value = self._take(key, default)
        if isinstance(value, bool):
            return value
        return self._wrong(key, value, "true or false", False)

    def integer(self, key: str, default: int | None = None, *, minimum: int | None = None) -> int:
        """A whole number, not below ``minimum``."""
        value = self._take(key, default)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if isinstance(value, int) and is_whole and (minimum is None or value >= minimum):
            return value
        expected = "a whole number" if minimum is None else f"a whole number from {minimum} on"
        return self._wrong(key, value, expected, 0)

    def number(
        self, key: str, *, minimum: float, maximum: float, default: float | None = None
    ) -> float:
        """A number between ``minimum`` and ``maximum``, both included."""
        value = self._take(key, default)
        # To Python ``true`` is a number too. NaN lies in no interval.
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if number is not None and minimum <= number <= maximum:
            return float(number)
        return self._wrong(key, value, f"a number from {minimum:g} to {maximum:g}", minimum)

    def number_or_window(
        self, key: str, *, minimum: float, maximum: float
    ) -> tuple[float, float | None]:
        """A number, and None; or the two ends of ``[3, 8]``, the first one below the second."""
        value = self._take(key, None)
        ends = value if isinstance(value, list) else [value]
        found = [
            float(end)
            for end in ends
            if isinstance(end, int | float)
            and not isinstance(end, bool)
            and minimum <= end <= maximum
        ]
        if len(found) == len(ends) == 1 and not isinstance(value, list):
            return found[0], None
        if len(found) == len(ends) == 2 and found[0] < found[1]:
            return found[0], found[1]
        expected = (
            f"a number from {minimum:g} to {maximum:g}"
            if not isinstance(value, list)
            else f"[earliest, latest]: two numbers from {minimum:g} to {maximum:g}, the first "
            "below the second"
        )
        return self._wrong(key, value, expected, (minimum, None))

    def choice(self, key: str, allowed: Sequence[Word], default: Word | None = None) -> Word:
        """One of the words ``allowed``."""
        value = self._take(key, default)
        for word in allowed:
            if value == word:
                return word
        return self._wrong(
            key, value, one_of(allowed), allowed[0], hint=did_you_mean(value, allowed)
        )

    def parsed(
        self,
        key: str,
        parse: Callable[[str], Parsed | None],
        forms: Sequence[str],
        neutral: Parsed,
    ) -> Parsed:
        """What ``parse`` makes of a text, or of a whole number as text; it makes None of one that
        has none of the ``forms``."""
        value = self._take(key, None)
        is_known = isinstance(value, str | int) and not isinstance(value, bool)
        found = parse(str(value)) if is_known else None
        if found is not None:
            return found
        return self._wrong(key, value, one_of(forms), neutral, hint=did_you_mean(value, forms))

    def choices(self, key: str, allowed: Sequence[Word]) -> tuple[Word, ...]:
        """A list of one or more of the words ``allowed``, each at most once."""
        value = self._take(key, None)
        if not isinstance(value, list) or not value:
            return self._wrong(key, value, f"a list with {one_of(allowed)}", ())
        chosen: list[Word] = []
        for index, item in enumerate(value):
            place = f"{key}[{index}]"
            matches = [word for word in allowed if word == item]
            if not matches:
                hint = did_you_mean(item, allowed)
                self._wrong(place, item, one_of(allowed), None, hint=hint)
            elif matches[0] in chosen:
                self._wrong(place, item, "each word once", None)
            else:
                chosen += matches
        return tuple(chosen)

    def names(self, key: str) -> tuple[str, ...]:
        """A list of names (``NAME_RULE``)."""
        value = self._take(key, None)
        if not isinstance(value, list):
            return self._wrong(key, value, "a list of names", ())
        for index, item in enumerate(value):
            if not isinstance(item, str) or not NAME.fullmatch(item):
                self._wrong(f"{key}[{index}]", item, NAME_RULE, None)
        return tuple(str(item) for item in value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A text, or a list of one or more; none of them empty."""
        value = self._take(key, None)
        items = value if isinstance(value, list) else [value]
        if items and all(isinstance(item, str) and item.strip() for item in items):
            return tuple(str(item).strip() for item in items)
        return self._wrong(key, value, "a text, or a list of texts", ())

    def table(self, key: str) -> TomlTable:
        """The table ``[key]``."""
        value = self._take(key, None)
        if isinstance(value, dict):
            return TomlTable(value, self._at(key), self._tables)
        # What the missing table lacks in turn is not worth a line each.
        return self._wrong(key, value, f"a table [{self._at(key)}]", TomlTable({}, "", []))

    def parameters(self, key: str) -> Mapping[str, str]:
        """The table ``[key]`` of PostgreSQL's parameters, each as a text: names are not known here,
        so every one is valid that could be one."""
        table = self.table(key)
        return {name: table._parameter(name) for name in table._values}

    def _parameter(self, key: str) -> str:
        value = self._take(key, None)
        if not PARAMETER.fullmatch(key):
            return self._wrong(key, value, "a parameter of PostgreSQL", "")
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, int | float):
            return str(value)
        return self._text(key, LINE, "a text of one line, a number, true or false")

    def tables(self, key: str, *, optional: bool = False) -> Iterator[TomlTable]:
        """The tables ``[[key]]``, at least one unless ``optional``, each made when its turn comes:
        the problems of the first are then told before those of the second."""
        value = self._take(key, [] if optional else None)
        items = value if isinstance(value, list) else [None]
        if all(isinstance(item, dict) for item in items) and (items or optional):
            for index, item in enumerate(items):
                yield TomlTable(item, f"{self._at(key)}[{index}]", self._tables)
            return
        heading = re.sub(r"\[\d+\]", "", self._at(key))
        expected = f"{'' if optional else 'one or more '}tables [[{heading}]]"
        self._wrong(key, value, expected, None)

    def problems(self) -> list[Problem]:
        """Everything that was wrong with this table: its values, then its keys."""
        unknown = [key for key in self._values if key not in self._known]
        problems: list[Problem] = []
        misspelt: set[str] = set()
        for key in unknown:
            absent = [known for known in self._known if known not in self._values]
            near = nearest(key, absent) or nearest(key, self._known)
            misspelt.update([near] if near else [])
            hint = f"did you mean {near}?" if near else f"expected {one_of(sorted(self._known))}"
            problems.append(Problem(key=self._at(key), words=f"unknown key; {hint}"))
        # A misspelt key is reported as unknown; reporting it as missing too adds nothing.
        absent_misspelt = {self._at(key) for key in misspelt if key not in self._values}
        return [p for p in self._problems if p.key not in absent_misspelt] + problems

    def _text(
        self, key: str, pattern: re.Pattern[str], expected: str, default: str | None = None
    ) -> str:
        value = self._take(key, default)
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        return self._wrong(key, value, expected, "")

    def _take(self, key: str, default: object) -> object:
        self._known.append(key)
        return self._values.get(key, _MISSING if default is None else default)

    def _wrong(
        self, key: str, value: object, expected: str, neutral: Neutral, *, hint: str = ""
    ) -> Neutral:
        """Note a problem; returns ``neutral``, to read on with."""
        if value is _MISSING:
            words = f"missing key; expected {expected}"
        else:
            words = f"expected {expected}; found {show(value)}{hint}"
        self._problems.append(Problem(key=self._at(key), words=words))
        return neutral

    def _at(self, key: str) -> str:
        key = key if re.fullmatch(r"[\w-]+(\[\d+\])?", key) else show(key)
        return f"{self._path}.{key}" if self._path else key


def read_text(path: Path, refuse: MakesError) -> str:
    """The text of a file.

    Raises:
        what ``refuse`` makes: it is not there, is no file, cannot be read, or is not UTF-8.
    """
    try:
        if path.is_dir():
            raise refuse(str(path), (Problem(key="", words="expected a file; found a folder"),))
        if path.exists() and not path.is_file():
            raise refuse(str(path), (Problem(key="", words="expected an ordinary file"),))
        # Some editors begin a file with a byte order mark; it says nothing.
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise refuse(str(path), (Problem(key="", words="there is no such file"),)) from error
    except UnicodeDecodeError as error:
        words = f"expected UTF-8; found 0x{error.object[error.start]:02x} at byte {error.start}"
        raise refuse(str(path), (Problem(key="", words=words),)) from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise refuse(str(path), (Problem(key="", words=f"cannot be read: {reason}"),)) from error


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that looks most like ``word``; None when none does."""
    return next(iter(difflib.get_close_matches(word.lower(), list(allowed), n=1)), None)


def did_you_mean(value: object, allowed: Iterable[str]) -> str:
    """The hint at the end of a message; empty if there is none."""
    near = nearest(value, allowed) if isinstance(value, str) else None
    return f" (did you mean {near}?)" if near else ""


def one_of(words: Sequence[str]) -> str:
    """A choice in words; of no words: ``nothing``."""
    if len(words) < 2:
        return words[0] if words else "nothing"
    return f"{', '.join(words[:-1])} or {words[-1]}"


def show(value: object) -> str:
    """A TOML value for a message, shortened."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return (
            "a list of tables"
            if value and isinstance(value[0], dict)
            else _shorten(f"[{', '.join(show(item) for item in value)}]")
        )
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str | bool | int | float):
        return _shorten(quote(value) if isinstance(value, str) else json.dumps(value))
    return _shorten(str(value))  # dates and times


def quote(text: str) -> str:
    """A TOML basic string (TOML 1.0, String): JSON's escapes, and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _shorten(shown: str) -> str:
    return shown if len(shown) <= SHOWN_CHARACTERS_MAX else f"{shown[:SHOWN_CHARACTERS_MAX]}…"


def _syntax_problem(message: str) -> Problem:
    """tomllib ends its messages with the place; people want it first."""
    match = _SYNTAX.fullmatch(message)
    if match is None:
        return Problem(key="", words=f"no valid TOML: {message}")
    return Problem(key="", words=f"{match['place']}: no valid TOML: {match['words']}")
