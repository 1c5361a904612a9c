"""Workspaces as migrations: copies under pseudonyms of their own, and nobody else's rights.

A project gets a schema with *copies* of the columns that it names, of its cohort alone. Its role
may read that schema and has no right on the warehouse, the identities or the feeds. RLS would only
hide rows: it would show that there are others, and how many (``EXPLAIN``, statistics).

**Pseudonyms.** The number of a patient in a project is HMAC-SHA256 under the project's own key,
cut to 63 bits. The key stays outside the database: the numbers are computed here and reach the
server in a temporary table of the copying transaction, which is neither logged nor replicated, and
gone with its COMMIT. So neither a backup nor a replica has the key, or a list of who is who. Row
ids are numbered anew in the order of the pseudonyms, because the same id in two projects would join
them.

**Dates.** The day of a treatment is the same in every project, and would join two of them. So all
dates of a patient are moved by one number of days under the project's key, unless the project says
``dates = "exact"``: times between the events of a patient stay as they are. Whoever holds copies of
two projects may still compare these times, where both have several events of the same kind; that
nobody is in two projects is the seal for that.

Only ``workspace.export_request`` is shared: row level security, forced, with a policy for the role
of each project. It asks who the role is, never what a setting says: a member can set any setting.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import LiteralString

import anyio
from psycopg import sql

from chaos.errors import PreflightError
from chaos.wording import counted
from chaos.workloads.warehouse.concepts import concept
from chaos.workloads.warehouse.tables import VISIT, OmopTable, table_named
from chaos.workloads.warehouse.workspaces import Cohort, Project
from replication.schema import Migration
from replication.units.unit import Transaction

KEY_BYTES_MIN = 32
"""As long as what HMAC-SHA256 gives (RFC 2104, 3: shorter keys are weaker)."""

SHARED_SERIES = "workspaces"

_SHARED: tuple[LiteralString, ...] = (
    "CREATE SCHEMA workspace",
    "REVOKE ALL ON SCHEMA workspace FROM PUBLIC",
    # No sequence and no key that means anything: a duplicate would show that a row is there.
    """
    CREATE TABLE workspace.export_request (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        project name NOT NULL,
        member name NOT NULL DEFAULT current_user,
        asked_at timestamptz NOT NULL DEFAULT now(),
        what text NOT NULL
    )
    """,
    "ALTER TABLE workspace.export_request ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE workspace.export_request FORCE ROW LEVEL SECURITY",
)

_FUNCTIONS: tuple[LiteralString, ...] = (
    # A workspace that is closed meanwhile has nobody to forget.
    """
    CREATE FUNCTION workspace.forget(of_schema text, number bigint) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        copy text; deleted bigint; all_deleted bigint := 0;
    BEGIN
        -- By name: of a table that is dropped meanwhile the name is an error of its own.
        FOR copy IN SELECT format('%I.%I', n.nspname, c.relname)
            FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = of_schema AND c.relkind = 'r' ORDER BY c.relname
        LOOP
            BEGIN
                EXECUTE format('DELETE FROM %s WHERE person_id = $1', copy) USING number;
                GET DIAGNOSTICS deleted = ROW_COUNT;
                all_deleted := all_deleted + deleted;
            EXCEPTION WHEN undefined_table OR invalid_schema_name THEN NULL;
            END;
        END LOOP;
        RETURN all_deleted;
    END
    $function$
    """,
    """
    CREATE FUNCTION workspace.persons(of_schema text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        counted bigint;
    BEGIN
        EXECUTE format('SELECT count(*) FROM %I.person', of_schema) INTO counted;
        RETURN counted;
    END
    $function$
    """,
)
"""They have the rights of their caller."""

SHARED_MIGRATIONS = (
    Migration(id="0001-shared", statements=tuple(sql.SQL(text) for text in _SHARED)),
    Migration(id="0002-functions", statements=tuple(sql.SQL(text) for text in _FUNCTIONS)),
)

SHIFT_DAYS_MAX = 365
"""Back to another season at most, so ages and years change by no more than one; and never forward,
where a date in the future would tell that it was moved, and by how much at least."""

_MAKE_ROLE: LiteralString = """BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {text}) THEN CREATE ROLE {role}; END IF;
END"""


def pseudonym(key: bytes, person_id: int) -> int:
    """A patient's number in the project that has this key: from 0 to 2**63 - 1."""
    digest = hmac.digest(key, str(person_id).encode(), "sha256")
    return int.from_bytes(digest[:8], "big") >> 1


