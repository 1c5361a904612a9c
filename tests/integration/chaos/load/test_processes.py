"""The load process and the final reader, as the drill starts them, against a real PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import LiteralString

import anyio
import anyio.lowlevel
import pytest
from support.evidence.tiny import SITES, A, B, run, scenario
from support.postgres.load_runs import final_read, run_load
from support.postgres.local_postgres import (
    PASSWORD,
    SUPERUSER,
    LocalPostgres,
    free_port,
    local_postgres,
    replica_of,
)
from support.postgres.patroni_answers import Answers, rest_api

from chaos.checkers.registry import CHECKERS
from chaos.evidence.reads import READ_KINDS, read_all_reads
from chaos.evidence.records import FinalRead, Scalar, SiteHistory
from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.load.prepare import prepare
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.append import AppendOptions
from chaos.workloads.bulk import BulkOptions
from chaos.workloads.counter import CounterOptions
from chaos.workloads.ledger import LedgerOptions
from chaos.workloads.long_fork import LongForkOptions
from chaos.workloads.register import RegisterOptions
from chaos.workloads.set import SetOptions
from chaos.workloads.transfers import TransfersOptions
from chaos.workloads.write_skew import WriteSkewOptions
from replication import Credentials
from replication.wire import Address, session_to

checkers = {checker.name: checker for checker in CHECKERS}

pytestmark = pytest.mark.anyio

ROLE, ROLE_PASSWORD = "bascule_app", "app-password"
RATE_PER_S = 100
SPECS: dict[str, WorkloadSpec] = {
    "ledger": WorkloadSpec(options=LedgerOptions()),
    "transfers": WorkloadSpec(options=TransfersOptions(accounts=4, opening_balance=50)),
    "bulk": WorkloadSpec(options=BulkOptions(chunk_rows=100)),
    "append": WorkloadSpec(options=AppendOptions(keys=3)),
    "register": WorkloadSpec(options=RegisterOptions(registers=2)),
    "counter": WorkloadSpec(options=CounterOptions()),
    "set": WorkloadSpec(options=SetOptions()),
    "write-skew": WorkloadSpec(options=WriteSkewOptions()),
    "long-fork": WorkloadSpec(options=LongForkOptions()),
}


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
        await session.fetch("DROP SCHEMA IF EXISTS bascule CASCADE")
        for spec in SPECS.values():
            await prepare(session, role=ROLE, password=ROLE_PASSWORD, spec=spec)
        yield answers


def load_config(
    rest: Answers, primary: LocalPostgres, folder: Path, kind: str = "ledger"
) -> dict[str, object]:
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
        "workload": SPECS[kind].to_json(),
        # Nobody is a synchronous standby here: with quorum nothing would be acknowledged.
        "durability": "async",
    }


async def run_final_read(
    addresses: Mapping[str, int],
    folder: Path,
    *,
    deadline_s: float = 9,
    kind: str = "ledger",
) -> dict[str, FinalRead]:
    access = (ROLE, ROLE_PASSWORD)
    return await final_read(addresses, folder, SPECS[kind], access, deadline_s=deadline_s)


def require_reads(folder: Path) -> None:
    """Beside its writes the site has counted its mark up, and read it in every way."""
    damage: list[str] = []
    [found] = read_all_reads(folder, damage)
    assert damage == []
    assert found.complete
    assert [mark.n for mark in found.marks] == [*range(1, len(found.marks) + 1)]
    assert {mark.outcome for mark in found.marks} == {"ok"}
    for kind in READ_KINDS:
        reads = [read for read in found.reads if read.kind == kind]
        assert len(reads) > 10, kind
        assert {(read.outcome, read.node) for read in reads[1:]} == {("ok", "db-a")}, kind
    assert max(read.seen.get("paris", 0) for read in found.reads) > 10
    for read in found.reads:
        assert read.after is None or read.seen["paris"] >= read.after


async def test_what_was_acknowledged_is_read_from_every_node(
    pair: tuple[LocalPostgres, LocalPostgres], rest: Answers, tmp_path: Path
) -> None:
    primary, replica = pair
    marked = {"reads_per_s": 40, "reads_path": str(tmp_path / "reads-paris.jsonl")}
    config = load_config(rest, primary, tmp_path) | marked
    history, heard = await run_load(config, seconds=2)
    require_reads(tmp_path)

    operations = {operation.id: operation for operation in history.operations}
    assert {operation.outcome for operation in operations.values()} == {"ok"}
    assert all(operation.node == "db-a" for operation in operations.values())
    assert len(operations) > RATE_PER_S
    assert len(heard) > RATE_PER_S
    assert {(end.outcome, end.node) for end in heard} == {("ok", "db-a")}

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


async def test_two_sites_that_send_units_under_one_id_apply_each_once(
    pair: tuple[LocalPostgres, LocalPostgres], rest: Answers, tmp_path: Path
) -> None:
    primary, _ = pair
    histories: list[SiteHistory] = []

    async def load_site(site: str) -> None:
        config = load_config(rest, primary, tmp_path)
        shares = {"site": site, "sites": SITES, "shared_every": 4}
        path = str(tmp_path / f"history-{site}.jsonl")
        history, _ = await run_load({**config, **shares, "history_path": path}, seconds=3)
        histories.append(history)

    async with anyio.create_task_group() as group:
        for site in SITES:
            group.start_soon(load_site, site)

    operations = [operation for history in histories for operation in history.operations]
    reads = await read_both(pair, tmp_path, "ledger")
    there = {row.id for row in reads[A].rows}
    told: dict[str, list[tuple[str, bool]]] = {}
    for operation in operations:
        if operation.shared_unit is None:
            assert operation.outcome == "ok"
        else:
            answer = (operation.outcome, operation.id in there)
            told.setdefault(operation.unit, []).append(answer)
    both = [answers for answers in told.values() if len(answers) == 2]
    assert len(both) > 20
    assert {tuple(sorted(answers)) for answers in both} == {(("already", False), ("ok", True))}
    # At the begin and at the end of the load one of them may not have come.
    alone = [answers for answers in told.values() if len(answers) == 1]
    assert {tuple(answers) for answers in alone} <= {(("ok", True),)}

    def said(reads: Mapping[str, FinalRead]) -> Verdict:
        result = judge(run(operations, reads=list(reads.values()))).result("shared-units")
        assert result is not None
        return result.verdict

    assert said(reads) is Verdict.VALID
    one = next(op.id for op in operations if op.shared_unit and op.outcome == "ok")
    primary.query(f"DELETE FROM bascule.ledger WHERE id = '{one}'")
    assert said(await read_both(pair, tmp_path, "ledger")) is Verdict.INVALID
    other = next(op.id for op in operations if op.outcome == "already")
    insert = "INSERT INTO bascule.ledger (id, site, worker, n) VALUES"
    primary.query(f"{insert} ('{one}', 'x', 0, 0)")
    assert said(await read_both(pair, tmp_path, "ledger")) is Verdict.VALID
    primary.query(f"{insert} ('{other}', 'x', 0, 0)")
    assert said(await read_both(pair, tmp_path, "ledger")) is Verdict.INVALID


def judged(history: SiteHistory, reads: Mapping[str, FinalRead], kind: str) -> dict[str, Verdict]:
    """What the checkers of data say of one site's history and two nodes."""
    # The steady rate of a run this short says nothing.
    no_rate: dict[str, Scalar] = {"rate_per_s": None}
    spec = scenario(workload=SPECS[kind])
    of = run(history.operations, reads=list(reads.values()), asked=spec, settings=no_rate)
    of = replace(of, histories=(history,))
    return {
        result.name: result.verdict
        for result in judge(of).results
        if result.name in {"lost-entries", "phantom-entries", "duplicates"}
        or checkers[result.name].workloads
    }


