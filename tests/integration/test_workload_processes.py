"""The load process and the final reader, as the drill starts them, against a real PostgreSQL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import anyio
import pytest
from support.local_postgres import (
    PASSWORD,
    SUPERUSER,
    LocalPostgres,
    free_port,
    local_postgres,
    replica_of,
)
from support.patroni_answers import Answers, rest_api

from chaos.evidence.read_final import read_final
from chaos.evidence.read_history import read_history
from chaos.evidence.records import FinalRead, SiteHistory
from chaos.workloads.prepare import prepare
from replication import Credentials
from replication.wire import Address, session_to

pytestmark = pytest.mark.anyio

ROLE, ROLE_PASSWORD = "bascule_app", "app-password"
RATE_PER_S = 100


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    folder = tmp_path_factory.mktemp("pair")
    with local_postgres(folder) as primary, replica_of(primary, folder) as replica:
        yield primary, replica


@pytest.fixture
async def rest(pair: tuple[LocalPostgres, LocalPostgres]) -> AsyncIterator[Answers]:
    """The primary's REST API; the ledger is empty."""
    primary, _ = pair
    address = Address(node=primary.name, host="127.0.0.1", port=primary.port)
    admin = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
    async with session_to(address, admin) as session, rest_api(primary=True) as answers:
        await prepare(session, role=ROLE, password=ROLE_PASSWORD)
        await session.fetch("TRUNCATE bascule.ledger, bascule.unit_of_work")
        yield answers


def load_config(rest: Answers, primary: LocalPostgres, folder: Path) -> dict[str, object]:
    return {
        "site": "paris",
        "members": [
            {
                "name": primary.name,
                "rest_url": f"http://127.0.0.1:{rest.port}",
                "host": "127.0.0.1",
                "port": primary.port,
            }
        ],
        "user": ROLE,
        "password": ROLE_PASSWORD,
        "dbname": "postgres",
        "rate_per_s": RATE_PER_S,
        "workers": 2,
        "seed": 7,
        "deadline_s": 30,
        "history_path": str(folder / "history-paris.jsonl"),
        "drain_s": 0.5,
    }


async def run_load(
    config: Mapping[str, object], *, seconds: int
) -> tuple[SiteHistory, list[dict[str, object]]]:
    """Load for some live lines, then SIGTERM: the history, and the lines."""
    lines: list[dict[str, object]] = []
    async with await anyio.open_process(
        [sys.executable, "-m", "chaos.workloads.load"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        await process.stdin.send(f"{json.dumps(config)}\n".encode())
        buffer = b""
        with anyio.fail_after(20):
            while len(lines) < seconds:
                buffer += await process.stdout.receive()
                *whole, buffer = buffer.split(b"\n")
                lines += [json.loads(line) for line in whole]
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        with anyio.move_on_after(1):
            async for text in process.stderr:
                pytest.fail(text.decode())
    damage: list[str] = []
    history = read_history(Path(str(config["history_path"])), "paris", damage)
    assert damage == []
    assert history.complete
    return history, lines


async def run_final_read(
    addresses: Mapping[str, int], folder: Path, *, deadline_s: float = 9
) -> dict[str, FinalRead]:
    config = {
        "nodes": [
            {"name": name, "host": "127.0.0.1", "port": port} for name, port in addresses.items()
        ],
        "user": ROLE,
        "password": ROLE_PASSWORD,
        "dbname": "postgres",
        "out_dir": str(folder),
        "deadline_s": deadline_s,
    }
    with anyio.fail_after(deadline_s + 5):
        result = await anyio.run_process(
            [sys.executable, "-m", "chaos.workloads.final_read"],
            input=f"{json.dumps(config)}\n".encode(),
        )
    assert result.stderr == b""
    damage: list[str] = []
    reads = {name: read_final(folder / f"final-{name}.jsonl", name, damage) for name in addresses}
    assert damage == []
    return {name: read for name, read in reads.items() if read is not None}


async def test_what_was_acknowledged_is_read_from_every_node(
    pair: tuple[LocalPostgres, LocalPostgres], rest: Answers, tmp_path: Path
) -> None:
    primary, replica = pair
    history, lines = await run_load(load_config(rest, primary, tmp_path), seconds=2)

    operations = {operation.id: operation for operation in history.operations}
    assert {operation.outcome for operation in operations.values()} == {"ok"}
    assert all(operation.node == "db-a" for operation in operations.values())
    assert len(operations) > RATE_PER_S
    assert lines[0].keys() == {"t_s", "ok", "fail", "info", "node", "open"}
    assert lines[-1]["node"] == "db-a"

    ports = {"db-a": primary.port, "db-b": replica.port, "db-c": free_port()}
    reads = await run_final_read(ports, tmp_path)
    assert reads["db-c"].error is not None
    assert [row.id for row in reads["db-a"].rows] == [row.id for row in reads["db-b"].rows]
    assert {row.id for row in reads["db-a"].rows} == set(operations)
    assert reads["db-a"].rows == reads["db-b"].rows
    assert (reads["db-a"].is_primary, reads["db-b"].is_primary) == (True, False)
    assert (reads["db-a"].timeline, reads["db-b"].timeline) == (1, 1)
    lsn_a, lsn_b = reads["db-a"].lsn, reads["db-b"].lsn
    assert lsn_a is not None
    assert lsn_b is not None
    assert lsn_b >= lsn_a


async def test_a_replica_that_does_not_catch_up_is_named(
    pair: tuple[LocalPostgres, LocalPostgres], rest: Answers, tmp_path: Path
) -> None:
    primary, replica = pair
    replica.query("SELECT pg_wal_replay_pause()")
    try:
        primary.query("INSERT INTO bascule.ledger (id, site, worker, n) VALUES ('a', 'x', 0, 0)")
        ports = {"db-a": primary.port, "db-b": replica.port}
        reads = await run_final_read(ports, tmp_path, deadline_s=3)
    finally:
        replica.query("SELECT pg_wal_replay_resume()")
    assert [row.id for row in reads["db-a"].rows] == ["a"]
    assert reads["db-b"].error is not None
    assert "caught up" in reads["db-b"].error


async def test_what_is_open_at_the_end_is_info(
    pair: tuple[LocalPostgres, LocalPostgres], rest: Answers, tmp_path: Path
) -> None:
    primary, _ = pair
    primary.set("synchronous_standby_names", "ANY 1 (nobody)")
    try:
        history, lines = await run_load(load_config(rest, primary, tmp_path), seconds=1)
    finally:
        primary.set("synchronous_standby_names", "")
    assert [operation.outcome for operation in history.operations] == ["info", "info"]
    assert lines[-1]["open"] == 2


async def test_a_config_that_is_no_good_is_refused() -> None:
    for module in ("chaos.workloads.load", "chaos.workloads.final_read"):
        with anyio.fail_after(20):
            result = await anyio.run_process(
                [sys.executable, "-m", module], input=b'{"sites": 3}\n', check=False
            )
        assert result.returncode == 2
        assert b"config" in result.stderr
        assert b"Traceback" not in result.stderr
