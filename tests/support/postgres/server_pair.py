"""A primary and its replica, each with a synchronous standby of its own, and a failover between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import anyio
from support.postgres.local_postgres import LocalPostgres, local_postgres, replica_of
from support.postgres.patroni_answers import Answers
from support.postgres.wal_receiver import STANDBYS, wal_receiver

LIMIT_S = 30.0


@contextmanager
def server_pair(folder: Path) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """Both, started; every commit on either waits for its own standby. To be broken by one test."""
    with (
        local_postgres(folder) as primary,
        replica_of(primary, folder) as replica,
        wal_receiver(primary, folder),
        wal_receiver(replica, folder),
    ):
        for server in (primary, replica):
            server.set("synchronous_standby_names", STANDBYS)
        yield primary, replica


def promote(replica: LocalPostgres, old: Answers, new: Answers) -> None:
    """The replica becomes the primary, and both members say so."""
    assert replica.query("SELECT pg_promote(true, 30)") == [(True,)]
    say_promoted(old, new)


def say_promoted(old: Answers, new: Answers) -> None:
    """Both members say so to those who ask these."""
    old.status, new.status, new.timeline = 503, 200, 2


async def wait_rows(server: LocalPostgres, query: LiteralString, count: int) -> None:
    """Wait until ``query`` has so many rows on ``server``."""
    with anyio.fail_after(LIMIT_S):
        while len(server.query(query)) != count:
            await anyio.sleep(0.02)
