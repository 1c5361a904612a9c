"""Fixtures that start real processes; each is gone when its scope ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import commands
from support.lab.own_machine import OwnMachine, own_machine
from support.postgres.local_postgres import LocalPostgres, local_postgres
from support.postgres.wal_receiver import STANDBYS, wal_receiver


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A PostgreSQL of our own on 127.0.0.1, with a synchronous standby. Whoever changes a setting
    sets it back."""
    folder = tmp_path_factory.mktemp("postgres")
    with local_postgres(folder) as server, wal_receiver(server, folder):
        server.set("synchronous_standby_names", STANDBYS)
        yield server


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnMachine]:
    """What ``bascule`` runs on in this test, and what it leaves there is nobody else's."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with own_machine(tmp_path, folder) as machine:
        monkeypatch.setattr(commands, "BASCULE", (*machine.enter, *commands.BASCULE))
        yield machine


@pytest.fixture
def anyio_backend() -> str:
    """psycopg's async connections need asyncio."""
    return "asyncio"
