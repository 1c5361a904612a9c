"""A primary and its replica for the tests of the warehouse, and a database for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from support.postgres.local_postgres import LocalPostgres, local_postgres, replica_of

_databases = count()


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    folder = tmp_path_factory.mktemp("pair")
    with local_postgres(folder) as primary, replica_of(primary, folder) as replica:
        yield primary, replica


@pytest.fixture
def database(pair: tuple[LocalPostgres, LocalPostgres]) -> str:
    """A database of its own."""
    name = f"warehouse_{next(_databases)}"
    pair[0].query(f"CREATE DATABASE {name}")
    return name
