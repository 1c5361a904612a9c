"""Reads beside the writes of a load, whatever its workload: ``reads-<site>.jsonl``.

Each site counts a mark up in a table of its own (``bascule.mark``), and reads all marks in four
ways (``ReadKind``), each in a rhythm of its own, through the same storage as the workload. A read
of one kind that waits holds up none of another, and no writer: it only takes a session of the pool.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import LiteralString

import anyio

from chaos.evidence.reads import READ_KINDS, MarkRead, MarkWrite, ReadKind, ReadsFile
from chaos.workloads.base import SiteLoad
from chaos.workloads.pacing import Pacer, pacers, wait_turn
from replication import NotApplied, StorageError, Token, TokenLost, Transaction
from replication.wire.wal import parse_lsn

READS_PER_S = 5.0
"""Of a site, all kinds together, where no other rate is asked for: every kind more than once a
second, which is as fine as an outage of reads is told; and a twentieth of the default load, so that
the load's own figures stay what they were."""

BOUND_S = 5.0
"""How old a ``bounded`` read may be. Above the pause of 2 s (3 s with jitter) between two looks at
the primary's position, so that a replica that streams is within it."""

ANY_S = 3600.0
"""How old a read of the kind ``any`` may be: longer than a drill, so it never decides."""

READ_DEADLINE_S = 5.0
"""A read that was not served by then is begun anew: what it must see follows from its begin."""

MAKE_TABLE: LiteralString = (
    "CREATE TABLE IF NOT EXISTS bascule.mark (site text PRIMARY KEY, n bigint NOT NULL)"
)
EMPTY_TABLE: LiteralString = "TRUNCATE bascule.mark"
GRANT: LiteralString = "GRANT SELECT, INSERT, UPDATE ON bascule.mark TO {role}"

_SET = (
    "INSERT INTO bascule.mark (site, n) VALUES (%s, %s)"
    " ON CONFLICT (site) DO UPDATE SET n = GREATEST(mark.n, excluded.n)"
)
_LOOK = "SELECT site, n FROM bascule.mark"


class MarkReader:
    """The marks and reads of one site.

    Args:
        load: what the workload is given too.
        out: takes the evidence.
    """

    def __init__(self, load: SiteLoad, out: ReadsFile) -> None:
        self._load = load
        self._out = out
        self._own: tuple[int, Token] | None = None
        """The last acknowledged mark of this site, and what stands for it."""

    async def run(self) -> None:
        """Count and read until the load is stopped, and each has ended what it had open."""
        config = self._load.config
        tasks = len(READ_KINDS) + 1
        first, *others = pacers(
            start_s=time.monotonic(),
            rate_per_s=config.reads_per_s * tasks / len(READ_KINDS),
            workers=tasks,
            seed=config.seed,
            site=f"{config.site}/reads",
        )
        async with anyio.create_task_group() as group:
            group.start_soon(self._count, first)
            for kind, pacer in zip(READ_KINDS, others, strict=True):
                group.start_soon(self._read_on, kind, pacer)

    async def _count(self, pacer: Pacer) -> None:
        n = 0
        while await wait_turn(self._load, pacer):
            n += 1
            await self._set(n)

    async def _set(self, n: int) -> None:
        """Set the mark, and write down how that ended."""
        config = self._load.config

        async def set_mark(transaction: Transaction) -> None:
            await transaction.execute(_SET, (config.site, n))

        begin_s = time.monotonic()
        try:
            applied = await self._load.storage.run(
                set_mark,
                unit_id=f"{config.site}-mark-{n}",
                # That of the workload: a shorter one would end in errors that open the circuit of
                # the storage, and so refuse the workload's units too.
                deadline_s=config.deadline_s,
                durability=config.promise,
            )
        except StorageError as error:
            self._out.mark(
                MarkWrite(
                    site=config.site,
                    n=n,
                    begin_s=begin_s,
                    end_s=time.monotonic(),
                    outcome="fail" if isinstance(error, NotApplied) else "info",
                    node=error.node,
                    error=f"{type(error).__name__}: {error}",
                )
            )
            return
        end_s = time.monotonic()
        self._own = n, applied.token
        self._out.mark(
            MarkWrite(
                site=config.site,
                n=n,
                begin_s=begin_s,
                end_s=end_s,
                outcome="ok",
                attempt_s=applied.attempt_s,
                node=applied.node,
                timeline=applied.timeline,
                lsn=parse_lsn(applied.lsn),
            )
        )

    async def _read_on(self, kind: ReadKind, pacer: Pacer) -> None:
        while await wait_turn(self._load, pacer):
            if kind != "own-write":
                await self._read(kind)
            elif self._own is not None:  # else there is nothing yet that it could ask for
                await self._read(kind, *self._own)

    async def _read(
        self, kind: ReadKind, after: int | None = None, token: Token | None = None
    ) -> None:
        """Read the marks, and write down what was seen."""
        bound_s = {"bounded": BOUND_S, "any": ANY_S}.get(kind)
        begin_s = time.monotonic()
        asked = MarkRead(
            site=self._load.config.site,
            kind=kind,
            begin_s=begin_s,
            end_s=begin_s,
            outcome="fail",
            after=after,
            bound_s=bound_s,
        )
        try:
            read = await self._load.storage.read(
                _look, max_staleness_s=bound_s, after=token, deadline_s=READ_DEADLINE_S
            )
        except StorageError as error:
            is_lost = isinstance(error, TokenLost)
            if is_lost and self._own == (after, token):
                self._own = None
            self._out.read(
                replace(
                    asked,
                    end_s=time.monotonic(),
                    outcome="lost" if is_lost else "fail",
                    node=error.node,
                    error=f"{type(error).__name__}: {error}",
                )
            )
            return
        self._out.read(
            replace(
                asked,
                end_s=time.monotonic(),
                outcome="ok",
                node=read.node,
                source=read.source,
                age_s=read.staleness_s,
                seen=read.value,
            )
        )


async def _look(transaction: Transaction) -> dict[str, int]:
    found = await transaction.execute(_LOOK)
    return {str(site): int(n) for site, n in found.rows}
