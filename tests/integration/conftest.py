"""Fixtures that start real processes; each is gone when its scope ends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.local_postgres import LocalPostgres, local_postgres
from support.wal_receiver import STANDBYS, wal_receiver


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A PostgreSQL of our own on 127.0.0.1, with a synchronous standby. Whoever changes a setting
    sets it back."""
    folder = tmp_path_factory.mktemp("postgres")
    with local_postgres(folder) as server, wal_receiver(server, folder):
        server.set("synchronous_standby_names", STANDBYS)
        yield server


@pytest.fixture
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others put into the machine's says nothing of us."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture
def anyio_backend() -> str:
    """psycopg's async connections need asyncio."""
    return "asyncio"
