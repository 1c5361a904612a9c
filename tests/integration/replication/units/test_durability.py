"""What must hold before a unit of work is called applied, with real standbys that are not there,
that are switched off, and that come back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import LiteralString

import anyio
import anyio.to_thread
import pytest
from support.postgres.ledger_units import (
    CREDENTIALS,
    adding,
    entries,
    id_rows,
    prepare_ledger,
    running,
    setting,
    storage_on,
    wait_backend,
    wait_rows,
)
from support.postgres.local_postgres import LocalPostgres, local_postgres, replica_of
from support.postgres.patroni_answers import Answers, rest_api
from support.postgres.wal_receiver import STANDBYS, no_standby

from replication import (
    Applied,
    NoPrimary,
    NotApplied,
    NotDurable,
    NotSynchronous,
    Storage,
    Transaction,
    Unknown,
)
from replication.observability.events import DoubtResolved, Event

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server(postgres_server: LocalPostgres) -> LocalPostgres:
    """The server with an empty ledger."""
    await prepare_ledger(postgres_server)
    return postgres_server


async def test_local_waits_for_nobody(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        with no_standby(server):
            applied = await storage.run(adding("a"), unit_id="a", deadline_s=30, durability="local")
        with setting(server, "synchronous_standby_names", ""):
            await storage.run(adding("b"), unit_id="b", deadline_s=30, durability="local")
    assert not applied.resolved
    assert entries(server, "a") == entries(server, "b") == 1


@pytest.mark.parametrize("repeatable", [True, False])
async def test_quorum_is_refused_where_nobody_is_synchronous(
    server: LocalPostgres, repeatable: bool
) -> None:
    calls: list[int] = []

    async def counts(transaction: Transaction) -> None:
        calls.append(1)
        await adding("a")(transaction)

    async with storage_on(server) as (storage, _):
        with (
            setting(server, "synchronous_standby_names", ""),
            pytest.raises(NotSynchronous) as caught,
        ):
            await storage.run(counts, unit_id="a", deadline_s=30, repeatable=repeatable)
        assert (entries(server, "a"), id_rows(server, "a")) == (0, [])
        assert len(calls) == (1 if repeatable else 0)
        assert "synchronous_mode" in str(caught.value)
        await storage.run(adding("a"), unit_id="a", deadline_s=30)


async def test_a_standby_that_was_there_is_waited_for(server: LocalPostgres) -> None:
    """Patroni may just be about to name another one."""
    async with storage_on(server) as (storage, _):
        await storage.run(adding("b"), deadline_s=30)
        with setting(server, "synchronous_standby_names", ""):
            async with running(storage, adding("a"), deadline_s=60) as ends:
                await wait_backend(server, "xact_start IS NULL AND query = 'ROLLBACK'")
                server.set("synchronous_standby_names", STANDBYS)
        assert isinstance(ends[0], Applied)
        with setting(server, "synchronous_standby_names", ""), pytest.raises(NotSynchronous):
            await storage.run(adding("c"), unit_id="c", deadline_s=1)
    assert (entries(server, "a"), entries(server, "c")) == (1, 0)


async def test_a_commit_that_was_released_without_a_standby_is_in_doubt(
    server: LocalPostgres,
) -> None:
    events: list[Event] = []
    async with storage_on(server, events=events) as (storage, _):
        with no_standby(server):
            async with running(storage, adding("a"), deadline_s=60) as ends:
                await wait_backend(server, "wait_event = 'SyncRep'")
                server.set("synchronous_standby_names", "")
                await wait_rows(
                    server, "SELECT 1 FROM bascule.unit_of_work WHERE id = 'a' AND asked > 0"
                )
                assert not ends
                server.set("synchronous_standby_names", STANDBYS)
    assert isinstance(ends[0], Applied)
    assert ends[0].resolved
    assert [event.state for event in events if isinstance(event, DoubtResolved)] == ["applied"]
    assert entries(server, "a") == 1


async def test_a_commit_that_was_released_is_unknown_at_the_deadline(
    server: LocalPostgres,
) -> None:
    async with storage_on(server) as (storage, _):
        with no_standby(server):
            async with running(storage, adding("a"), deadline_s=3) as ends:
                await wait_backend(server, "wait_event = 'SyncRep'")
                server.set("synchronous_standby_names", "")
        assert isinstance(ends[0], Unknown)
        assert (await storage.outcome("a", deadline_s=30)).applied
    assert entries(server, "a") == 1


async def test_a_roles_own_default_does_not_weaken_quorum(server: LocalPostgres) -> None:
    server.query("ALTER ROLE bascule_app SET synchronous_commit = off")
    try:
        async with storage_on(server) as (storage, _):
            with no_standby(server):
                async with running(storage, adding("a"), deadline_s=60) as ends:
                    await wait_backend(server, "wait_event = 'SyncRep'")
                    assert not ends
                    server.set("synchronous_standby_names", STANDBYS)
    finally:
        server.query("ALTER ROLE bascule_app RESET synchronous_commit")
    assert isinstance(ends[0], Applied)
    assert not ends[0].resolved


async def test_a_statement_timeout_in_the_wait_is_in_doubt(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        with no_standby(server), pytest.raises(Unknown):
            await storage.run(adding("a"), unit_id="a", deadline_s=2, statement_timeout_s=0.3)
        assert (await storage.outcome("a", deadline_s=30)).applied
    assert entries(server, "a") == 1


async def test_sites_that_are_not_known_are_a_mistake(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        with pytest.raises(ValueError, match="site of db-a is not known"):
            await storage.run(adding("a"), unit_id="a", deadline_s=30, durability="all_sites")
    assert entries(server, "a") == 0


async def test_sites_that_may_not_be_seen_are_refused(server: LocalPostgres) -> None:
    server.query("REVOKE pg_read_all_stats FROM bascule_app")
    try:
        async with rest_api(primary=True) as answers:
            member = replace(answers.member(server), site="paris")
            async with Storage([member], CREDENTIALS) as storage:
                with pytest.raises(NotApplied, match="GRANT pg_read_all_stats") as caught:
                    await storage.run(adding("a"), unit_id="a", durability="all_sites")
    finally:
        server.query("GRANT pg_read_all_stats TO bascule_app")
    assert (caught.value.unit_id, caught.value.node) == ("a", "db-a")
    assert entries(server, "a") == 0


async def test_without_a_primary_all_sites_ends_as_every_unit_does(server: LocalPostgres) -> None:
    async with rest_api(primary=False) as answers:
        member = replace(answers.member(server), site="paris")
        async with Storage([member], CREDENTIALS) as storage:
            with anyio.fail_after(20), pytest.raises(NoPrimary) as caught:
                await storage.run(adding("a"), unit_id="a", deadline_s=1, durability="all_sites")
    assert caught.value.unit_id == "a"


# Three members at two sites. ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """The primary ``db-a`` and ``db-b`` in Paris, ``db-c`` in Lyon."""

    a: LocalPostgres
    b: LocalPostgres
    c: LocalPostgres


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Sites]:
    with (
        local_postgres(tmp_path) as a,
        replica_of(a, tmp_path, name="db-b") as b,
        replica_of(a, tmp_path, name="db-c") as c,
    ):
        yield Sites(a=a, b=b, c=c)


@asynccontextmanager
async def storage_at(sites: Sites) -> AsyncIterator[tuple[Storage, dict[str, Answers]]]:
    await prepare_ledger(sites.a)
    for replica in (sites.b, sites.c):
        await wait_rows(sites.a, *streaming(replica))
    sites.a.set("synchronous_standby_names", 'ANY 1 ("db-b","db-c")')
    async with AsyncExitStack() as stack:
        answers = {
            server.name: await stack.enter_async_context(rest_api(primary=server is sites.a))
            for server in (sites.a, sites.b, sites.c)
        }
        members = [
            replace(answers[server.name].member(server), site=site)
            for server, site in ((sites.a, "paris"), (sites.b, "paris"), (sites.c, "lyon"))
        ]
        storage = await stack.enter_async_context(Storage(members, CREDENTIALS))
        yield storage, answers


def streaming(replica: LocalPostgres) -> tuple[LiteralString, tuple[str]]:
    query = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND application_name = %s"
    return query, (replica.name,)


async def cut(primary: LocalPostgres, replica: LocalPostgres) -> str:
    """``replica`` receives nothing more; how it did before."""
    before: str = replica.query("SHOW primary_conninfo")[0][0]
    replica.set("primary_conninfo", "")
    await wait_rows(
        primary,
        "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = %s)",
        (replica.name,),
    )
    return before


async def test_a_site_that_receives_nothing_is_named_and_waited_for(sites: Sites) -> None:
    async with storage_at(sites) as (storage, _):
        await storage.run(adding("b"), unit_id="b", deadline_s=60, durability="all_sites")
        conninfo = await cut(sites.a, sites.c)
        with pytest.raises(NotDurable) as caught:
            await storage.run(adding("c"), unit_id="c", deadline_s=2, durability="all_sites")
        assert caught.value.missing == ("lyon",)
        assert "lyon" in str(caught.value)
        await storage.run(adding("d"), unit_id="d", deadline_s=60)  # a quorum is enough for that
        async with running(storage, adding("a"), deadline_s=60, durability="all_sites") as ends:
            await wait_rows(sites.a, "SELECT 1 FROM bascule.ledger WHERE id = 'a'")
            assert not ends
            sites.c.set("primary_conninfo", conninfo)
        assert isinstance(ends[0], Applied)
        assert not ends[0].resolved
    await wait_rows(sites.c, "SELECT 1 FROM bascule.ledger WHERE id = 'a'")


async def test_the_primary_dies_while_the_sites_are_waited_for(sites: Sites) -> None:
    async with storage_at(sites) as (storage, answers):
        conninfo = await cut(sites.a, sites.c)
        async with running(storage, adding("a"), deadline_s=120, durability="all_sites") as ends:
            await wait_rows(sites.b, "SELECT 1 FROM bascule.ledger WHERE id = 'a'")
            await anyio.to_thread.run_sync(sites.a.stop)
            assert sites.b.query("SELECT pg_promote(true, 60)") == [(True,)]
            sites.b.set("synchronous_standby_names", 'ANY 1 ("db-c")')
            answers["db-a"].status, answers["db-b"].status = 503, 200
            answers["db-b"].timeline = 2
            assert not ends
            sites.c.set("primary_conninfo", conninfo.replace(str(sites.a.port), str(sites.b.port)))
        assert isinstance(ends[0], Applied)
        assert (ends[0].resolved, ends[0].attempts) == (True, 1)
    assert entries(sites.b, "a") == 1
    await wait_rows(sites.c, "SELECT 1 FROM bascule.ledger WHERE id = 'a'")
