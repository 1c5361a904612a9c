"""The examples, each as a process of its own, on a real primary and its synchronous replica."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from psycopg import sql
from support.postgres import wal_receiver
from support.postgres.local_postgres import LocalPostgres, local_postgres, replica_of
from support.postgres.patroni_answers import rest_api
from support.postgres.synchronous import wait_until

from replication.units.id_row import SCHEMA_STATEMENTS

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
APP_PASSWORD = "not-a-secret-either"
ANYBODY = "ANY 1 (*)"
DEADLINE_S = 60.0
WAITING = "SELECT 1 FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'SyncRep'"
"""The commits of ours that wait for a standby."""


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A primary with the tables of the examples, and its synchronous replica."""
    folder = tmp_path_factory.mktemp("pair")
    with local_postgres(folder) as primary, replica_of(primary, folder) as replica:
        primary.set("synchronous_standby_names", ANYBODY)
        primary.query(
            sql.SQL("CREATE ROLE app LOGIN PASSWORD {}").format(sql.Literal(APP_PASSWORD))
        )
        schema = (EXAMPLES / "schema.sql").read_text(encoding="utf-8")
        for _ in range(2):  # is idempotent
            primary.query(sql.Composed([sql.SQL(schema)]))  # type: ignore[arg-type]
        yield primary, replica


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where an example runs, and what it speaks to."""

    folder: Path
    primary: LocalPostgres
    replica: LocalPostgres

    @property
    def log(self) -> Path:
        """What the examples wrote to the standard error: the log of the storage layer."""
        return self.folder / "stderr.log"

    async def start(self, example: str, *arguments: str) -> anyio.abc.Process:
        """An example as a process of its own, in a folder that has ``bascule.toml``."""
        with self.log.open("ab") as log:
            return await anyio.open_process(
                [sys.executable, str(EXAMPLES / example), *arguments],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    async def run(self, example: str, *arguments: str) -> tuple[int, str]:
        """The exit code, and what it printed."""
        with anyio.fail_after(DEADLINE_S):
            async with await self.start(example, *arguments) as process:
                assert process.stdout is not None
                text = b"".join([chunk async for chunk in process.stdout]).decode()
                return await process.wait(), text

    async def visits(self, patient: str) -> int:
        """How often it was done."""
        query = "SELECT count(*) FROM visit WHERE patient = %s"
        rows = await anyio.to_thread.run_sync(self.primary.query, query, (patient,))
        return int(rows[0][0])

    async def wait_for_standby(self) -> None:
        """Until a commit of ours waits for a standby that is not there."""
        with anyio.fail_after(DEADLINE_S):
            while not await anyio.to_thread.run_sync(self.primary.query, WAITING):
                await anyio.sleep(0.02)


@pytest.fixture
async def bench(pair: tuple[LocalPostgres, LocalPostgres], tmp_path: Path) -> AsyncIterator[Bench]:
    """The configuration, as docs/reference/settings.md describes it."""
    primary, replica = pair
    async with rest_api(primary=True) as first, rest_api(primary=False) as second:
        first.server, second.server = primary, replica
        (tmp_path / "app.password").write_text(APP_PASSWORD)
        members = [first.member(primary, site="paris"), second.member(replica, site="orsay")]
        tables = [
            f'[[bascule.storage.members]]\nname = "{member.name}"\nrest_url = "{member.rest_url}"\n'
            f'host = "{member.host}"\nport = {member.port}\nsite = "{member.site}"\n'
            for member in members
        ]
        head = '[bascule.storage]\nuser = "app"\ndbname = "postgres"\n'
        head += 'password_file = "app.password"\nsettings.prefer_site = "orsay"\n\n'
        (tmp_path / "bascule.toml").write_text(head + "\n".join(tables))
        yield Bench(folder=tmp_path, primary=primary, replica=replica)


@contextmanager
def no_standby(server: LocalPostgres) -> Iterator[None]:
    """COMMIT waits for a standby that does not exist; at the end none does any more."""
    with wal_receiver.no_standby(server, back=ANYBODY):
        yield
    wait_until(lambda: not server.query(WAITING))  # one whose client is gone waits like any other


@pytest.mark.parametrize("page", ["examples/schema.sql", "docs/use/storage.md"])
def test_the_schema_is_the_one_of_the_storage_layer(page: str) -> None:
    schema = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    for statement in SCHEMA_STATEMENTS:
        assert " ".join(statement.split()) + ";" in schema


def test_the_quick_start_of_the_page_is_the_example_in_ten_lines() -> None:
    page = (ROOT / "docs" / "use" / "storage.md").read_text(encoding="utf-8")
    code = (EXAMPLES / "quickstart.py").read_text(encoding="utf-8").split('"""\n', 2)[-1]
    assert [line for line in code.splitlines() if line.strip()] in [
        [line for line in block.splitlines() if line.strip()]
        for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    ]
    assert len([line for line in code.splitlines() if line.strip()]) == 10