async def read_both(
    pair: tuple[LocalPostgres, LocalPostgres], folder: Path, kind: str
) -> dict[str, FinalRead]:
    """Both nodes, under the names of the nodes of ``support.evidence.tiny``."""
    primary, replica = pair
    reads = await run_final_read({A: primary.port, B: replica.port}, folder, kind=kind)
    assert [read.error for read in reads.values()] == [None, None]
    assert reads[A].rows == reads[B].rows
    assert reads[A].state == reads[B].state
    return reads


async def test_transfers_keep_the_total_and_what_is_broken_by_hand_is_found(
    pair: tuple[LocalPostgres, LocalPostgres], rest: Answers, tmp_path: Path
) -> None:
    primary, _ = pair
    config = load_config(rest, primary, tmp_path, "transfers")
    history, _ = await run_load({**config, "workers": 6}, seconds=2)
    assert {operation.outcome for operation in history.operations} == {"ok"}
    totals = [op for op in history.operations if not op.leaves_entry]
    transfers = [op for op in history.operations if op.leaves_entry]
    assert len(transfers) > len(totals) > 0
    assert {op.result["total"] for op in totals} == {4 * 50}

    reads = await read_both(pair, tmp_path, "transfers")
    assert {row.id for row in reads[A].rows} == {op.id for op in transfers}
    assert sum(int(row.content) for row in reads[A].state) == 4 * 50
    verdicts = judged(history, reads, "transfers")
    assert verdicts.keys() > {"total-kept", "balances"}
    assert set(verdicts.values()) == {Verdict.VALID}

    primary.query("UPDATE bascule.account SET balance = balance - 1 WHERE id = 2")
    primary.query(
        "DELETE FROM bascule.transfer WHERE seq = (SELECT min(seq) FROM bascule.transfer)"
    )
    verdicts = judged(history, await read_both(pair, tmp_path, "transfers"), "transfers")
    wrong = {name for name, verdict in verdicts.items() if verdict is Verdict.INVALID}
    assert wrong == {"lost-entries", "total-kept", "balances"}


