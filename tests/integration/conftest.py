"""Fixtures that start real processes; each is gone when its scope ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.local_postgres import LocalPostgres, local_postgres


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A PostgreSQL of our own on 127.0.0.1. Whoever changes a setting sets it back."""
    with local_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def anyio_backend() -> str:
    """psycopg's async connections need asyncio."""
    return "asyncio"
