"""What every test of this project needs."""

from __future__ import annotations

import psycopg
import pytest
from appointments import create_table

from chaos.testing import PatroniCluster
from replication import Storage


@pytest.fixture
def anyio_backend() -> str:
    """psycopg's asynchronous connections need asyncio."""
    return "asyncio"


@pytest.fixture
async def diary(storage: Storage) -> Storage:
    """The storage, with an empty table."""
    await create_table(storage)
    return storage


@pytest.fixture(autouse=True)
def empty_table(patroni_cluster: PatroniCluster) -> None:
    """Tests share the cluster: each begins without appointments."""
    with psycopg.connect(patroni_cluster.cluster_url(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS appointment")
