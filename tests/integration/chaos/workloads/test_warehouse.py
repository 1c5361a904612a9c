"""The warehouse on a real primary and its replica: filled, fed, read, and found out if wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from support.evidence.tiny import A, B, op, run, scenario
from support.postgres.load_runs import final_read, run_load
from support.postgres.local_postgres import (
    PASSWORD,
    SUPERUSER,
    LocalPostgres,
)
from support.postgres.patroni_answers import rest_api
from support.postgres.synchronous import wait_until
from support.postgres.warehouses import BLOCKED, ask, storage_on

from chaos.checkers.registry import CHECKERS
from chaos.errors import PreflightError
from chaos.evidence.records import FinalRead, Operation, SiteHistory
from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.load.prepare import prepare
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.warehouse import WarehouseOptions
from chaos.workloads.warehouse.again import erase_again
from chaos.workloads.warehouse.fill import Filled, fill_through
from chaos.workloads.warehouse.generator import Generator
from chaos.workloads.warehouse.profiles import Profile
from chaos.workloads.warehouse.tables import TABLES
from replication import Credentials
from replication.schema import install
from replication.wire import Address, session_to

pytestmark = pytest.mark.anyio

ROLE, ROLE_PASSWORD = "bascule_app", "app-password"
SPEC = WorkloadSpec(options=WarehouseOptions(workspaces=True))


async def prepare_smoke(primary: LocalPostgres) -> None:
    address = Address(node=primary.name, host="127.0.0.1", port=primary.port)
    admin = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
    async with session_to(address, admin) as session:
        await prepare(session, role=ROLE, password=ROLE_PASSWORD, spec=SPEC)


async def loaded(primary: LocalPostgres, folder: Path) -> SiteHistory:
    """Half a dozen seconds of deliveries, reads and withdrawals."""
    async with rest_api(primary=True) as answers:
        member = answers.member(primary)
        config = {
            "site": "paris",
            "members": [
                {
                    "name": primary.name,
                    "rest_url": member.rest_url,
                    "host": "127.0.0.1",
                    "port": primary.port,
                }
            ],
            "user": ROLE,
            "password": ROLE_PASSWORD,
            "dbname": "postgres",
            "rate_per_s": 20,
            "workers": 2,
            "seed": 7,
            "deadline_s": 30,
            "history_path": str(folder / "history-paris.jsonl"),
            "drain_s": 10,
            "workload": SPEC.to_json(),
            "durability": "async",
        }
        history, _ = await run_load(config, seconds=4)
        return history


async def read_both(
    pair: tuple[LocalPostgres, LocalPostgres], folder: Path
) -> dict[str, FinalRead]:
    primary, replica = pair
    ports = {A: primary.port, B: replica.port}
    reads = await final_read(ports, folder, SPEC, (ROLE, ROLE_PASSWORD), deadline_s=30)
    assert [read.error for read in reads.values()] == [None, None]
    assert (reads[A].rows, reads[A].state) == (reads[B].rows, reads[B].state)
    return reads


def judged(history: SiteHistory, reads: Mapping[str, FinalRead]) -> dict[str, Verdict]:
    """What the checkers of data say."""
    asked = scenario(workload=SPEC)
    of = run(
        history.operations, reads=list(reads.values()), asked=asked, settings={"rate_per_s": None}
    )
    known = {checker.name: checker for checker in CHECKERS}
    return {
        result.name: result.verdict
        for result in judge(of).results
        if result.name in {"lost-entries", "phantom-entries", "duplicates"}
        or known[result.name].workloads
    }


def of_kind(history: SiteHistory, kind: str) -> list[Operation]:
    return [op for op in history.operations if op.work.get("op") == kind]


async def test_a_loaded_warehouse_adds_up_and_what_is_broken_by_hand_is_found(
    pair: tuple[LocalPostgres, LocalPostgres], tmp_path: Path
) -> None:
    primary, _ = pair
    await prepare_smoke(primary)
    await prepare_smoke(primary)  # is idempotent
    history = await loaded(primary, tmp_path)
    assert [(op.id, op.error) for op in history.operations if op.outcome != "ok"] == []
    for kind in ("delivery", "withdrawal", "snapshot", "snapshot-on-primary", "cohort", "finish"):
        assert of_kind(history, kind), kind
    acts = [op.work["act"] for op in of_kind(history, "stewardship")]
    assert acts[:3] == ["open", "admit", "dismiss"]
    assert {op.work["kind"] for op in of_kind(history, "delivery")} == {"new", "again"}
    *cohorts, last = of_kind(history, "cohort")
    assert all(op.work["complete"] for op in cohorts)  # the end of the load may cut the last one
    assert cohorts or last.work["complete"], last.work

    reads = await read_both(pair, tmp_path)
    deliveries = [json.loads(row.content) for row in reads[A].rows]
    for what in ("inserted", "corrected", "unchanged"):
        assert sum(one.get(what, 0) for one in deliveries) > 0, f"nothing was {what}"
    verdicts = judged(history, reads)
    assert verdicts.keys() > {"feeds", "warehouse-totals", "warehouse-reads", "workspaces"}
    assert set(verdicts.values()) == {Verdict.VALID}

    # Each of these is what a failover, or a feed that is built otherwise, could have done.
    fed = "SELECT measurement_id FROM feed.record_key ORDER BY measurement_id LIMIT 1"
    for damage in (
        f"DELETE FROM warehouse.measurement WHERE measurement_id = ({fed})",
        "UPDATE feed.watermark SET batch = batch + 1 WHERE source = 'paris-0'",
        "DELETE FROM feed.record WHERE place = 3 AND batch = 1",
        "UPDATE warehouse.measurement SET value_as_number = 7"
        " WHERE mod(person_id, 10) = 0 AND measurement_id < 2000",
        "DELETE FROM warehouse.visit_occurrence WHERE visit_occurrence_id < 20",
        "SELECT setval('feed.measurement_id', 1)",
        "CREATE UNLOGGED TABLE feed.staging (n integer)",
        "INSERT INTO warehouse.person SELECT (SELECT min(person_id) FROM identity.withdrawal),"
        " 8507, 1970, 1, 0, 0, 1",
        "GRANT ws_steward_paris_1 TO camille; ALTER ROLE camille RENAME TO steward_camille",
        "DELETE FROM ws_steward_paris_1.person"
        " WHERE person_id = (SELECT min(person_id) FROM ws_steward_paris_1.person)",
        "UPDATE feed.batch SET inserted = 1, unchanged = unchanged - 1"
        " WHERE kind = 'again' AND batch = 6",
    ):
        primary.query(sql.SQL(damage).format())  # type: ignore[arg-type]
    asked = scenario(workload=SPEC)
    reads = await read_both(pair, tmp_path)
    of = run(history.operations, reads=list(reads.values()), asked=asked)
    assert {finding.kind.word for finding in judge(of).findings} >= {
        *("torn-delivery", "wrong-watermark", "changed-by-rerun", "broken-reference"),
        *("reused-id", "unlogged-table", "unreconciled-rows", "withdrawn-patient", "wrong-cohort"),
        *("wrong-workspace", "withdrawn-in-copy"),
    }


class Stopped(Exception):
    """The fill was stopped on purpose."""


async def test_a_fill_that_was_stopped_goes_on_and_another_one_is_refused(
    pair: tuple[LocalPostgres, LocalPostgres], database: str
) -> None:
    primary, _ = pair
    tiny = Profile(name="tiny", patients=15_000)
    generator = Generator(tiny, 7)
    told: list[Filled] = []

    def stop(filled: Filled) -> None:
        told.append(filled)
        if filled.table == "measurement":
            raise Stopped

    async with (
        rest_api(primary=True) as answers,
        storage_on(primary, answers, database) as storage,
    ):
        await install(storage)
        with pytest.raises(Stopped):
            await fill_through(storage, generator, on_filled=stop)
        before = told[-1].rows
        total = sum(tiny.rows(table) for table in TABLES)
        assert 0 < before < total
        told.clear()
        assert await fill_through(storage, generator, on_filled=told.append) == total
        assert (told[0].rows_total, told[-1].rows) == (total, total)
        with pytest.raises(PreflightError, match="filled with the profile tiny and seed 7"):
            await fill_through(storage, Generator(tiny, 8))
        assert await fill_through(storage, generator) == total
    for table in TABLES:
        counted = ask(primary, database, f"SELECT count(*) FROM {table.schema}.{table.name}")
        assert counted == [(tiny.rows(table),)]
    orphans = (
        "SELECT count(*) FROM warehouse.measurement AS m LEFT JOIN warehouse.visit_occurrence AS v"
        " USING (visit_occurrence_id, person_id) WHERE v.person_id IS NULL"
    )
    assert ask(primary, database, orphans) == [(0,)]
    for view in ("tumour_event", "treatment_line", "biomarker"):
        [(rows,)] = ask(primary, database, f"SELECT count(*) FROM osiris.{view}")
        assert rows > 1000
    [(value,)] = ask(primary, database, "SELECT max(value_as_number) FROM warehouse.measurement")
    assert 9_900 < value < 10_000


RECORD = (
    "INSERT INTO feed.record SELECT 'x', {batch}, {person}, 'key-{person}', 1, 'stay-{person}',"
    " {person}, DATE '2026-01-01', feed.value_of('key-{person}', 1)"
)


async def fill_a_hundred(primary: LocalPostgres, database: str) -> None:
    """A warehouse of a hundred patients."""
    async with (
        rest_api(primary=True) as answers,
        storage_on(primary, answers, database) as storage,
    ):
        await install(storage)
        await fill_through(storage, Generator(Profile(name="tiny", patients=100), 7))


async def test_who_withdrew_stays_away_whoever_comes_first(
    pair: tuple[LocalPostgres, LocalPostgres], database: str
) -> None:
    primary, _ = pair
    await fill_a_hundred(primary, database)

    def connect() -> psycopg.Connection[Any]:
        conninfo = psycopg.conninfo.make_conninfo(
            primary.conninfo(password=PASSWORD), dbname=database
        )
        return psycopg.connect(conninfo)

    def deliver(connection: psycopg.Connection[Any], batch: int, *persons: int) -> None:
        for person in persons:
            connection.execute(RECORD.format(batch=batch, person=person).encode())
        connection.execute("SELECT feed.merge(%s, 'x', %s, 'new')", (f"x-{batch}", batch))

    def withdraw(connection: psycopg.Connection[Any], number: int, person: int) -> None:
        values = (f"w-{number}", number, person)
        connection.execute("SELECT feed.withdraw(%s, 'x', %s, %s, 'erasure')", values)

    def batch(number: int) -> list[Any]:
        what = "inserted, unchanged, refused, erased"
        return ask(primary, database, f"SELECT {what} FROM feed.batch WHERE batch = {number}")

    with connect() as feed, connect() as steward, ThreadPoolExecutor(1) as aside:
        deliver(feed, 1, 11, 12, 21, 31)
        feed.commit()
        assert batch(1) == [(4, 0, 0, 0)]
        withdraw(steward, 1, 11)
        steward.commit()
        assert batch(1) == [(4, 0, 0, 1)]
        deliver(feed, 2, 11, 12)  # once more, with somebody who has withdrawn
        feed.commit()
        assert batch(2) == [(0, 1, 1, 0)]
        # The delivery was first: the withdrawal waits, and takes away what it brought.
        deliver(feed, 3, 21)
        waiting = aside.submit(withdraw, steward, 2, 21)
        wait_until(lambda: primary.query(BLOCKED))
        feed.commit()
        waiting.result(timeout=20)
        steward.commit()
        # The withdrawal was first: the delivery waits, and finds nobody.
        withdraw(steward, 3, 31)
        waiting = aside.submit(deliver, feed, 4, 31)
        wait_until(lambda: primary.query(BLOCKED))
        steward.commit()
        waiting.result(timeout=20)
        feed.commit()
        assert batch(4) == [(0, 0, 1, 0)]
    for table in ("warehouse.person", "warehouse.measurement", "warehouse.visit_occurrence"):
        counted = f"SELECT count(*) FROM {table} WHERE person_id IN (11, 21, 31)"
        assert ask(primary, database, counted) == [(0,)]
    kept = "SELECT DISTINCT person_id FROM feed.record"
    assert ask(primary, database, kept) == [(12,)]


async def test_who_was_erased_is_erased_again_and_a_gap_is_refused(
    pair: tuple[LocalPostgres, LocalPostgres], database: str
) -> None:
    """A restored database knows neither the erasures nor the deliveries since its point."""
    primary, _ = pair
    await fill_a_hundred(primary, database)
    done = [
        op(
            f"withdrawal-paris-{number}",
            float(number),
            work={"op": "withdrawal", "number": number, "person": person, "kind": kind},
        )
        for number, person, kind in ((1, 11, "opposition"), (2, 12, "erasure"), (3, 13, "erasure"))
    ]
    known = "SELECT feed.withdraw('withdrawal-paris-1', 'paris', 1, 11, 'opposition')"
    ask(primary, database, known)
    address = Address(node=primary.name, host="127.0.0.1", port=primary.port)
    admin = Credentials(user=SUPERUSER, password=PASSWORD, dbname=database)
    async with session_to(address, admin) as session:
        again = await erase_again(session, WarehouseOptions(), done)
        assert again == ["withdrawal-paris-2", "withdrawal-paris-3"]
        assert await erase_again(session, WarehouseOptions(), done) == []
        left = "SELECT count(*) FROM {} WHERE person_id IN (11, 12, 13)"
        for table, persons in (("warehouse.person", 0), ("identity.patient", 1)):
            assert (await session.fetch(left.format(table)))[0][0] == persons  # type: ignore[arg-type]
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="does not follow 0"):
            await session.fetch("SELECT feed.merge('x-2', 'x', 2, 'new')")
        await session.fetch("SELECT feed.merge('x-1', 'x', 1, 'new')")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="does not follow 1"):
            await session.fetch("SELECT feed.merge('x-1', 'x', 1, 'new')")
