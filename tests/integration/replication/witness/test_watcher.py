"""What a witness hears of a real PostgreSQL: that it answers, that it hangs, that it is gone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.postgres.local_postgres import LocalPostgres, frozen, local_postgres
from support.postgres.tls_postgres import tls_postgres

from replication.patroni.client import Http
from replication.witness.keys import AnnouncedMember
from replication.witness.model import MemberHeard
from replication.witness.watcher import MemberWatch

pytestmark = pytest.mark.anyio

LIMIT_S = 10.0
LOOKED_S = 1.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    with local_postgres(tmp_path_factory.mktemp("watched")) as found:
        yield found


@asynccontextmanager
async def watched(port: int) -> AsyncIterator[MemberWatch]:
    member = AnnouncedMember(
        name="db-a", rest_url=None, host="localhost", port=port, site=None, said={}
    )
    http = Http()
    watch = MemberWatch(member, http, time.monotonic)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        yield watch
        tasks.cancel_scope.cancel()
    await http.aclose()


async def until(watch: MemberWatch, is_so: Callable[[MemberHeard], bool]) -> MemberHeard:
    with anyio.fail_after(LIMIT_S):
        while not is_so(watch.heard):
            await anyio.sleep(0.01)
    return watch.heard


async def test_a_server_that_answers_is_heard_at_every_turn(server: LocalPostgres) -> None:
    async with watched(server.port) as watch:
        first = await until(watch, lambda heard: heard.postgres.answered_s is not None)
        last = first.postgres.answered_s or 0.0
        await until(watch, lambda heard: (heard.postgres.answered_s or 0.0) > last + 0.5)
        heard = watch.heard.postgres
    assert (heard.refused_since_s, heard.mute_since_s) == (None, None)
    assert 0 < heard.round_trip_s < 1.0


async def test_a_server_that_hangs_is_mute_and_then_heard_again(server: LocalPostgres) -> None:
    async with watched(server.port) as watch:
        await until(watch, lambda heard: heard.postgres.answered_s is not None)
        with frozen(server):
            began_s = time.monotonic()
            await until(
                watch,
                lambda heard: (
                    heard.postgres.mute_since_s is not None
                    and heard.postgres.mute_since_s >= began_s
                    and time.monotonic() > began_s + 0.5
                ),
            )
            assert watch.heard.postgres.refused_since_s is None
        await until(watch, lambda heard: heard.postgres.mute_since_s is None)


async def test_a_server_that_is_gone_is_refused_and_then_heard_again(server: LocalPostgres) -> None:
    async with watched(server.port) as watch:
        await until(watch, lambda heard: heard.postgres.answered_s is not None)
        await anyio.to_thread.run_sync(server.stop)
        heard = await until(watch, lambda heard: heard.postgres.refused_since_s is not None)
        assert heard.postgres.mute_since_s is None
        watch.begin_again()
        assert watch.heard.postgres.refused_since_s is None
        await anyio.to_thread.run_sync(server.start)
        await until(
            watch,
            lambda heard: (
                heard.postgres.refused_since_s is None
                and (heard.postgres.answered_s or 0.0) > heard.asked_since_s
            ),
        )


async def test_the_questions_leave_no_line_in_a_servers_log(tmp_path: Path) -> None:
    with tls_postgres(tmp_path) as tls:
        before = tls.server.log_text()
        async with watched(tls.server.port) as watch:
            first = await until(watch, lambda heard: heard.postgres.answered_s is not None)
            until_s = (first.postgres.answered_s or 0.0) + LOOKED_S
            await until(watch, lambda heard: (heard.postgres.answered_s or 0.0) > until_s)
        tls.server.query("SELECT 1")
        assert tls.server.log_text() == before