def days_back(key: bytes, person_id: int) -> int:
    """By how many days the dates of a patient are moved back in the project that has this key: from
    1 to ``SHIFT_DAYS_MAX``."""
    digest = hmac.digest(key, f"days {person_id}".encode(), "sha256")
    return 1 + int.from_bytes(digest[:8], "big") % SHIFT_DAYS_MAX


def series_of(project: Project) -> str:
    """The series of a project's migrations: each project has its own, so they come and go."""
    return f"workspace-{project.name}"


def migrations_of(project: Project, key: bytes) -> tuple[Migration, ...]:
    """What makes a workspace, after ``SHARED_MIGRATIONS`` and the warehouse itself.

    Another key, or another choice of columns, is another workspace: it is refused as a migration
    that was changed, because the members would take the new numbers for other patients.

    Args:
        project: the workspace.
        key: its own, of ``KEY_BYTES_MIN`` bytes at least; never used for another project.

    Raises:
        PreflightError: the key is too short.
    """
    if len(key) < KEY_BYTES_MIN:
        words = (
            f"the key of {project.name} has {counted(len(key), 'byte')}, it needs {KEY_BYTES_MIN}"
        )
        raise PreflightError(f"{words}: make one with  openssl rand -out FILE {KEY_BYTES_MIN}")
    spec = json.dumps([project.schema, asdict(project.cohort), project.dates, dict(project.tables)])
    version = hmac.new(key, spec.encode(), hashlib.sha256).hexdigest()
    return (
        Migration(id="0001-roles", statements=tuple(_roles(project))),
        Migration(id="0002-copies", function=partial(_copy, project, key), version=version),
        Migration(id="0003-requests", statements=tuple(_policy(project))),
    )


def _roles(project: Project) -> Iterator[sql.Composed]:
    role, schema = sql.Identifier(project.role), sql.Identifier(project.schema)
    yield _make_role(project.role)
    for member in project.members:
        yield _make_role(member)
        yield sql.SQL("GRANT {} TO {}").format(role, sql.Identifier(member))
    yield sql.SQL("CREATE SCHEMA {}").format(schema)
    yield sql.SQL("REVOKE ALL ON SCHEMA {} FROM PUBLIC").format(schema)
    yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role)


def _make_role(name: str) -> sql.Composed:
    made = sql.SQL(_MAKE_ROLE).format(text=sql.Literal(name), role=sql.Identifier(name))
    return sql.SQL("DO {}").format(sql.Literal(made.as_string()))


def _policy(project: Project) -> Iterator[sql.Composed]:
    role, text = sql.Identifier(project.role), sql.Literal(project.role)
    yield sql.SQL("GRANT USAGE ON SCHEMA workspace TO {}").format(role)
    yield sql.SQL("GRANT SELECT, INSERT ON workspace.export_request TO {}").format(role)
    yield sql.SQL(
        "CREATE POLICY {} ON workspace.export_request TO {}"
        " USING (project = {}) WITH CHECK (project = {} AND member = current_user)"
    ).format(role, role, text, text)


def _pseudonyms(key: bytes, persons: Sequence[int]) -> bytes:
    """The lines of the table ``pseudonym``, as COPY reads them."""
    lines = (f"{one}\t{pseudonym(key, one)}\t{days_back(key, one)}\n" for one in persons)
    return "".join(lines).encode()


async def _copy(project: Project, key: bytes, transaction: Transaction) -> None:
    """Fill the schema of a project."""
    where, values = _where(project.cohort)
    # Locked, so that a withdrawal comes before, and the patient is not copied; or afterwards, and
    # finds the copy.
    chosen = sql.SQL(
        "SELECT p.person_id FROM warehouse.person AS p WHERE {} FOR KEY SHARE OF p"
    ).format(where)
    persons = [int(row[0]) for row in (await transaction.execute(chosen, values)).rows]
    await transaction.execute(
        "CREATE TEMPORARY TABLE pseudonym (person_id integer PRIMARY KEY,"
        " pseudonym bigint NOT NULL UNIQUE, days_back integer NOT NULL) ON COMMIT DROP"
    )
    # Beside the event loop: of a cohort of 200,000 patients this takes a second.
    lines = await anyio.to_thread.run_sync(_pseudonyms, key, persons)
    await transaction.copy_in(sql.SQL("COPY pseudonym FROM STDIN"), (lines,))
    await transaction.execute(
        "CREATE TEMPORARY TABLE visit_number ON COMMIT DROP AS"
        " SELECT v.visit_occurrence_id,"
        " row_number() OVER (ORDER BY p.pseudonym, v.visit_occurrence_id) AS number"
        " FROM warehouse.visit_occurrence AS v JOIN pseudonym AS p USING (person_id)"
    )
    for name, columns in project.tables.items():
        table = table_named(name)
        assert table is not None  # only known ones can be named
        await transaction.execute(_copy_table(project, table, columns))
        at = sql.Identifier(project.schema, name)
        await transaction.execute(sql.SQL("CREATE INDEX ON {} (person_id)").format(at))
        if table.key in columns:  # large reads go along it
            unique = sql.SQL("CREATE UNIQUE INDEX ON {} ({})")
            await transaction.execute(unique.format(at, sql.Identifier(table.key)))
        await transaction.execute(
            sql.SQL("GRANT SELECT ON {} TO {}").format(at, sql.Identifier(project.role))
        )


