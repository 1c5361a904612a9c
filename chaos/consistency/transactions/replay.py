"""Whether an order of transactions is one that a level takes, whatever they did. Pure.

Nothing of the judge's reasoning is used: no version, no dependency, no graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chaos.consistency.levels import Level
from chaos.consistency.transactions.columns import FAIL, OK, Bools, Transactions
from chaos.consistency.transactions.order import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of it."""

    checked: int
    """So many reads were compared."""
    wrong: str = ""
    """The first thing that the order does not explain; empty: it explains everything."""
    how: str = ""
    """What was compared, where a model can show a level in several ways."""


def order_breaks(history: Transactions, took_part: Bools, timeline: Timeline, level: Level) -> str:
    """Whether an order breaks its own form, the sessions' or the clock's; empty: it does not.

    It has every transaction that was acknowledged, and none that failed.
    """
    if (took_part & (history.outcome == FAIL)).any() or ((history.outcome == OK) > took_part).any():
        return "the order lacks an acknowledged transaction, or has a failed"
    who = np.flatnonzero(took_part)
    read_at, commit_at = timeline.read_at[who], timeline.commit_at[who]
    if timeline.is_split and (read_at >= commit_at).any():
        return "a transaction commits before it reads"
    ok = history.outcome[who] == OK
    if level.order == "session":
        mine = who[ok]
        mine = mine[np.lexsort((history.ended[mine], history.process[mine]))]
        same = history.process[mine][1:] == history.process[mine][:-1]
        late = timeline.commit_at[mine][:-1] >= timeline.read_at[mine][1:]
        if (same & late).any():
            return "two transactions of a session stand the other way round"
    if level.order == "clock" and len(who):
        by_read = np.argsort(read_at, kind="stable")
        latest_begin = np.maximum.accumulate(history.began[who][by_read])
        earlier = np.searchsorted(read_at[by_read], commit_at[ok], "left") - 1
        some = earlier >= 0
        if (latest_begin[earlier[some]] > history.ended[who][ok][some]).any():
            return "a transaction stands before one that had ended before it began"
    return ""
