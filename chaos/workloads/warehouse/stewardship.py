"""What a steward does to workspaces while a drill runs: opens, admits, dismisses, closes.

Every site has projects of its own, one after another, each in four acts. Each act is one unit of
work and leaves a row, so that a node can be held against itself: its roles, schemas and memberships
must be what the acts say that it has. Every second project is closed; those that stay open must
have lost who has withdrawn meanwhile (``forget_everywhere``).

A copy locks the persons of its cohort (``sealing``), and a withdrawal locks its person before it
looks which workspaces there are. So either the withdrawal waits, and finds the new copy; or the
copy waits, and finds nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal, LiteralString

from psycopg import sql

from chaos.evidence.records import Scalar
from chaos.workloads.base import WorkResult
from chaos.workloads.warehouse.sealing import (
    SHARED_MIGRATIONS,
    SHARED_SERIES,
    drop_workspace,
    make_workspace,
    migrations_of,
    pseudonym,
    series_of,
)
from chaos.workloads.warehouse.workspaces import Cohort, Project, parse_workspaces
from replication import Transaction
from replication.schema import Migration, migrate
from replication.wire import Session

ActName = Literal["open", "admit", "dismiss", "close"]
ACTS: tuple[ActName, ...] = ("open", "admit", "dismiss", "close")
"""In the order of a project's life. Of every second project the last one is another "admit", so
that it stays open with its member."""

REGISTRAR = "registrar"
"""May see who the patients are, and is in no project."""
_REGISTRAR_MIGRATIONS = (
    Migration(
        id="0001-registrar",
        statements=(
            sql.SQL("CREATE ROLE registrar LOGIN NOINHERIT"),
            sql.SQL("GRANT USAGE ON SCHEMA identity TO registrar"),
            sql.SQL("GRANT SELECT ON identity.patient TO registrar"),
            # An error's message has the value that it is about. Others may see no such value, and
            # that they were refused is known by their errors alone.
            sql.SQL("ALTER ROLE registrar SET log_min_messages = 'log'"),
        ),
    ),
)

SOURCE = "drill-workspaces.toml"
PREFIX = "ws_steward_"
"""Of the schemas and roles that come and go; the member of a site's projects is ``steward_<site>``.
"""
MOVING = (PREFIX, "steward_")
BORN_FROM = 1990
"""The cohort of a steward's projects: a tenth to a fifth of the patients."""

TABLE: LiteralString = """
    CREATE TABLE IF NOT EXISTS bascule.warehouse_stewardship (
        id text NOT NULL, site text NOT NULL, number integer NOT NULL, project text NOT NULL,
        act text NOT NULL
    )
"""
GRANTS: tuple[LiteralString, ...] = (
    "GRANT SELECT, INSERT ON bascule.warehouse_stewardship TO {role}",
    "ALTER ROLE {role} CREATEROLE",
    "GRANT CREATE ON DATABASE postgres TO {role}",
    "GRANT USAGE ON SCHEMA workspace TO {role}",
)
"""Of the load's role, which is a steward too."""
_RECORD = (
    "INSERT INTO bascule.warehouse_stewardship (id, site, number, project, act)"
    " VALUES (%s, %s, %s, %s, %s)"
)
_COPIES: LiteralString = (
    r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'ws\_steward\_%%' ORDER BY nspname"
)
_FORGET: LiteralString = "SELECT workspace.forget(%s, %s)"

FINAL: LiteralString = r"""
    UNION ALL
    SELECT 'row', s.id, json_build_object('op', 'stewardship', 'site', s.site,
        'number', s.number, 'project', s.project, 'act', s.act)::text
    FROM bascule.warehouse_stewardship AS s
    UNION ALL
    SELECT 'state', 'workspace:' || r.rolname, json_build_object(
        'schema', n.oid IS NOT NULL,
        'members', (SELECT coalesce(json_agg(m.member::regrole::text ORDER BY 1), '[]')
            FROM pg_auth_members AS m
            WHERE m.roleid = r.oid AND m.member::regrole::text LIKE 'steward\_%'),
        'persons', CASE WHEN n.oid IS NOT NULL THEN workspace.persons(r.rolname) END)::text
    FROM pg_roles AS r LEFT JOIN pg_namespace AS n ON n.nspname = r.rolname
    WHERE r.rolname LIKE 'ws\_steward\_%'
    UNION ALL
    SELECT 'state', 'workspace-without-role:' || n.nspname, '1' FROM pg_namespace AS n
    WHERE n.nspname LIKE 'ws\_steward\_%'
        AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = n.nspname)
    UNION ALL
    SELECT 'state', 'workspace-cohort', count(*)::text FROM warehouse.person
    WHERE year_of_birth >= {born_from}
"""
"""What the final read has besides, where workspaces are open."""


