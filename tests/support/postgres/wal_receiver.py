"""A synchronous standby without a second server: ``pg_receivewal`` confirms what it wrote."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.postgres.local_postgres import PASSWORD, LocalPostgres, as_ordinary_user, bindir

NAME = "receiver"
STANDBYS = f"ANY 1 ({NAME})"
"""``synchronous_standby_names`` that make every commit wait for it."""

START_DEADLINE_S = 30.0


@contextmanager
def wal_receiver(server: LocalPostgres, folder: Path) -> Iterator[None]:
    """Receives the WAL of ``server`` for as long as this is entered; comes back by itself."""
    target = folder / f"{server.name}-wal"
    target.mkdir()
    conninfo = f"{server.conninfo(password=PASSWORD)} application_name={NAME}"
    process = subprocess.Popen(
        [
            *as_ordinary_user(),
            str(bindir() / "pg_receivewal"),
            *("-D", str(target), "-d", conninfo, "--synchronous", "--status-interval=1"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_receiver(server)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


@contextmanager
def no_standby(server: LocalPostgres, *, back: str = STANDBYS) -> Iterator[None]:
    """COMMIT waits for a standby that does not exist; then for those of ``back`` again."""
    server.set("synchronous_standby_names", "ANY 1 (nobody)")
    try:
        yield
    finally:
        server.set("synchronous_standby_names", back)


def wait_receiver(server: LocalPostgres) -> None:
    """Wait until it streams."""
    until_s = time.monotonic() + START_DEADLINE_S
    query = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND application_name = %s"
    while not server.query(query, (NAME,)):
        assert time.monotonic() < until_s, "pg_receivewal does not stream"
        time.sleep(0.05)
