"""What may be asked of a stream, and what it makes of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from replication.reads.promises import Demand
from replication.reads.streams.producer import StreamPlan
from replication.reads.streams.ranges import PageLimits, Ranges
from replication.units.token import Token
from replication.wire import Params, Query

MAX_STALENESS_S = 60.0
"""A failover takes 20 to 40 s with Patroni's defaults (``benchmarks/rto.py``): replicas serve
through it."""

BATCH_ROWS = 20_000
BATCH_BYTES = 8 * 1024 * 1024
"""Smaller ones are slower, larger ones no quicker and need more memory (decision 0026)."""


class StreamOptions(TypedDict, total=False):
    """Everything about a stream that has a default.

    ``max_staleness_s`` and ``after``: the promise of every batch, as for ``Storage.read``; 60 s if
    neither is given. Both None: everything is read on the primary.

    ``snapshot``: everything is of one moment, from one member; the stream ends with
    ``SnapshotLost`` when that member does. Otherwise each batch is of its own moment.

    ``start_after``: the ``last_key`` of an earlier stream, to go on behind it.

    ``batch_rows``, ``batch_bytes``: at most so many rows a batch (20,000), of so many bytes as
    PostgreSQL writes them (8 MiB); more where one key has more rows. Three are in memory.

    ``deadline_s``: for one batch, on all members together; the settings' if None.
    """

    max_staleness_s: float | None
    after: Token | None
    snapshot: bool
    start_after: str | Sequence[str] | None
    batch_rows: int
    batch_bytes: int
    deadline_s: float | None


def plan_of(
    query: Query,
    params: Params | None,
    key: str | Sequence[str],
    options: StreamOptions,
    *,
    deadline_s: float,
) -> StreamPlan:
    """The plan of a stream.

    Args:
        query: as ``Storage.read_stream``.
        params: its parameters.
        key: as ``Storage.read_stream``.
        options: the caller's.
        deadline_s: where the options have none.

    Raises:
        ValueError: what is asked for makes no sense.
    """
    names = _several(key)
    start = options.get("start_after")
    start_after = None if start is None else _several(start)
    if not names or not all(names):
        raise ValueError("key: expected the name of a column of the result, or several")
    if start_after is not None and len(start_after) != len(names):
        raise ValueError(f"start_after: expected a value for each of {', '.join(names)}")
    limits = PageLimits(
        rows_max=options.get("batch_rows", BATCH_ROWS),
        bytes_max=options.get("batch_bytes", BATCH_BYTES),
    )
    if limits.rows_max < 1 or limits.bytes_max < 1:
        raise ValueError("batch_rows and batch_bytes: expected 1 or more")
    after, snapshot = options.get("after"), options.get("snapshot", False)
    asked_s = options.get("deadline_s")
    return StreamPlan(
        ranges=Ranges(query=query, key=names, has_params=params is not None),
        params=params,
        start_after=start_after,
        limits=limits,
        demand=Demand(
            max_staleness_s=options.get(
                "max_staleness_s", MAX_STALENESS_S if after is None else None
            ),
            after=after,
            isolation="repeatable read" if snapshot else None,
            prefer_readers=True,
        ),
        snapshot=snapshot,
        deadline_s=deadline_s if asked_s is None else asked_s,
    )


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
