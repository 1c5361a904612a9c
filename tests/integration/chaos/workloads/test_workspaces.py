"""Workspaces on a real primary and its replica: copies without who withdrew, and sealed."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, LiteralString

import anyio
import psycopg
import pytest
from psycopg import sql
from support.postgres.local_postgres import (
    PASSWORD,
    SUPERUSER,
    LocalPostgres,
)
from support.postgres.moved_dates import assert_moved
from support.postgres.patroni_answers import rest_api
from support.postgres.synchronous import wait_until
from support.postgres.warehouses import BLOCKED, ask, storage_on

from chaos.workloads.warehouse.again import erase
from chaos.workloads.warehouse.escapes import SealProbe, probes_of
from chaos.workloads.warehouse.fill import fill_through
from chaos.workloads.warehouse.generator import Generator
from chaos.workloads.warehouse.profiles import PROFILES, Profile
from chaos.workloads.warehouse.sealing import (
    SHARED_MIGRATIONS,
    SHARED_SERIES,
    drop_workspace,
    forget,
    make_workspace,
    migrations_of,
    pseudonym,
    series_of,
)
from chaos.workloads.warehouse.stewardship import (
    BORN_FROM,
    StewardAct,
    drill_key,
)
from chaos.workloads.warehouse.workspaces import load_workspaces
from replication import Transaction
from replication.schema import MigrationChanged, install, migrate

pytestmark = pytest.mark.anyio

WORKSPACES = Path(__file__).parents[4] / "examples" / "warehouse" / "workspaces.toml"
KEYS = {"reponse-tumeur-1": b"one" * 16, "tolerance": b"two" * 16}

Work = Callable[[Transaction], Awaitable[None]]


async def test_no_copy_has_who_withdrew_whoever_comes_first(
    pair: tuple[LocalPostgres, LocalPostgres], database: str
) -> None:
    primary, _ = pair
    project = StewardAct(site="lyon", number=1).project  # roles are of all databases
    key = drill_key(7, project.name)
    async with (
        rest_api(primary=True) as answers,
        storage_on(primary, answers, database) as storage,
    ):
        await install(storage)
        await fill_through(storage, Generator(Profile(name="tiny", patients=200), 7))
        await migrate(storage, SHARED_MIGRATIONS, series=SHARED_SERIES)
        born = f"SELECT person_id FROM warehouse.person WHERE year_of_birth >= {BORN_FROM}"
        [(early,), (late,), *others] = ask(primary, database, f"{born} ORDER BY person_id")
        assert others

        async def withdraw(person: int, transaction: Transaction) -> None:
            async def rows(
                statement: LiteralString, values: tuple[Any, ...]
            ) -> Sequence[tuple[Any, ...]]:
                return (await transaction.execute(statement, values)).rows

            await erase((f"w-{person}", "x", person, person, "erasure"), 7, rows)

        async def held(work: Work, done: anyio.Event, go: anyio.Event) -> None:
            """Do it, and commit when it is time."""

            async def apply(transaction: Transaction) -> None:
                await work(transaction)
                done.set()
                await go.wait()

            await storage.run(apply)

        async def copy(transaction: Transaction) -> None:
            await make_workspace(transaction, project, key)

        for first, second, whose in (
            (partial(withdraw, early), copy, early),
            (copy, partial(withdraw, late), late),
        ):
            done, go = anyio.Event(), anyio.Event()
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    group.start_soon(held, first, done, go)
                    await done.wait()
                    group.start_soon(storage.run, second)
                    await anyio.to_thread.run_sync(
                        lambda: wait_until(lambda: primary.query(BLOCKED))
                    )
                    go.set()
            found = ask(primary, database, f"SELECT person_id FROM {project.schema}.person")
            assert pseudonym(key, whose) not in {row[0] for row in found}
            if first is not copy:
                assert len(found) == len(others) + 1, "the copy waited, and has the others"
                await storage.run(partial(drop_workspace, project=project))
        left = ask(primary, database, f"SELECT count(*) FROM {project.schema}.person")
        assert left == [(len(others),)]


async def test_workspaces_are_sealed(
    pair: tuple[LocalPostgres, LocalPostgres], database: str
) -> None:
    primary, replica = pair
    projects = load_workspaces(WORKSPACES)
    response, tolerance = projects
    async with (
        rest_api(primary=True) as answers,
        storage_on(primary, answers, database) as storage,
    ):
        await install(storage)
        await fill_through(storage, Generator(PROFILES["smoke"], 7))
        await migrate(storage, SHARED_MIGRATIONS, series=SHARED_SERIES)
        for project in projects:
            wanted = migrations_of(project, KEYS[project.name])
            done = await migrate(storage, wanted, series=series_of(project))
            assert len(done.applied) == 3
            again = await migrate(storage, wanted, series=series_of(project))
            assert again.applied == ()
        other_key = migrations_of(tolerance, b"new" * 16)
        with pytest.raises(MigrationChanged):
            await migrate(storage, other_key, series=series_of(tolerance))
        for member in ("camille", "dominique", "sacha"):
            await storage.run(
                lambda tx, name=member: tx.execute(  # type: ignore[misc]
                    sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(name), sql.Literal(PASSWORD)
                    )
                )
            )
        asked = "INSERT INTO workspace.export_request (project, what) VALUES ('{}', 'a figure')"
        ask(primary, database, asked.format(response.role), "camille")
        ask(primary, database, asked.format(tolerance.role), "sacha")

        # The numbers are the projects' own (S6).
        found = {
            project.name: {
                row[0] for row in ask(primary, database, f"TABLE {project.schema}.person")
            }
            for project in projects
        }
        everybody = range(1, PROFILES["smoke"].patients + 1)
        numbers = {name: {pseudonym(key, p): p for p in everybody} for name, key in KEYS.items()}
        for name, persons in found.items():
            assert 100 < len(persons) < 6000
            assert persons <= numbers[name].keys()
        assert not found[response.name] & found[tolerance.name]
        for project in projects:
            query = partial(ask, primary, database)
            assert_moved(query, project, KEYS[project.name], numbers[project.name])
        everything = ask(
            primary,
            database,
            "SELECT count(*) FROM pg_class WHERE relname IN ('pseudonym', 'visit_number')",
        )
        assert everything == [(0,)], "nothing is left of who is who"
        stays = ask(
            primary,
            database,
            f"SELECT count(*) FROM {response.schema}.measurement AS m"
            f" LEFT JOIN {response.schema}.visit_occurrence AS v"
            " USING (visit_occurrence_id, person_id) WHERE v.person_id IS NULL",
        )
        assert stays == [(0,)]

        probes = list(probes_of(projects))
        assert len(probes) > 50
        written = primary.query("SELECT pg_current_wal_flush_lsn()::text")[0][0]
        wait_until(
            lambda: replica.query(
                sql.SQL("SELECT 1 WHERE pg_last_wal_replay_lsn() >= {}").format(
                    sql.Literal(written)
                )
            )
        )
        said = [{one.name: answer(node, database, one) for one in probes} for node in pair]
        assert {name: what for name, what in said[0].items() if what.startswith("wrong")} == {}
        assert said[1] == said[0], "every node gives the same answer (S1)"
        for opened, which in (
            (f"GRANT USAGE ON SCHEMA warehouse TO {tolerance.role}", None),
            (f"GRANT SELECT ON warehouse.person TO {tolerance.role}", "reads-warehouse-person"),
            (f"GRANT {response.role} TO sacha", "becomes-reponse-tumeur-1"),
        ):
            ask(primary, database, opened)
            if which is not None:
                [probe] = [one for one in probes if one.name == f"tolerance-{which}"]
                assert answer(primary, database, probe) == "wrong: it was answered"

        # An opposition reaches the copies too (S7).
        person = numbers["tolerance"][min(found["tolerance"])]
        forgotten = (
            await storage.run(lambda tx: forget(tx, tolerance, KEYS["tolerance"], person))
        ).value
        assert forgotten["person"] == 1
        [(left,)] = ask(primary, database, f"SELECT count(*) FROM {tolerance.schema}.person")
        assert left == len(found["tolerance"]) - 1


def answer(server: LocalPostgres, database: str, probe: SealProbe) -> str:
    """What came of a probe: ``refused`` or its rows, where they are as expected; or ``wrong``."""
    try:
        rows = ask(server, database, probe.sql, probe.role)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
        return "refused" if probe.expect == "refused" else f"wrong: {error}"
    except psycopg.Error as error:
        return f"wrong: {error}"
    if probe.expect == "refused":
        return "wrong: it was answered"
    if probe.expect == "same":
        return f"{rows}" if rows and rows[0][0] else "wrong: no rows"
    return probe.expect if probe.expect == f"rows = {len(rows)}" else f"wrong: {len(rows)} rows"


async def test_the_programs_of_the_example(
    pair: tuple[LocalPostgres, LocalPostgres], database: str, tmp_path: Path
) -> None:
    primary, _ = pair

    async def run_program(name: str, *arguments: str) -> tuple[int, str, str]:
        program = WORKSPACES.with_name(name)
        done = await anyio.run_process(
            [sys.executable, str(program), *arguments], cwd=tmp_path, check=False
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    opening = ("open_workspaces.py", str(WORKSPACES), "--keys", str(tmp_path))
    async with rest_api(primary=True) as answers:
        answers.server = primary
        member = answers.member(primary, site="paris")
        (tmp_path / "app.password").write_text(PASSWORD)
        (tmp_path / "bascule.toml").write_text(
            f'[bascule.storage]\nuser = "{SUPERUSER}"\ndbname = "{database}"\n'
            'password_file = "app.password"\nsettings.durability = "local"\n\n'
            f'[[bascule.storage.members]]\nname = "{member.name}"\nport = {member.port}\n'
            f'rest_url = "{member.rest_url}"\nhost = "{member.host}"\nsite = "paris"\n'
        )
        code, out, errors = await run_program("fill.py", "--profile", "smoke")
        assert (code, out) == (0, "6,000 patients, 242,508 rows\n"), errors
        code, _, errors = await run_program("fill.py", "--profile", "drill")
        assert code == 1
        assert "PreflightError: the warehouse was filled with the profile smoke" in errors
        code, _, errors = await run_program(*opening)
        assert code == 1
        assert "reponse-tumeur-1.key: there is no key" in errors
        for name, key in KEYS.items():
            path = tmp_path / f"{name}.key"
            path.write_bytes(key)
            path.chmod(0o600)
        code, out, errors = await run_program(*opening)
        assert (code, out) == (0, "reponse-tumeur-1: opened\ntolerance: opened\n"), errors
        code, out, _ = await run_program(*opening)
        assert (code, out) == (0, "reponse-tumeur-1: was open\ntolerance: was open\n")
        (tmp_path / "tolerance.key").chmod(0o644)
        code, _, errors = await run_program(*opening)
        assert code == 1
        assert "others may read this key; run  chmod 600" in errors
        assert "Traceback" not in errors
