"""PgBouncer between a storage and its server: said at once, whatever it does with what we ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import psycopg
import pytest
from support.postgres.ledger_units import (
    CREDENTIALS,
    ROLE,
    ROLE_PASSWORD,
    WAIT_S,
    own_pid,
    prepare_ledger,
)
from support.postgres.local_postgres import LocalPostgres, local_postgres
from support.postgres.patroni_answers import rest_api
from support.postgres.pgbouncer import pgbouncer

from replication import Member, StartRefused, Storage, StorageSettings

pytestmark = pytest.mark.anyio

IGNORING = "ignore_startup_parameters = options"


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    with local_postgres(tmp_path_factory.mktemp("pooled")) as server:
        yield server


@pytest.fixture
async def server(own_server: LocalPostgres) -> LocalPostgres:
    await prepare_ledger(own_server)
    return own_server


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((), "options"),
        (("pool_mode = session", IGNORING), "a pooler is in between"),
        (("pool_mode = transaction", IGNORING), "a pooler is in between"),
        (("pool_mode = statement", IGNORING), "a pooler is in between"),
    ],
)
async def test_it_is_said_at_once_that_a_pooler_is_in_between(
    server: LocalPostgres, tmp_path: Path, settings: tuple[str, ...], words: str
) -> None:
    with pgbouncer(server, tmp_path, *settings) as port:
        async with rest_api(primary=True) as answers:
            url = f"http://127.0.0.1:{answers.port}"
            member = Member(name="pooled", rest_url=url, host="127.0.0.1", port=port)
            patient = StorageSettings(durability="local", connect_deadline_s=WAIT_S)
            async with Storage([member], CREDENTIALS, settings=patient) as storage:
                with anyio.fail_after(WAIT_S):
                    with pytest.raises(StartRefused, match=words) as caught:
                        await storage.run(own_pid, deadline_s=600)
                    with pytest.raises(StartRefused, match=words):
                        await storage.read(own_pid, deadline_s=600)
                    with pytest.raises(StartRefused, match=words):
                        async with storage.connection(deadline_s=600):
                            pass
    assert "Connect to PostgreSQL itself" in str(caught.value)


async def test_a_pooler_is_known_by_its_process_number(
    server: LocalPostgres, tmp_path: Path
) -> None:
    """What the refusal stands on: PgBouncer says another one than the server that it uses."""
    with pgbouncer(server, tmp_path, "pool_mode = session") as port:
        pooled, direct = [
            psycopg.connect(
                host="127.0.0.1", port=each, user=ROLE, password=ROLE_PASSWORD, dbname="postgres"
            )
            for each in (port, server.port)
        ]
        with pooled, direct:
            for connection, is_same in ((pooled, False), (direct, True)):
                row = connection.execute("SELECT pg_backend_pid()").fetchone()
                assert row is not None
                assert (row[0] == connection.info.backend_pid) is is_same