def drill_projects() -> tuple[Project, ...]:
    """The projects that a drill opens before its load, of ``drill-workspaces.toml``."""
    path = files("chaos.workloads.warehouse") / SOURCE
    return parse_workspaces(path.read_text(encoding="utf-8"), SOURCE)


def drill_key(seed: int, project: str) -> bytes:
    """The key of a project in a drill: every load process has it, and no database. It follows from
    the seed, because the patients are made up; a real one is random, in a file of its own."""
    return hashlib.sha256(f"{seed} {project}".encode()).digest()


async def open_drill_projects(admin: Session, seed: int) -> None:
    """Make the projects of a drill. Idempotent.

    Raises:
        psycopg.Error: the server refused, or was lost.
        MigrationFailed: the same, of a migration.
    """
    await migrate(admin, SHARED_MIGRATIONS, series=SHARED_SERIES)
    await migrate(admin, _REGISTRAR_MIGRATIONS, series="warehouse-registrar")
    for project in drill_projects():
        migrations = migrations_of(project, drill_key(seed, project.name))
        await migrate(admin, migrations, series=series_of(project))


@dataclass(frozen=True, slots=True, kw_only=True)
class StewardAct:
    """The ``number``-th act of a site's steward, from 1 on."""

    site: str
    number: int

    @property
    def act(self) -> ActName:
        """What is done."""
        act = ACTS[(self.number - 1) % len(ACTS)]
        return "admit" if act == "close" and self._project_number % 2 else act

    @property
    def _project_number(self) -> int:
        return (self.number - 1) // len(ACTS) + 1

    @property
    def id(self) -> str:
        """Of the operation."""
        return f"steward-{self.site}-{self.number}"

    @property
    def project(self) -> Project:
        """Whose workspace it is done to."""
        member = f"steward-{self.site}"
        return Project(
            name=f"{member}-{self._project_number}",
            title=f"Projet {self._project_number} de {self.site}",
            members=(member.replace("-", "_"),),
            cohort=Cohort(born_from=BORN_FROM),
            tables={"person": ("year_of_birth",), "death": ("death_date",)},
        )

    @property
    def about(self) -> dict[str, Scalar]:
        """For the history."""
        return {
            "op": "stewardship",
            "site": self.site,
            "number": self.number,
            "project": self.project.role,
            "act": self.act,
        }

    async def apply(self, seed: int, transaction: Transaction) -> WorkResult:
        """Carry it out, in one transaction with its record. What is done already is left so: an act
        whose forerunner was not applied finds nothing to do it to, and still leaves its row."""
        project = self.project
        [(is_open,)] = (
            await transaction.execute("SELECT to_regnamespace(%s) IS NOT NULL", (project.schema,))
        ).rows
        role, member = sql.Identifier(project.role), sql.Identifier(project.members[0])
        if self.act == "open" and not is_open:
            await make_workspace(transaction, project, drill_key(seed, project.name))
            # The member comes with the next act.
            await transaction.execute(sql.SQL("REVOKE {} FROM {}").format(role, member))
        elif self.act == "admit" and is_open:
            await transaction.execute(sql.SQL("GRANT {} TO {}").format(role, member))
        elif self.act == "dismiss" and is_open:
            await transaction.execute(sql.SQL("REVOKE {} FROM {}").format(role, member))
        elif self.act == "close" and is_open:
            await drop_workspace(transaction, project)
        values = (self.id, self.site, self.number, project.role, self.act)
        await transaction.execute(_RECORD, values)
        return {}


AskRows = Callable[[LiteralString, tuple[Any, ...]], Awaitable[Sequence[tuple[Any, ...]]]]
"""Runs a statement with its parameters, and returns its rows."""


async def forget_everywhere(seed: int, person: int, ask: AskRows) -> None:
    """Delete a patient from the copies of every steward's project that there is now. Only after the
    patient's row in the warehouse was locked (``feed.withdraw``)."""
    for (schema,) in await ask(_COPIES, ()):
        name = str(schema).removeprefix("ws_").replace("_", "-")
        number = pseudonym(drill_key(seed, name), person)
        await ask(_FORGET, (schema, number))


def final_of(statement: LiteralString) -> LiteralString:
    """What the final read has besides, put into the union of its statement."""
    end: LiteralString = ") AS everything"
    born_from: LiteralString = "1990"
    assert int(born_from) == BORN_FROM
    return statement.replace(end, FINAL.replace("{born_from}", born_from) + end)