def _where(cohort: Cohort) -> tuple[sql.Composed, Mapping[str, object]]:
    parts: list[sql.SQL] = [sql.SQL("true")]
    values: dict[str, object] = {}
    if cohort.condition is not None:
        parts.append(
            sql.SQL(
                "EXISTS (SELECT FROM warehouse.condition_occurrence AS c"
                " WHERE c.person_id = p.person_id AND c.condition_concept_id = %(condition)s)"
            )
        )
        values["condition"] = concept(cohort.condition)
    if cohort.born_before is not None:
        parts.append(sql.SQL("p.year_of_birth < %(born_before)s"))
        values["born_before"] = cohort.born_before
    if cohort.born_from is not None:
        parts.append(sql.SQL("p.year_of_birth >= %(born_from)s"))
        values["born_from"] = cohort.born_from
    if cohort.one_in is not None:
        parts.append(sql.SQL("mod(p.person_id, %(one_in)s) = 0"))
        values["one_in"] = cohort.one_in
    return sql.SQL(" AND ").join(parts), values


def _copy_table(project: Project, table: OmopTable, columns: Sequence[str]) -> sql.Composed:
    """``CREATE TABLE ... AS`` of the columns: rows and stays are numbered anew, dates moved."""
    taken = [sql.SQL("p.pseudonym AS person_id")]
    joins: list[sql.Composable] = []
    key = sql.Identifier("t", table.key)
    for column in columns:
        name = sql.Identifier(column)
        if column == VISIT.key:
            taken.append(sql.SQL("n.number AS {}").format(name))  # type: ignore[arg-type]
            joins.append(
                sql.SQL(" JOIN visit_number AS n ON n.visit_occurrence_id = t.visit_occurrence_id")
            )
        elif column == table.key:
            number = sql.SQL("row_number() OVER (ORDER BY p.pseudonym, {}) AS {}")
            taken.append(number.format(key, name))  # type: ignore[arg-type]
        elif project.dates == "shifted" and dict(table.columns)[column] == "date":
            taken.append(sql.SQL("t.{} - p.days_back AS {}").format(name, name))  # type: ignore[arg-type]
        else:
            taken.append(sql.SQL("t.{}").format(name))  # type: ignore[arg-type]
    return sql.SQL(
        "CREATE TABLE {} AS SELECT {} FROM {} AS t JOIN pseudonym AS p USING (person_id){}"
        " ORDER BY p.pseudonym, {}"
    ).format(
        sql.Identifier(project.schema, table.name),
        sql.SQL(", ").join(taken),
        table.identifier,
        sql.Composed(joins),
        key,
    )


async def make_workspace(transaction: Transaction, project: Project, key: bytes) -> None:
    """Open a workspace in one transaction, without migrations: for one that is closed again. It has
    no part in ``workspace.export_request``.

    Args:
        transaction: of a role that may make roles and schemas, and read the warehouse.
        project: the workspace; it is not there.
        key: its own.
    """
    for statement in _roles(project):
        await transaction.execute(statement)
    await _copy(project, key, transaction)


async def drop_workspace(transaction: Transaction, project: Project) -> None:
    """Close a workspace: its copies and its role go, its members stay."""
    schema, role = sql.Identifier(project.schema), sql.Identifier(project.role)
    await transaction.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))
    await transaction.execute(sql.SQL("DROP ROLE {}").format(role))


async def forget(
    transaction: Transaction, project: Project, key: bytes, person_id: int
) -> Mapping[str, int]:
    """Delete a patient from the copies of a project, for an opposition or an erasure.

    Only who has the key can find the patient there. Run it in the unit of work that takes the
    patient out of the warehouse.

    Returns:
        By table, how many rows went.
    """
    number = pseudonym(key, person_id)
    deleted = {}
    for name in project.tables:
        statement = sql.SQL("DELETE FROM {} WHERE person_id = %s").format(
            sql.Identifier(project.schema, name)
        )
        deleted[name] = (await transaction.execute(statement, (number,))).rowcount
    return deleted
