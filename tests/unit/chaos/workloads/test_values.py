"""The load's arithmetic, its config and the lines of its history."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.decode import decode, encode
from chaos.errors import FormatError
from chaos.evidence.history import STOPPED, HistoryFile, Stalled, read_history
from chaos.load.final_read import FinalReadConfig
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.base import load_workload
from chaos.workloads.bulk import BulkOptions
from chaos.workloads.config import DRAIN_S, LoadConfig
from chaos.workloads.journal import Journal
from chaos.workloads.kind import WorkloadOptions
from chaos.workloads.ledger import LedgerOptions
from chaos.workloads.pacing import BACKLOG_S_MAX, pacers
from chaos.workloads.registry import WORKLOADS
from chaos.workloads.transfers import TransfersOptions
from chaos.workloads.transfers.load import draw_work
from replication import AlreadyApplied, Applied, NotApplied, Unknown


def test_workers_alternate_and_keep_the_rate() -> None:
    first, second = pacers(start_s=10.0, rate_per_s=100, workers=2, seed=1, site="paris")
    interval_s = 0.02
    for slot in range(500):
        due_s = 10.0 + slot * interval_s
        assert 0 <= first.delay_s(due_s) <= 0.1 * interval_s
        assert 0.5 * interval_s <= second.delay_s(due_s) <= 0.6 * interval_s
    assert first.skipped == second.skipped == 0


def test_a_short_delay_is_caught_up() -> None:
    (pacer,) = pacers(start_s=0.0, rate_per_s=10, workers=1, seed=1, site="paris")
    late_s = BACKLOG_S_MAX - 0.02
    at_once = 0
    while pacer.delay_s(late_s) == 0.0:
        at_once += 1
    assert at_once == 5
    assert pacer.skipped == 0


def test_an_outage_is_not_caught_up() -> None:
    (pacer,) = pacers(start_s=0.0, rate_per_s=100, workers=1, seed=1, site="paris")
    assert 0 < pacer.delay_s(20.0) <= 0.011
    assert pacer.skipped == 2001
    assert pacer.delay_s(20.01) <= 0.011


@given(st.lists(st.floats(0, 5), max_size=50), st.floats(1, 1000), st.integers(1, 8))
def test_a_delay_is_never_negative_nor_longer_than_two_intervals(
    pauses_s: list[float], rate_per_s: float, workers: int
) -> None:
    for pacer in pacers(start_s=0.0, rate_per_s=rate_per_s, workers=workers, seed=3, site="paris"):
        now_s = 0.0
        for pause_s in pauses_s:
            delay_s = pacer.delay_s(now_s)
            assert 0.0 <= delay_s <= 2 * pacer.interval_s + 1e-9
            now_s += delay_s + pause_s


def test_the_same_seed_gives_the_same_schedule() -> None:
    one, same, other = (
        [pacers(start_s=0.0, rate_per_s=9, workers=1, seed=seed, site="x")[0].delay_s(0.0)]
        for seed in (1, 1, 2)
    )
    assert one == same != other


def test_the_lines_are_what_the_reader_reads(tmp_path: Path) -> None:
    applied = Applied(
        value=None,
        unit_id="x-0-0",
        row_attempt=1,
        attempt_key=UUID(int=1),
        node="db-a",
        timeline=2,
        lsn="0/3000060",
        attempts=3,
        attempt_s=1.5,
        elapsed_s=1.0,
        resolved=True,
    )
    failed = NotApplied(
        "no", unit_id="x-0-1", node=None, sqlstate="57P01", elapsed_s=1.0, attempts=4
    )
    unknown = Unknown(
        "who knows", unit_id="x-0-2", node="db-a", sqlstate=None, elapsed_s=1.0, attempts=1
    )
    earlier = AlreadyApplied(
        "applied", unit_id="x-0-4", node="db-a", sqlstate=None, elapsed_s=1.0, attempts=0
    )
    path = tmp_path / "history-x.jsonl"
    with HistoryFile(path) as file:
        journal = Journal(file)
        for n in range(5):
            journal.begin(f"x-0-{n}", worker=n)
        journal.begin("x-0-5", worker=5, shared_unit="x+y-5-7")
        journal.applied("x-0-0", applied)
        journal.failed("x-0-1", failed)
        journal.failed("x-0-2", unknown)
        journal.resolved("x-0-4", attempts=0)
        journal.already("x-0-5", earlier)
        file.write(Stalled(t_s=2.4, stall_s=0.2))
        journal.close()
    damage: list[str] = []
    read = read_history(path, "x", damage)
    assert damage == []
    assert read.complete
    assert [operation.outcome for operation in read.operations] == [
        "ok",
        "fail",
        "info",
        "info",
        "ok",
        "already",
    ]
    ok, fail, info, open_, resolved, already = read.operations
    assert (already.shared_unit, already.unit, ok.unit) == ("x+y-5-7", "x+y-5-7", "x-0-0")
    assert (already.node, already.attempts) == ("db-a", 1)
    assert (resolved.resolved, resolved.node, resolved.attempts) == (True, None, 1)
    assert (ok.node, ok.timeline, ok.lsn, ok.attempts) == ("db-a", 2, 0x3000060, 3)
    assert (ok.attempt_s, ok.resolved) == (1.5, True)
    assert (fail.sqlstate, fail.attempts, fail.error) == ("57P01", 4, "NotApplied: no")
    assert str(info.error).startswith("Unknown: who knows")
    assert open_.error == STOPPED
    assert (info.stopped, open_.stopped) == (False, True)
    assert [stall.stall_s for stall in read.stalls] == [0.2]


def test_a_history_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "history-x.jsonl"
    path.write_text("evidence\n")
    with pytest.raises(FileExistsError):
        HistoryFile(path)
    assert path.read_text() == "evidence\n"


LOAD_CONFIG: dict[str, object] = {
    "site": "paris",
    "members": [{"name": "db-a", "rest_url": "http://10.0.0.1:8008", "host": "h", "port": 5432}],
    "user": "u",
    "password": "hidden",
    "dbname": "d",
    "rate_per_s": 100,
    "workers": 2,
    "seed": 7,
    "deadline_s": 60,
    "history_path": "history-paris.jsonl",
}


def test_a_load_config() -> None:
    config = LoadConfig.from_line(json.dumps(LOAD_CONFIG))
    assert config.members[0].name == "db-a"
    assert config.drain_s == DRAIN_S
    assert "hidden" not in repr(config)
    assert LoadConfig.from_line(config.to_line()) == config


def test_a_load_config_says_what_to_do_and_what_an_acknowledgement_promises() -> None:
    asked = {"durability": "async", "workload": {"kind": "transfers", "accounts": 5}}
    config = LoadConfig.from_line(json.dumps(LOAD_CONFIG | asked))
    assert config.workload == WorkloadSpec(options=TransfersOptions(accounts=5))
    assert config.promise == "local"
    default = LoadConfig.from_line(json.dumps(LOAD_CONFIG))
    assert (default.workload.kind, default.promise) == ("ledger", "quorum")


def test_every_kind_of_workload_is_there_and_has_a_rate() -> None:
    assert list(WORKLOADS) == [
        "ledger",
        "transfers",
        "bulk",
        "append",
        "register",
        "counter",
        "set",
        "write-skew",
        "long-fork",
        "warehouse",
    ]
    rates = [kind.rate_per_s for kind in WORKLOADS.values()]
    assert rates == [100, 50, 4, 30, 50, 30, 50, 30, 50, 4]
    for kind in WORKLOADS.values():
        spec = WorkloadSpec(options=kind.options())
        assert spec.kind == kind.key
        assert load_workload(spec).tables


WRITTEN = {
    "ledger": {"kind": "ledger", "accounts": 20, "opening_balance": 1000, "chunk_rows": 512},
    "transfers": {"kind": "transfers", "accounts": 5, "opening_balance": 7, "chunk_rows": 512},
    "bulk": {"kind": "bulk", "accounts": 20, "opening_balance": 1000, "chunk_rows": 9},
}
"""As run folders of format 2 and 3 have them: every option, whatever the workload."""


@pytest.mark.parametrize(
    "options",
    [LedgerOptions(), TransfersOptions(accounts=5, opening_balance=7), BulkOptions(chunk_rows=9)],
)
def test_a_workload_stands_in_the_run_folder_as_it_always_did(options: WorkloadOptions) -> None:
    spec = WorkloadSpec(options=options)
    written = encode(spec)
    assert written == WRITTEN[spec.kind]
    assert json.dumps(written) == json.dumps(WRITTEN[spec.kind]), "in the same order"
    assert decode(WorkloadSpec, WRITTEN[spec.kind], "workload") == spec


def test_a_workload_in_a_run_folder_may_be_short_and_must_be_right() -> None:
    assert decode(WorkloadSpec, {}) == WorkloadSpec()
    short = decode(WorkloadSpec, {"kind": "transfers", "accounts": 3})
    assert short == WorkloadSpec(options=TransfersOptions(accounts=3))
    for wrong, words in (
        (
            {"kind": "leger"},
            f"workload.kind: expected one of {', '.join(WORKLOADS)}",
        ),
        ({"kind": ["ledger"]}, "workload.kind: expected one of"),
        (
            {"kind": "transfers", "account": 3},
            "workload.account: unknown key, did you mean accounts",
        ),
        ({"kind": "bulk", "chunk_rows": "9"}, "workload.chunk_rows: expected int, found str"),
    ):
        with pytest.raises(FormatError, match=re.escape(words)):
            decode(WorkloadSpec, wrong, "workload")


def test_the_same_seed_draws_the_same_transfers() -> None:
    def drawn(seed: int) -> list[dict[str, object]]:
        draw = random.Random(seed)
        return [dict(draw_work(draw, f"x-{n}", 3).about) for n in range(200)]

    assert drawn(1) == drawn(1) != drawn(2)
    transfers = [work for work in drawn(1) if work["op"] == "transfer"]
    assert 150 < len(transfers) < 200
    assert all(work["source"] != work["target"] for work in transfers)
    assert {work["source"] for work in transfers} == {0, 1, 2}


@pytest.mark.parametrize(
    "change",
    [
        {"rate_per_s": 0},
        {"workers": 0},
        {"deadline_s": -1},
        {"rate": 5},
        {"members": 1},
        {"durability": "local"},
        {"workload": {"kind": "ledgers"}},
        {"sites": 5},
        {"sites": ["paris", "orsay"], "shared_every": 1},
        {"sites": ["orsay"], "shared_every": 10},
        {"reads_per_s": 5},
        {"reads_per_s": -1, "reads_path": "reads.jsonl"},
        {"reads_path": "reads.jsonl"},
    ],
)
def test_a_load_config_that_is_no_good(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"config|rate_per_s"):
        LoadConfig.from_line(json.dumps(LOAD_CONFIG | change))


def test_a_final_read_config() -> None:
    document = {
        "nodes": [{"node": "db-a", "host": "h", "port": 5432}],
        "user": "u",
        "password": "hidden",
        "dbname": "d",
        "out_dir": ".",
        "deadline_s": 9,
    }
    config = FinalReadConfig.from_line(json.dumps(document))
    assert config.nodes[0].node == "db-a"
    assert "hidden" not in repr(config)
    assert FinalReadConfig.from_line(config.to_line()) == config
    with pytest.raises(ValueError, match="config"):
        FinalReadConfig.from_line(json.dumps(document | {"nodes": [{}]}))


def test_what_plain_psycopg_can_do() -> None:
    able = {kind.key for kind in WORKLOADS.values() if "psycopg" in kind.clients}
    assert able == {*WORKLOADS} - {"bulk", "warehouse"}  # which use the bulk loader
    assert all("storage" in kind.clients for kind in WORKLOADS.values())
    plain = LoadConfig.from_line(json.dumps(LOAD_CONFIG | {"client": "psycopg"}))
    assert plain.client == "psycopg"
    with pytest.raises(ValueError, match=r"config.*client"):
        LoadConfig.from_line(json.dumps(LOAD_CONFIG | {"client": "asyncpg"}))


def test_only_plain_psycopg_goes_through_a_proxy() -> None:
    door = {
        "site": "paris",
        "host": "lb-paris",
        "primary_port": 5000,
        "primary_dbname": "postgres",
        "replicas_port": 5001,
        "replicas_dbname": "postgres",
    }
    through = LOAD_CONFIG | {"doors": [door], "direct_path": "direct-paris.jsonl"}
    config = LoadConfig.from_line(json.dumps(through | {"client": "psycopg"}))
    assert LoadConfig.from_line(config.to_line()) == config
    for asked in (through, LOAD_CONFIG | {"doors": [door]}, LOAD_CONFIG | {"direct_path": "x"}):
        with pytest.raises(ValueError, match="only plain psycopg goes through a proxy"):
            LoadConfig.from_line(json.dumps(asked))
