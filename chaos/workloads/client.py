"""What a workload speaks to: the storage layer, or plain psycopg in its place for comparison."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from replication import Applied, Durability, Isolation, Read, Token, Transaction

T = TypeVar("T")


class LoadClient(Protocol):
    """The part of ``replication.Storage`` that workloads use; its errors are raised too."""

    async def run(
        self,
        fn: Callable[[Transaction], Awaitable[T]],
        *,
        unit_id: str | None = None,
        deadline_s: float | None = None,
        durability: Durability | None = None,
        isolation: Isolation | None = None,
    ) -> Applied[T]:
        """Apply ``fn`` in one transaction."""
        ...

    async def read(
        self,
        fn: Callable[[Transaction], Awaitable[T]],
        *,
        max_staleness_s: float | None = None,
        after: Token | None = None,
        isolation: Isolation | None = None,
        deadline_s: float | None = None,
    ) -> Read[T]:
        """Run ``fn`` in one read-only transaction, on a replica where ``max_staleness_s`` is."""
        ...
