"""``workspaces.toml``: which project gets which columns of which patients, and who its members are.

A member belongs to one project, and a project gets only what it names: nothing is there by default.
Free text is never given, and identities cannot be named at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from chaos.errors import ChaosError
from chaos.workloads.warehouse.concepts import CONCEPTS
from chaos.workloads.warehouse.tables import NOTE, OF_PATIENTS, PATIENT, OmopTable
from cluster.errors import Problem, describe
from cluster.toml.reader import TomlDocument, TomlTable, read_text

GIVEN: tuple[OmopTable, ...] = tuple(t for t in OF_PATIENTS if t not in (PATIENT, NOTE))
"""Tables of which a project can get columns."""

BORN_MIN = 1900

Dates = Literal["shifted", "exact"]
"""``shifted``: all dates of a patient are moved by one number of days, which is the project's own:
times between events stay, and days cannot be compared with another project's."""


class WorkspacesError(ChaosError):
    """The file is wrong; the message names every problem, with its place."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__(describe(source, problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The patients of a project: all that every one of these is true of."""

    condition: str | None = None
    """They have had this condition, by the name of its concept."""
    born_before: int | None = None
    born_from: int | None = None
    one_in: int | None = None
    """A sample: one patient in so many, those whose number it divides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One workspace."""

    name: str
    title: str
    members: tuple[str, ...]
    cohort: Cohort
    dates: Dates = "shifted"
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By table the columns that are copied; ``person_id`` is always there, as a pseudonym."""

    @property
    def schema(self) -> str:
        """Its schema; its role, which owns nothing, has the same name."""
        return f"ws_{self.name.replace('-', '_')}"

    @property
    def role(self) -> str:
        """What its members are in."""
        return self.schema


def load_workspaces(path: Path) -> tuple[Project, ...]:
    """Read the file.

    Raises:
        WorkspacesError: it cannot be read, or is wrong.
    """
    return parse_workspaces(read_text(path, WorkspacesError), str(path))


def parse_workspaces(text: str, source: str) -> tuple[Project, ...]:
    """The projects of a text, in its order.

    Args:
        text: TOML.
        source: what messages call it.

    Raises:
        WorkspacesError: with everything that is wrong.
    """
    document = TomlDocument(text, source, WorkspacesError)
    projects = tuple(_read_project(table) for table in document.root.tables("project"))
    document.settle()
    document.settle(_problems_of(projects))
    return projects


def _read_project(table: TomlTable) -> Project:
    return Project(
        name=table.name("name"),
        title=table.line("title"),
        members=table.names("members"),
        cohort=_read_cohort(table.table("cohort")),
        dates=_read_dates(table),
        tables=_read_tables(table.table("tables")),
    )


def _read_dates(table: TomlTable) -> Dates:
    chosen = table.choice("dates", get_args(Dates)) if table.has("dates") else "shifted"
    return "exact" if chosen == "exact" else "shifted"


def _read_cohort(table: TomlTable) -> Cohort:
    conditions = tuple(name for name, domain, _ in CONCEPTS if domain == "Condition")
    year = {
        key: table.integer(key, minimum=BORN_MIN) if table.has(key) else None
        for key in ("born_before", "born_from")
    }
    return Cohort(
        condition=table.choice("condition", conditions) if table.has("condition") else None,
        born_before=year["born_before"],
        born_from=year["born_from"],
        one_in=table.integer("one_in", minimum=2) if table.has("one_in") else None,
    )


def _read_tables(table: TomlTable) -> Mapping[str, tuple[str, ...]]:
    chosen = {}
    for known in GIVEN:
        if table.has(known.name):
            columns = tuple(name for name in known.names if name != "person_id")
            chosen[known.name] = table.choices(known.name, columns)
    return chosen


def _problems_of(projects: Sequence[Project]) -> list[Problem]:
    problems = []
    of_member: dict[str, str] = {}
    schemas: dict[str, str] = {}
    for index, project in enumerate(projects):
        at = f"project[{index}]"
        other = schemas.setdefault(project.schema, project.name)
        if other != project.name or sum(p.name == project.name for p in projects[: index + 1]) > 1:
            words = f"expected another name for each project; {other} has it"
            problems.append(Problem(key=f"{at}.name", words=words))
        if not project.members:
            words = "expected one or more members; a workspace without any is not needed"
            problems.append(Problem(key=f"{at}.members", words=words))
        if not project.tables:
            words = f"expected one or more of {', '.join(table.name for table in GIVEN)}"
            problems.append(Problem(key=f"{at}.tables", words=words))
        for member in project.members:
            if member.startswith(("pg-", "bascule")) or member == "postgres":
                words = f"expected a person; {member} is a name of the system's own"
                problems.append(Problem(key=f"{at}.members", words=words))
            first = of_member.setdefault(member, project.name)
            if first != project.name:
                words = (
                    f"expected a member of one project; {member} is in {first} too (give that"
                    " person a second login)"
                )
                problems.append(Problem(key=f"{at}.members", words=words))
    return problems
