"""The notebook of the warehouse: a member reads a cohort from the replica, and the primary dies."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.commands.notebook import code_cells
from support.postgres.local_postgres import PASSWORD, LocalPostgres, local_postgres, replica_of
from support.postgres.patroni_answers import rest_api
from support.postgres.read_pair import CREDENTIALS, SETTINGS, replayed_by

from chaos.workloads.warehouse.fill import fill_through
from chaos.workloads.warehouse.generator import Generator
from chaos.workloads.warehouse.profiles import PROFILES
from chaos.workloads.warehouse.sealing import (
    SHARED_MIGRATIONS,
    SHARED_SERIES,
    migrations_of,
    pseudonym,
    series_of,
)
from chaos.workloads.warehouse.workspaces import Project, load_workspaces
from replication import Member, Storage
from replication.schema import install, migrate

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parents[2] / "examples" / "warehouse"
NOTEBOOK = FOLDER / "cohort.ipynb"
KEY = b"a key of the project alone, 32 bytes long"
DEADLINE_S = 180.0

STRIKE = """
import pathlib, sys, time
pathlib.Path("strike").touch()
deadline = time.monotonic() + 60
while not pathlib.Path("struck").exists():
    if time.monotonic() > deadline:
        sys.exit("nobody has stopped the primary")
    time.sleep(0.02)
"""
"""What stands for ``bascule strike``: the test stops the primary meanwhile."""

IN_THE_WAREHOUSE = """
SELECT (m.measurement_date - d.diagnosed) / 91 AS quarter, avg(m.value_as_number), count(*)
FROM warehouse.measurement AS m JOIN (
    SELECT person_id, min(condition_start_date) AS diagnosed
    FROM warehouse.condition_occurrence GROUP BY person_id
) AS d USING (person_id)
WHERE m.measurement_date - d.diagnosed BETWEEN 0 AND 3 * 364 - 1 AND person_id = ANY (%s)
GROUP BY 1 ORDER BY 1
"""
"""The same question, asked of the facts themselves, with their true dates."""


async def open_workspace(primary: LocalPostgres, members: list[Member], project: Project) -> None:
    """A warehouse of 6,000 patients, and the workspace of one project, with its first member."""
    async with Storage(members, CREDENTIALS, settings=SETTINGS) as storage:
        await install(storage)
        await fill_through(storage, Generator(PROFILES["smoke"], 7))
        await migrate(storage, SHARED_MIGRATIONS, series=SHARED_SERIES)
        await migrate(storage, migrations_of(project, KEY), series=series_of(project))
    primary.query(f"ALTER ROLE {project.members[0]} LOGIN PASSWORD '{PASSWORD}'")


def settings_of(members: list[Member], user: str) -> str:
    """``bascule.toml`` of a member of the project, who is in Orsay."""
    head = f'[bascule.storage]\nuser = "{user}"\ndbname = "postgres"\n'
    head += 'password_file = "app.password"\nsettings.prefer_site = "orsay"\n'
    return head + "\n".join(
        f'[[bascule.storage.members]]\nname = "{one.name}"\nrest_url = "{one.rest_url}"\n'
        f'host = "{one.host}"\nport = {one.port}\nsite = "{one.site}"\n'
        for one in members
    )


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = code_cells(NOTEBOOK)
    assert len(cells) == 3
    for number, cell in enumerate(cells):
        compile(cell, f"cell {number}", "exec")


async def test_the_cohort_is_whole_though_the_primary_dies(tmp_path: Path) -> None:
    project = load_workspaces(FOLDER / "workspaces.toml")[0]
    with (
        local_postgres(tmp_path) as primary,
        replica_of(primary, tmp_path) as replica,
    ):
        async with rest_api(primary=True) as first, rest_api(primary=False) as second:
            first.server, second.server = primary, replica
            members = [first.member(primary, site="paris"), second.member(replica, site="orsay")]
            await open_workspace(primary, members, project)
            table = f"{project.schema}.measurement"
            [(rows,)] = primary.query(f"SELECT count(*) FROM {table}")
            assert rows > 15_000, "more than the stream reads ahead"
            chosen = {row[0] for row in primary.query(f"TABLE {project.schema}.person")}
            persons = [
                one
                for one in range(1, PROFILES["smoke"].patients + 1)
                if pseudonym(KEY, one) in chosen
            ]
            expected = primary.query(IN_THE_WAREHOUSE, (persons,))
            await replayed_by(replica, primary)
            (tmp_path / "bascule.toml").write_text(settings_of(members, project.members[0]))
            (tmp_path / "app.password").write_text(PASSWORD)

            async def break_primary() -> None:
                while not (tmp_path / "strike").exists():
                    await anyio.sleep(0.02)
                await anyio.to_thread.run_sync(primary.stop)
                first.status = 503
                (tmp_path / "struck").touch()

            with anyio.move_on_after(DEADLINE_S) as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(break_primary)
                    done = await anyio.run_process(
                        [sys.executable, "-m", "support.commands.notebook", str(NOTEBOOK)],
                        cwd=tmp_path,
                        env={
                            "BREAK": shlex.join([sys.executable, "-c", STRIKE]),
                            "PYTHONPATH": f"{NOTEBOOK.parents[2]}:{NOTEBOOK.parents[2] / 'tests'}",
                        },
                        check=False,
                    )
                    group.cancel_scope.cancel()
            assert not scope.cancelled_caught, f"the notebook did not end within {DEADLINE_S:g} s"
            assert done.returncode == 0, done.stderr.decode()
            gone, read, *lines = done.stdout.decode().splitlines()
            assert gone == "the primary is gone"
            assert read.startswith(f"{rows} measurements in ")
            assert read.endswith(replica.name), "the rest came from the replica, if not all of it"
            assert len(expected) > 3
            assert [tuple(line.split()[:3]) for line in lines] == [
                (str(quarter), f"{mean:.3f}", str(count)) for quarter, mean, count in expected
            ]