async def test_chunks_are_whole_and_what_is_broken_by_hand_is_found(
    pair: tuple[LocalPostgres, LocalPostgres], rest: Answers, tmp_path: Path
) -> None:
    primary, _ = pair
    config = load_config(rest, primary, tmp_path, "bulk")
    history, _ = await run_load({**config, "rate_per_s": 20, "drain_s": 10}, seconds=2)
    assert {operation.outcome for operation in history.operations} == {"ok"}
    chunks = [op for op in history.operations if op.leaves_entry]
    ends = [op for op in history.operations if not op.leaves_entry]
    assert sum(int(str(op.result["chunks"])) for op in ends) == len(chunks) > 10
    assert {op.node for op in chunks} == {"db-a"}
    assert all(op.lsn is not None and op.timeline == 1 for op in chunks)

    reads = await read_both(pair, tmp_path, "bulk")
    assert {row.id for row in reads[A].rows} == {op.id for op in chunks}
    verdicts = judged(history, reads, "bulk")
    assert verdicts.keys() > {"chunks", "bulk-end"}
    assert set(verdicts.values()) == {Verdict.VALID}

    primary.query("DELETE FROM bascule.bulk_row WHERE n = 5 AND worker = 0")
    primary.query("UPDATE bascule.bulk_row SET payload = 'x' WHERE n = 7 AND worker = 1")
    primary.query("INSERT INTO bascule.bulk_row VALUES ('mars', 0, 0, 0, 'x')")
    reads = await read_both(pair, tmp_path, "bulk")
    verdicts = judged(history, reads, "bulk")
    wrong = {name for name, verdict in verdicts.items() if verdict is Verdict.INVALID}
    assert wrong == {"phantom-entries", "chunks"}


BROKEN_BY_HAND = {
    "append": (
        "UPDATE bascule.list_a SET items = regexp_replace(items, '^[0-9]+,', '')",
        {"isolation"},
    ),
    "register": (
        "UPDATE bascule.register SET value = 7, version = version - 1",
        {"linearizable"},
    ),
    "counter": ("UPDATE bascule.counter SET value = value - 1", {"counter"}),
    "write-skew": (
        "INSERT INTO bascule.taker_b SELECT id, place + 1, value FROM bascule.taker_a",
        {"takers"},
    ),
    "long-fork": ("INSERT INTO bascule.single_a VALUES ('nobody', -2)", {"phantom-entries"}),
    "set": (
        "DELETE FROM bascule.element WHERE seq = (SELECT min(seq) FROM bascule.element)",
        {"lost-entries"},
    ),
}


