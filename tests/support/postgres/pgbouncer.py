"""A real PgBouncer in front of a real PostgreSQL, in a folder of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.postgres.ledger_units import ROLE, ROLE_PASSWORD
from support.postgres.local_postgres import (
    START_DEADLINE_S,
    LocalPostgres,
    as_ordinary_user,
    free_port,
)


@contextmanager
def pgbouncer(server: LocalPostgres, folder: Path, *settings: str) -> Iterator[int]:
    """The port on which it takes ``ROLE``'s connections to ``server``; stopped at the end.

    Args:
        settings: lines of its section ``[pgbouncer]``.
    """
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    assert program is not None, "this test needs PgBouncer: apt-get install pgbouncer"
    port = free_port()
    users, config, log = folder / "users.txt", folder / "pgbouncer.ini", folder / "pgbouncer.log"
    users.write_text(f'"{ROLE}" "{ROLE_PASSWORD}"\n')
    lines = [
        "[databases]",
        f"* = host=127.0.0.1 port={server.port}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = scram-sha-256",
        f"auth_file = {users}",
        *settings,
    ]
    config.write_text("\n".join(lines) + "\n")
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*as_ordinary_user(), program, str(config)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        _wait_listening(process, port, log)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=START_DEADLINE_S)


def _wait_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until_s = time.monotonic() + START_DEADLINE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until_s, log.read_text()
            time.sleep(0.02)
        else:
            return