async def test_the_quick_start_runs(bench: Bench) -> None:
    code, text = await bench.run("quickstart.py")
    assert re.fullmatch(r"applied on db-a at [0-9A-F/]+; rows on db-[ab]: 1\n", text), text
    assert code == 0
    assert await bench.visits("Marie") == 1


async def test_another_process_reads_what_the_first_wrote(bench: Bench) -> None:
    assert (await bench.run("read_your_writes.py", "write", "Paul", "cough"))[0] == 0
    code, text = await bench.run("read_your_writes.py", "read")
    assert code == 0, text
    assert re.fullmatch(r"db-[ab] \((primary|replica)\) shows visit \d+: Paul, cough\n", text)


async def test_a_replica_that_lacks_the_write_is_passed_over(bench: Bench) -> None:
    await anyio.to_thread.run_sync(bench.replica.query, "SELECT pg_wal_replay_pause()")
    try:
        assert (await bench.run("read_your_writes.py", "write", "Anne", "fall"))[0] == 0
        code, text = await bench.run("read_your_writes.py", "read")
    finally:
        await anyio.to_thread.run_sync(bench.replica.query, "SELECT pg_wal_replay_resume()")
    assert code == 0, text
    assert text.startswith("db-a (primary) shows")


async def test_a_job_given_twice_is_done_once(bench: Bench) -> None:
    first = await bench.run("exactly_once.py", "do", "job-1", "Jean", "burn")
    second = await bench.run("exactly_once.py", "do", "job-1", "Jean", "burn")
    assert (first, second) == ((0, "job-1 is done\n"), (0, "job-1 was done before\n"))
    assert await bench.run("exactly_once.py", "ask", "job-1") == (0, "job-1 is done\n")
    assert await bench.visits("Jean") == 1


async def test_a_job_that_was_asked_about_first_can_still_be_done(bench: Bench) -> None:
    asked = await bench.run("exactly_once.py", "ask", "job-2")
    assert asked == (1, "job-2 is not done, and no attempt is on its way\n")
    assert await bench.run("exactly_once.py", "do", "job-2", "Rose", "cut") == (
        0,
        "job-2 is done\n",
    )
    assert await bench.visits("Rose") == 1


async def test_nobody_knows_until_a_standby_is_back(bench: Bench) -> None:
    doing = ("do", "job-3", "Luc", "cold")
    with no_standby(bench.primary):
        code, text = await bench.run("exactly_once.py", "--deadline-s", "5", *doing)
        assert code == 4, text
        assert text.startswith("job-3 may have been done")
    assert (await bench.run("exactly_once.py", *doing))[0] == 0
    assert await bench.run("exactly_once.py", "ask", "job-3") == (0, "job-3 is done\n")
    assert await bench.visits("Luc") == 1


async def test_killed_in_its_commit_and_given_to_another_process(bench: Bench) -> None:
    doing = ("do", "job-4", "Zoé", "check")
    with no_standby(bench.primary):
        async with await bench.start("exactly_once.py", *doing) as process:
            await bench.wait_for_standby()
            process.kill()
            assert await process.wait() == -signal.SIGKILL
    code, text = await bench.run("exactly_once.py", *doing)
    assert (code, text) == (0, "job-4 was done before\n")
    assert await bench.visits("Zoé") == 1