@pytest.mark.parametrize("kind", list(BROKEN_BY_HAND))
async def test_histories_that_are_judged_and_what_is_broken_by_hand_is_found(
    pair: tuple[LocalPostgres, LocalPostgres], rest: Answers, tmp_path: Path, kind: str
) -> None:
    primary, _ = pair
    config = load_config(rest, primary, tmp_path, kind)
    history, _ = await run_load({**config, "workers": 4}, seconds=1)
    assert {operation.outcome for operation in history.operations} == {"ok"}
    assert len(history.operations) > 10  # a loaded machine is slow, and each waits for a disk
    if kind in {"append", "set", "long-fork"}:
        assert {(read.outcome, read.node) for read in history.reads} == {("ok", "db-a")}
        assert {read.asks for read in history.reads} == {"any", "after"}
    verdicts = judged(history, await read_both(pair, tmp_path, kind), kind)
    assert set(verdicts.values()) == {Verdict.VALID}
    broken, found_by = BROKEN_BY_HAND[kind]
    primary.query(broken)
    verdicts = judged(history, await read_both(pair, tmp_path, kind), kind)
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.INVALID} == found_by


async def test_plain_psycopg_does_the_same_and_cannot_resolve_what_is_in_doubt(
    pair: tuple[LocalPostgres, LocalPostgres], rest: Answers, tmp_path: Path
) -> None:
    primary, replica = pair
    member = {"rest_url": "http://127.0.0.1:1", "host": "127.0.0.1"}
    plain: dict[str, object] = {
        "client": "psycopg",
        # The replica stands first in the DSN: it is passed over for writes.
        "members": [
            {**member, "name": "db-b", "port": replica.port},
            {**member, "name": "db-a", "port": primary.port},
        ],
    }
    config = load_config(rest, primary, tmp_path, "append") | plain
    history, _ = await run_load(config, seconds=1)
    assert {operation.outcome for operation in history.operations} == {"ok"}
    assert {(op.timeline, op.lsn is not None) for op in history.operations} == {(1, True)}
    assert {(read.outcome, read.asks, read.source) for read in history.reads} == {
        ("ok", "any", "replica")
    }
    verdicts = judged(history, await read_both(pair, tmp_path, "append"), "append")
    assert set(verdicts.values()) == {Verdict.VALID}

    # Their COMMITs wait for a standby that is not there; then the sessions are ended.
    ledger = load_config(rest, primary, tmp_path) | plain | {"durability": "quorum"}
    ledger["history_path"] = str(tmp_path / "history-orsay.jsonl")
    primary.set("synchronous_standby_names", "ANY 1 (nobody)")

    async def end_sessions() -> None:
        waiting: LiteralString = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        )
        with anyio.fail_after(15):
            while not await anyio.to_thread.run_sync(primary.query, waiting):
                await anyio.sleep(0.05)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(end_sessions)
            history, _ = await run_load({**ledger, "site": "orsay"}, seconds=2)
    finally:
        primary.set("synchronous_standby_names", "")
    in_doubt = [op for op in history.operations if op.error and op.error.startswith("Unknown")]
    assert {(op.outcome, op.resolved) for op in in_doubt} == {("info", False)}


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
        config = load_config(rest, primary, tmp_path)
        history, heard = await run_load({**config, "durability": "quorum"}, seconds=1)
    finally:
        primary.set("synchronous_standby_names", "")
    assert [operation.outcome for operation in history.operations] == ["info", "info"]
    assert heard == []
    assert [operation.stopped for operation in history.operations] == [True, True]


async def test_quorum_is_asked_of_the_storage_layer_and_refused_where_it_cannot_be_had(
    pair: tuple[LocalPostgres, LocalPostgres], rest: Answers, tmp_path: Path
) -> None:
    primary, _ = pair
    config = load_config(rest, primary, tmp_path)
    history, _ = await run_load({**config, "durability": "quorum"}, seconds=1)
    assert {operation.outcome for operation in history.operations} == {"fail"}
    assert "NotSynchronous" in str(history.operations[0].error)


async def test_a_config_that_is_no_good_is_refused() -> None:
    for module in ("chaos.load.worker", "chaos.load.final_read"):
        with anyio.fail_after(20):
            result = await anyio.run_process(
                [sys.executable, "-m", module], input=b'{"sites": 3}\n', check=False
            )
        assert result.returncode == 2
        assert b"config" in result.stderr
        assert b"Traceback" not in result.stderr
