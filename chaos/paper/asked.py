"""What the paper is held against: the hospital's own values, from a TOML file and from options.

They are the hospital's to set, for each of its activities (ReCyF 13.4). What a scenario expects is
a drill's limit and stands for none of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from chaos.errors import ChaosError
from cluster.errors import Problem, describe
from cluster.toml.reader import TomlDocument, TomlTable, read_text

YEAR_S = 365 * 86_400.0
ENTRIES_MAX = 10**12


class AskedError(ChaosError):
    """The file with the asked values cannot be used.

    Attributes:
        source: The file.
        problems: Everything that is wrong with it, at least one.
    """

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(describe(source, problems))
        self.source = source
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The values asked for, and what only the hospital knows. None: not said."""

    dmia_s: float | None = None
    """The longest interruption that is admissible (ReCyF 13.4: DMIA)."""
    prd_s: float | None = None
    """How far back the data may be set, in time (ReCyF 13.4: PRD)."""
    prd_entries: int | None = None
    """The same, in acknowledged entries."""
    dmard_s: float | None = None
    """The longest that a restore may take (PGSSI-S 7.4.1.1: DMARD)."""
    pdma_s: float | None = None
    """The longest time between two backups (PGSSI-S 7.4.1.1: PDMA)."""
    organisation: str | None = None
    system: str | None = None
    """What the cluster serves."""
    reference: str | None = None
    """Under which the paper is filed."""
    operator: str | None = None
    """Who backs up (PGSSI-S 7.4.5.3)."""
    requester: str | None = None
    """Who asked for the restore (PGSSI-S 7.4.5.3)."""


def read_asked(path: Path) -> Asked:
    """The values of a file: the tables ``[asked]`` and ``[scope]``, every key optional.

    Raises:
        AskedError: it cannot be read, or something in it is wrong; all of it is named.
    """
    document = TomlDocument(read_text(path, AskedError), str(path), AskedError)
    root = document.root
    asked = root.table("asked") if root.has("asked") else None
    scope = root.table("scope") if root.has("scope") else None
    found = Asked(
        dmia_s=_seconds(asked, "dmia_s"),
        prd_s=_seconds(asked, "prd_s"),
        prd_entries=_entries(asked),
        dmard_s=_seconds(asked, "dmard_s"),
        pdma_s=_seconds(asked, "pdma_s"),
        organisation=_line(scope, "organisation"),
        system=_line(scope, "system"),
        reference=_line(scope, "reference"),
        operator=_line(scope, "operator"),
        requester=_line(scope, "requester"),
    )
    document.settle([] if asked or scope else [_empty()])
    return found


def overridden(asked: Asked, by: Asked) -> Asked:
    """``asked``, with every value that ``by`` says."""
    said = {field.name: getattr(by, field.name) for field in fields(Asked)}
    return replace(asked, **{name: value for name, value in said.items() if value is not None})


def _seconds(table: TomlTable | None, key: str) -> float | None:
    if table is None or not table.has(key):
        return None
    return table.number(key, minimum=0.0, maximum=YEAR_S)


def _entries(table: TomlTable | None) -> int | None:
    if table is None or not table.has("prd_entries"):
        return None
    return table.integer("prd_entries", minimum=0)


def _line(table: TomlTable | None, key: str) -> str | None:
    return table.line(key) if table is not None and table.has(key) else None


def _empty() -> Problem:
    return Problem(key="", words="has neither a table [asked] nor a table [scope]")
