"""Fixtures that start real processes; each is gone when its scope ends."""

from __future__ import annotations

from collections.abc import Iterator

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
def anyio_backend() -> str:
    """psycopg's async connections need asyncio."""
    return "asyncio"
