"""What a member may ask, and what must be refused: probes of the seals, as data. Pure.

Each is a statement as one role, with what must come of it: ``refused`` (an error of privileges), a
number of rows, or ``same``: on every node, and at any time, the answer that it had at first. The
statements are those by which seals were got around in practice: other schemas, catalogues that show
passwords, files and programs of the server, another role, a setting that a policy might believe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.scenarios.access import (
    NEUTRAL,
    NO_ACCESS,
    AccessSpec,
    ProbeSpec,
    parse_expected,
)
from chaos.workloads.kind import WorkloadOptions
from chaos.workloads.warehouse import WarehouseOptions, stewardship
from chaos.workloads.warehouse.workspaces import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class SealProbe:
    """One question and its only right answer."""

    name: str
    role: str
    sql: str
    expect: str
    """``refused``, ``same``, or ``rows = n``."""


def probes_of(projects: Sequence[Project]) -> Iterator[SealProbe]:
    """The probes of every project, as its first member."""
    for project in projects:
        yield from _own(project)
        for other in projects:
            if other is not project:
                yield from _of_other(project, other)
        yield from _of_the_core(project)
        yield from _of_the_server(project)


_OF_DRILLS = (
    *("own-", "writes-nothing", "requests-", "becomes-", "reads-tolerance-", "reads-reponse-"),
    *("reads-warehouse-person", "reads-identity-patient", "server-passwords", "server-programs"),
    *("server-trail",),
)
"""What a drill asks of each project: one of each kind, since every node is asked every second."""


SEALED_PERSONS = (10, 20, 30)
"""Of those nobody withdraws (``load``)."""
SEALED_VALUES = tuple(f"H{person:09d}" for person in SEALED_PERSONS)
"""Their numbers in the hospital, which stand in ``identity.patient`` and nowhere else."""
_ABOUT_THEM = f"FROM identity.patient WHERE person_id IN {SEALED_PERSONS}"
_OF_THE_REGISTRAR = (
    SealProbe(
        name="registrar-looks-up",
        role=stewardship.REGISTRAR,
        sql=f"SELECT hospital_number {_ABOUT_THEM}",
        expect=f"rows = {len(SEALED_PERSONS)}",
    ),
    SealProbe(
        name="registrar-casts",
        role=stewardship.REGISTRAR,
        sql=f"SELECT hospital_number::integer {_ABOUT_THEM}",
        expect="error",
    ),
)
"""The one role besides the feeds' that may see identities. A wrong cast is an error with the value
in it, which a log may not have (checker ``trail-values``)."""


def access_of(options: WorkloadOptions) -> AccessSpec:
    """What a drill of the warehouse asks, where it has workspaces; else nothing."""
    assert isinstance(options, WarehouseOptions)
    if not options.workspaces:
        return NO_ACCESS
    projects = stewardship.drill_projects()
    probes = [
        _spec(probe)
        for project in projects
        for probe in probes_of(projects)
        if probe.name.removeprefix(f"{project.name}-").startswith(_OF_DRILLS)
        and probe.name.startswith(f"{project.name}-")
    ]
    return AccessSpec(
        probes=(*probes, *map(_spec, _OF_THE_REGISTRAR)),
        moving=stewardship.MOVING,
        sealed_values=SEALED_VALUES,
    )


def _spec(probe: SealProbe) -> ProbeSpec:
    expect, rows = parse_expected(probe.expect) or NEUTRAL
    return ProbeSpec(name=probe.name, role=probe.role, sql=(probe.sql,), expect=expect, rows=rows)


def probes_toml(projects: Sequence[Project]) -> str:
    """All of them as the tables ``[[probe]]`` of a scenario."""
    return "\n".join(
        f'[[probe]]\nname = "{probe.name}"\nas = "{probe.role}"\n'
        f"sql = {_quoted(probe.sql)}\nexpect = {_quoted(probe.expect)}\n"
        for probe in probes_of(projects)
    )


def _quoted(text: str) -> str:
    return f"'{text}'" if "'" not in text else f'"""{text}"""'


def _probe(project: Project, what: str, sql: str, expect: str = "refused") -> SealProbe:
    name = f"{project.name}-{what}"
    return SealProbe(name=name, role=project.members[0], sql=sql, expect=expect)


def _own(project: Project) -> Iterator[SealProbe]:
    for table in project.tables:
        sql = f"SELECT count(*), sum(person_id) FROM {project.schema}.{table}"
        yield _probe(project, f"own-{table}", sql, "same")
    own = f"INSERT INTO {project.schema}.{next(iter(project.tables))} SELECT"
    yield _probe(project, "writes-nothing", own)
    requests = f"SELECT FROM workspace.export_request WHERE project <> '{project.role}'"
    yield _probe(project, "requests-of-others", requests, "rows = 0")
    forged = f"{requests} AND set_config('app.project', '*', false) = '*'"
    yield _probe(project, "requests-by-a-setting", forged, "rows = 0")


def _of_other(project: Project, other: Project) -> Iterator[SealProbe]:
    for table in other.tables:
        sql = f"SELECT FROM {other.schema}.{table} LIMIT 1"
        yield _probe(project, f"reads-{other.name}-{table}", sql)
    yield _probe(project, f"becomes-{other.name}", f"SET ROLE {other.role}")
    forged = (
        "INSERT INTO workspace.export_request (project, what)"
        f" VALUES ('{other.role}', 'everything')"
    )
    yield _probe(project, f"asks-for-{other.name}", forged)


def _of_the_core(project: Project) -> Iterator[SealProbe]:
    for what in (
        *("warehouse.person", "warehouse.note", "identity.patient", "identity.withdrawal"),
        *("feed.record", "feed.record_key", "osiris.tumour_event", "osiris.biomarker"),
    ):
        sql = f"SELECT FROM {what} LIMIT 1"
        yield _probe(project, f"reads-{what.replace('.', '-')}", sql)
    statistics = (
        "SELECT FROM pg_stats WHERE schemaname IN ('warehouse', 'identity', 'feed', 'osiris')"
    )
    yield _probe(project, "statistics", statistics, "rows = 0")


def _of_the_server(project: Project) -> Iterator[SealProbe]:
    for what, sql in (
        ("passwords", "SELECT rolpassword FROM pg_authid"),
        ("files", "SELECT pg_read_file('PG_VERSION')"),
        ("folders", "SELECT pg_ls_dir('.')"),
        ("trail", "SELECT pg_ls_logdir()"),
        ("programs", "COPY (SELECT 1) TO PROGRAM 'true'"),
        ("server-files", "COPY (SELECT 1) TO '/tmp/out'"),
        ("large-objects", "SELECT lo_import('PG_VERSION')"),
        ("foreign-servers", "CREATE EXTENSION postgres_fdw"),
        ("tables-for-all", "CREATE TABLE public.everybody_sees_this (n integer)"),
        ("schemas", "CREATE SCHEMA mine"),
        ("roles", "CREATE ROLE accomplice"),
        ("settings", "ALTER SYSTEM SET log_connections = off"),
        ("superuser", "SET SESSION AUTHORIZATION postgres"),
    ):
        yield _probe(project, f"server-{what}", sql)
