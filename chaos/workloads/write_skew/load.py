"""Takes a place that nobody has taken: looks by a condition, and adds a row if it finds none.

A place is free for one round of the workers' schedule; all workers of all sites try it in that
round, at nearly the same moment, because their clocks are one. Each looks into both of two tables
(``value % 3 = 0``, which no key says) and adds to one of them, as Jepsen's test of G2 does.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, LiteralString

from chaos.workloads.base import SiteLoad, Work, WorkResult
from chaos.workloads.isolation import LEVELS
from chaos.workloads.numbers import numbers_of
from chaos.workloads.pacing import run_paced
from chaos.workloads.write_skew import WriteSkewOptions
from replication import Transaction

TABLES: tuple[LiteralString, ...] = ("bascule.taker_a", "bascule.taker_b")
_LOOK: tuple[LiteralString, ...] = tuple(
    f"SELECT id FROM {t} WHERE place = %s AND value %% 3 = 0" for t in TABLES
)
_TAKE: tuple[LiteralString, ...] = tuple(
    f"INSERT INTO {t} (id, place, value) VALUES (%s, %s, %s)" for t in TABLES
)
ADD_ENTRY: LiteralString = "INSERT INTO bascule.taker_entry (id) VALUES (%s)"


class Takers:
    """See the module."""

    tables: tuple[LiteralString, ...] = (
        *(
            f"CREATE TABLE IF NOT EXISTS {t}"
            " (id text NOT NULL, place bigint NOT NULL, value bigint NOT NULL)"
            for t in TABLES
        ),
        *(f"CREATE INDEX IF NOT EXISTS {t[8:]}_place ON {t} (place)" for t in TABLES),
        "CREATE TABLE IF NOT EXISTS bascule.taker_entry ("
        " seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL)",
    )
    grants: tuple[LiteralString, ...] = tuple(
        f"GRANT SELECT, INSERT ON {t} TO {{role}}" for t in (*TABLES, "bascule.taker_entry")
    )
    final_read: LiteralString = """
        SELECT kind, id, content FROM (
            SELECT 'row' AS kind, id, '' AS content, 0 AS part, seq AS nr FROM bascule.taker_entry
            UNION ALL
            SELECT 'state', id, place::text, 1, place FROM (
                SELECT id, place FROM bascule.taker_a
                UNION ALL SELECT id, place FROM bascule.taker_b
            ) AS takers
        ) AS everything
        ORDER BY part, nr, id
    """

    def __init__(self, options: WriteSkewOptions) -> None:
        self._options = options

    def opening(self) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """No place is taken."""
        return ()

    async def run(self, load: SiteLoad) -> None:
        """Take places, at the rate that was asked for."""
        config = load.config
        round_s = config.workers / config.rate_per_s
        first, step = numbers_of(config)
        isolation = LEVELS[self._options.isolation]

        def next_work(worker: int, n: int) -> Work:
            id_ = f"{config.site}-{worker}-{n}"
            place, number = int(time.monotonic() / round_s), first + worker + n * step

            async def take(transaction: Transaction) -> WorkResult:
                found: list[str] = []
                for look in _LOOK:
                    rows = (await transaction.execute(look, (place,))).rows
                    found += [str(taker) for (taker,) in rows]
                if not found:
                    await transaction.execute(_TAKE[number % 2], (id_, place, 3 * number))
                await transaction.execute(ADD_ENTRY, (id_,))
                return {"found": ",".join(found)}

            return Work(
                id=id_, apply=take, isolation=isolation, about={"op": "take", "place": place}
            )

        await run_paced(load, next_work)
