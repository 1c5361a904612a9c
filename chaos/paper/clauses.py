"""The clauses that the paper cites, as data (``clauses.toml``). Pure but for reading them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from chaos.decode import decode

Sureness = Literal["reproduction", "second-hand"]
"""How a text was read: in a public reproduction, or only through others who work from it."""
ClauseStanding = Literal["reference", "yardstick"]
"""Whether a text addresses a French hospital, or only serves as a measure."""
OBJECTIVES, RESTORE_TIME = "objectives", "restore-time"
EXERCISES, DEVIATIONS = "exercises", "deviations"
"""What a clause may speak of besides the subjects (``subjects.py``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause, and what of a run speaks to it."""

    number: str
    fr: str
    """What it says, in French: the words of the text between « »."""
    en: str
    speaks: tuple[str, ...]
    beyond_fr: str = ""
    """What no run of ours can show of it; empty for a yardstick."""
    beyond_en: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalText:
    """A text with the clauses that are cited."""

    name: str
    edition_fr: str
    edition_en: str
    sureness: Sureness
    standing: ClauseStanding
    clause: tuple[Clause, ...]
    name_en: str = ""
    """Where the name is another one in English."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalTexts:
    """The content of ``clauses.toml``."""

    text: tuple[LegalText, ...]


@cache
def legal_texts() -> tuple[LegalText, ...]:
    """All of them, in the order of the paper."""
    toml = files("chaos.paper").joinpath("clauses.toml").read_text(encoding="utf-8")
    return decode(LegalTexts, tomllib.loads(toml)).text
