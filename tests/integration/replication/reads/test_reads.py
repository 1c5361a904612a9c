"""Reads on a real primary and its replica: what was promised is kept, or the next one is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import psycopg
import pytest
from psycopg import sql
from support.postgres.local_postgres import LocalPostgres, frozen, local_postgres, replica_of
from support.postgres.read_pair import (
    GENEROUS_S,
    adding,
    anything,
    ids,
    replay_paused,
    served_by_the_replica,
    storage_on,
)

from replication import ReadFailed, Token, TokenLost, Transaction
from replication.units.id_row import IS_INSTALLED, KEY_STATEMENTS

pytestmark = pytest.mark.anyio


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A primary (paris) and its asynchronous replica (orsay), to be broken by one test."""
    with local_postgres(tmp_path) as primary, replica_of(primary, tmp_path) as replica:
        yield primary, replica


async def test_without_a_promise_the_primary_is_read(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on(pair) as on:
        await on.add("a")
        read = await on.storage.read(ids)
    assert (read.node, read.source, read.staleness_s) == ("db-a", "primary", None)
    assert read.value == {"a"}


async def test_a_read_cannot_write(pair: tuple[LocalPostgres, LocalPostgres]) -> None:
    async with storage_on(pair) as on:
        with pytest.raises(ReadFailed) as caught:
            await on.storage.read(adding("a"), deadline_s=1)
        assert (caught.value.sqlstate, caught.value.attempts) == ("25006", 1)
        assert on.storage.primary == "db-a"  # it was the caller's mistake, nobody else's


async def test_a_replica_within_its_bound_serves(pair: tuple[LocalPostgres, LocalPostgres]) -> None:
    async with storage_on(pair) as on:
        read = await on.storage.read(anything, max_staleness_s=5)
        assert (read.node, read.source) == ("db-b", "replica")
        assert read.staleness_s is not None
        assert 0 <= read.staleness_s <= 5


async def test_a_replica_that_is_tagged_noloadbalance_serves_no_read(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on(pair) as on:
        applied = await on.add("own")
        on.second.more = {"tags": {"noloadbalance": True}}
        with anyio.fail_after(GENEROUS_S):  # the watch has asked its Patroni again
            while await served_by_the_replica(on.storage):
                await anyio.sleep(0.05)
        for _ in range(20):
            assert (await on.storage.read(anything, max_staleness_s=1e6)).source == "primary"
            assert (await on.storage.read(anything, after=applied.token)).source == "primary"
        on.first.status = 503
        on.primary.stop()
        with pytest.raises(ReadFailed, match="db-b: it is tagged noloadbalance"):
            await on.storage.read(anything, max_staleness_s=1e6, deadline_s=1)
        on.second.more = {}
        read = await on.storage.read(anything, max_staleness_s=1e6, deadline_s=GENEROUS_S)
        assert read.source == "replica"


async def test_a_replica_that_stands_still_is_left_when_its_bound_is_over(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on(pair) as on:
        with replay_paused(on.replica):
            await on.add("late")
            with anyio.fail_after(GENEROUS_S):
                while True:
                    read = await on.storage.read(ids, max_staleness_s=0.5)
                    if read.source == "primary":
                        break
                    assert read.staleness_s is not None  # it was added less than that ago
                    assert read.staleness_s <= 0.5
            assert "late" in read.value
            # What it showed before is not older than a minute: that much may still be promised.
            with anyio.fail_after(GENEROUS_S):  # a busy machine may have it left out for a moment
                while (old := await on.storage.read(ids, max_staleness_s=60)).source != "replica":
                    await anyio.sleep(0.05)
            assert "late" not in old.value
            assert old.staleness_s is not None
        await on.storage.read(ids, max_staleness_s=0.5)
        with anyio.fail_after(GENEROUS_S):
            while not await served_by_the_replica(on.storage):
                await anyio.sleep(0.05)


async def test_nobody_who_can_be_asked_keeps_the_bound(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    """The primary is dead: what the replica has is getting older, and that is said."""
    async with storage_on(pair) as on:
        on.first.status = 503
        on.primary.stop()

        async def read_on() -> None:
            while True:
                read = await on.storage.read(anything, max_staleness_s=0.2, deadline_s=2)
                assert read.staleness_s is not None  # it was asked shortly before it died
                assert read.staleness_s <= 0.2

        with anyio.fail_after(GENEROUS_S), pytest.raises(ReadFailed, match="behind by"):
            await read_on()


async def test_a_primary_that_gets_nothing_acknowledged_is_no_proof_whatever_its_patroni_says(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    """As in a site that is cut off: another may be the primary, and this Patroni does not know."""
    async with storage_on(pair) as on:
        await waits_for(on.primary, "nobody")

        async def read_on() -> None:
            while True:  # what was acknowledged before that still counts for a moment
                await on.storage.read(anything, max_staleness_s=0.5, deadline_s=2)

        with anyio.fail_after(GENEROUS_S), pytest.raises(ReadFailed, match="no commit was ack"):
            await read_on()
        old = await on.storage.read(anything, max_staleness_s=1e6, deadline_s=GENEROUS_S)
        assert old.staleness_s is not None
        assert old.staleness_s > 0.5
        # A primary in maintenance confirms as well; its own units of work are refused meanwhile.
        read_only = "ALTER SYSTEM SET default_transaction_read_only = on"
        await anyio.to_thread.run_sync(on.primary.query, read_only)
        await waits_for(on.primary, "*")  # the replica
        read = await on.storage.read(anything, max_staleness_s=5, deadline_s=GENEROUS_S)
        assert read.staleness_s is not None
        assert read.staleness_s <= 5


async def waits_for(primary: LocalPostgres, names: str) -> None:
    """Commits on ``primary`` wait for these standbys, as soon as its configuration is read."""

    def set_names() -> None:
        primary.query(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        primary.query("SELECT pg_reload_conf()")

    await anyio.to_thread.run_sync(set_names)
    with anyio.fail_after(GENEROUS_S):
        while await anyio.to_thread.run_sync(primary.query, "SHOW synchronous_standby_names") != [
            (names,)
        ]:
            await anyio.sleep(0.02)


async def test_ones_own_write_is_seen_on_the_replica(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on(pair) as on:
        for number in range(20):
            applied = await on.add(f"own-{number}")
            token = Token.parse(str(applied.token))
            read = await on.storage.read(ids, after=token)
            assert f"own-{number}" in read.value
            assert read.source == "replica"


async def test_a_replica_without_the_write_is_passed_over(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on(pair) as on:
        with replay_paused(on.replica):
            applied = await on.add("own")
            read = await on.storage.read(ids, after=applied.token)
            assert (read.source, "own" in read.value) == ("primary", True)


async def test_a_token_is_good_on_the_next_timeline(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on(pair) as on:
        applied = await on.add("survives")
        await on.storage.read(ids, after=applied.token)  # so the replica has it
        await on.promote()
        read = await on.storage.read(ids, after=applied.token, deadline_s=GENEROUS_S)
        assert (read.node, "survives" in read.value) == ("db-b", True)
        # Its id row is pruned some day; the end of its timeline still tells that it survived.
        on.replica.query("DELETE FROM bascule.unit_of_work")
        await on.storage.read(ids, after=applied.token, deadline_s=GENEROUS_S)


async def test_a_token_whose_write_was_taken_away_says_so(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on(pair) as on:
        on.replica.set("primary_conninfo", "")
        with anyio.fail_after(GENEROUS_S):
            while on.replica.query("SELECT 1 FROM pg_stat_wal_receiver"):
                await anyio.sleep(0.02)
        applied = await on.add("lost")
        await on.promote()
        with pytest.raises(TokenLost):
            await on.storage.read(ids, after=applied.token, deadline_s=GENEROUS_S)


async def test_a_write_whose_number_another_caller_took_is_lost(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    """Lost with its primary, and applied again under the same number: by somebody else."""
    async with storage_on(pair) as on:
        on.replica.set("primary_conninfo", "")
        with anyio.fail_after(GENEROUS_S):
            while on.replica.query("SELECT 1 FROM pg_stat_wal_receiver"):
                await anyio.sleep(0.02)
        lost = await on.add("taken")
        await on.promote()
        there = await on.add("taken")
        assert (there.row_attempt, lost.row_attempt) == (1, 1)
        # Even if the end of its timeline does not tell that it was lost.
        on.second.history = [[1, 2**62, "no recovery target specified"]]
        with pytest.raises(TokenLost):
            await on.storage.read(ids, after=lost.token, deadline_s=GENEROUS_S)
        await on.storage.read(ids, after=there.token, deadline_s=GENEROUS_S)


async def test_a_replica_whose_table_is_behind_is_passed_over(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    """The column of the key is there on the primary, and not yet replayed."""
    async with storage_on(pair) as on:
        on.primary.query("ALTER TABLE bascule.unit_of_work DROP COLUMN attempt_key")
        with anyio.fail_after(GENEROUS_S):
            while on.replica.query(IS_INSTALLED)[0][0]:
                await anyio.sleep(0.02)
        with replay_paused(on.replica):
            for statement in KEY_STATEMENTS:
                on.primary.query(sql.SQL(statement))
            applied = await on.add("own")
            read = await on.storage.read(ids, after=applied.token, deadline_s=GENEROUS_S)
            assert (read.source, "own" in read.value) == ("primary", True)


async def test_a_server_that_says_at_commit_that_it_goes_down_has_served_the_read(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    """An immediate shutdown says so with a warning; here a deferred trigger does."""

    async def reads(transaction: Transaction) -> int:
        await transaction.execute("INSERT INTO going VALUES (1)")
        return await anything(transaction)

    async with storage_on(pair) as on:
        for code, is_served in (("57P01", True), ("01000", False)):
            async with on.storage.session() as session:  # the next read gets the same one
                await session.fetch("CREATE TEMPORARY TABLE IF NOT EXISTS going (n integer)")
                await session.fetch(
                    sql.SQL(
                        "CREATE OR REPLACE FUNCTION pg_temp.warn() RETURNS trigger"
                        " LANGUAGE plpgsql AS {}"
                    ).format(
                        f"BEGIN RAISE WARNING 'going' USING ERRCODE = '{code}'; RETURN NULL; END"
                    )
                )
                await session.fetch("DROP TRIGGER IF EXISTS warns ON going")
                await session.fetch(
                    "CREATE CONSTRAINT TRIGGER warns AFTER INSERT ON going DEFERRABLE INITIALLY"
                    " DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.warn()"
                )
            if is_served:
                assert (await on.storage.read(reads, deadline_s=GENEROUS_S)).value == 1
            else:
                with pytest.raises(ReadFailed, match="going"):
                    await on.storage.read(reads, deadline_s=GENEROUS_S)


async def test_a_replica_that_dies_is_replaced_by_the_next(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on(pair) as on:
        died: list[str] = []

        async def dies_once(transaction: Transaction) -> set[str]:
            if not died:
                died.append(transaction.node)
                await anyio.to_thread.run_sync(on.replica.stop)
            return await ids(transaction)

        read = await on.storage.read(dies_once, max_staleness_s=60, deadline_s=GENEROUS_S)
        assert (died, read.source) == (["db-b"], "primary")


async def test_a_mistake_in_a_read_is_said_at_once(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async def wrong(transaction: Transaction) -> None:
        await transaction.execute("SELECT * FROM no_such_table")

    async with storage_on(pair) as on:
        with pytest.raises(ReadFailed) as caught:
            await on.storage.read(wrong, deadline_s=GENEROUS_S)
        assert (caught.value.sqlstate, caught.value.attempts) == ("42P01", 1)
        assert isinstance(caught.value.__cause__, psycopg.errors.UndefinedTable)


async def test_repeatable_read_on_a_replica_is_one_snapshot(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on(pair) as on:
        applied = await on.add("before")

        async def twice(transaction: Transaction) -> tuple[set[str], set[str]]:
            first = await ids(transaction)
            await on.add("between")
            return first, await ids(transaction)

        read = await on.storage.read(twice, after=applied.token, isolation="repeatable read")
        assert read.value == ({"before"}, {"before"})


async def test_a_replica_that_hangs_holds_up_no_read_and_serves_again_when_it_wakes(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    """Its Patroni goes on answering; new connections to it are taken, and hang."""
    async with storage_on(pair) as on:
        on.second.server = None  # whose answers come from memory
        on.second.more = {"replication_state": "streaming"}
        took_s: list[float] = []
        with frozen(on.replica):
            for _ in range(50):
                begun_s = anyio.current_time()
                read = await on.storage.read(anything, max_staleness_s=GENEROUS_S)
                took_s.append(anyio.current_time() - begun_s)
                assert read.source == "primary"
            applied = await on.add("own")
            begun_s = anyio.current_time()
            read_own = await on.storage.read(ids, after=applied.token)
            assert (read_own.source, "own" in read_own.value) == ("primary", True)
            assert anyio.current_time() - begun_s < 1
        # The first one waited for a moment; before, every other one waited for 1 or 2 s.
        assert sum(took_s) < 1
        with anyio.fail_after(GENEROUS_S):
            while not await served_by_the_replica(on.storage):
                await anyio.sleep(0.02)


async def test_a_function_that_waits_for_a_replica_that_hangs_is_run_on_the_next(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on(pair) as on:
        on.second.server = None
        nodes: list[str] = []
        freezer = frozen(on.replica)

        async def freezes(transaction: Transaction) -> set[str]:
            nodes.append(transaction.node)
            if len(nodes) == 1:
                freezer.__enter__()
            return await ids(transaction)

        try:
            read = await on.storage.read(freezes, max_staleness_s=60, deadline_s=GENEROUS_S)
        finally:
            freezer.__exit__(None, None, None)
        assert (nodes, read.source) == (["db-b", "db-a"], "primary")


async def test_a_long_function_on_a_replica_that_lives_is_not_interrupted(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async def reports(transaction: Transaction) -> None:
        await transaction.execute("SELECT pg_sleep(4)")

    async with storage_on(pair) as on:
        read = await on.storage.read(reports, max_staleness_s=60, deadline_s=GENEROUS_S)
        assert (read.source, read.node) == ("replica", "db-b")


async def test_a_read_leaves_a_frozen_primary_for_the_new_one(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on(pair) as on:
        await on.add("first")
        nodes: list[str] = []
        freezer = frozen(on.primary)

        async def freezes(transaction: Transaction) -> int:
            nodes.append(transaction.node)
            if len(nodes) == 1:
                freezer.__enter__()
                on.first.silent = True
                await anyio.to_thread.run_sync(on.replica.query, "SELECT pg_promote(true, 30)")
                on.second.status, on.second.timeline = 200, 2
            return await anything(transaction)

        try:
            read = await on.storage.read(freezes, deadline_s=GENEROUS_S)
        finally:
            freezer.__exit__(None, None, None)
        assert (nodes, read.node) == (["db-a", "db-b"], "db-b")
