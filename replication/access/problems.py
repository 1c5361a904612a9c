"""What is wrong with a configuration: all of it in one error, each with its place and its remedy.

A problem contains no value that may be a secret: the code that notes one shows values through
``show``, and never those of secret keys.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SHOWN_CHARACTERS_MAX = 60
_USER_INFO = re.compile(r"//[^/\s]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong, and where."""

    key: str
    """The path of the key, as ``bascule.storage.members[1].port`` (counted from 0); empty for the
    whole."""
    words: str
    """What was expected, what was found, what to do."""

    def __str__(self) -> str:
        return f"{self.key}: {self.words}" if self.key else self.words

    def below(self, table: str) -> Problem:
        """The same problem, its key seen from above ``table``."""
        key = f"{table}.{self.key}" if table and self.key else table or self.key
        return Problem(key=key, words=self.words)


class ConfigError(ValueError):
    """A configuration that cannot be used; the text names everything that is wrong with it.

    Args:
        source: the file, or the class that was called.
        problems: one or more.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(_describe(source, self.problems))


def refuse_if(source: str, problems: Iterable[Problem]) -> None:
    """Raise if there is any problem.

    Raises:
        ConfigError: with all of them.
    """
    found = tuple(problems)
    if found:
        raise ConfigError(source, found)


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that looks most like ``word``; None when none does."""
    return next(iter(difflib.get_close_matches(word.lower(), list(allowed), n=1)), None)


def one_of(words: Sequence[str]) -> str:
    """A choice in words."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def show(value: object) -> str:
    """A value of TOML for a message: shortened, and without what stands before ``@`` in a URL."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    text = without_user_info(str(value))
    if len(text) > SHOWN_CHARACTERS_MAX:
        text = f"{text[:SHOWN_CHARACTERS_MAX]}…"
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) else text


def without_user_info(text: str) -> str:
    """``text`` with user and password of every URL in it left out (RFC 3986, userinfo)."""
    return _USER_INFO.sub("//…@", text)


def _describe(source: str, problems: Sequence[Problem]) -> str:
    """One line for one problem, else a heading and a line for each."""
    if len(problems) == 1:
        return f"{source}: {problems[0]}"
    return "\n".join([f"{source}: {len(problems)} problems", *(f"  {p}" for p in problems)])
