"""The proof of VALID: an order of calls, replayed one at a time by a function without a search."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.consistency.calls import Call
from chaos.consistency.objects import ILLEGAL, SequentialObject


def objection(order: Sequence[Call], calls: Sequence[Call], on: SequentialObject) -> str | None:
    """What is wrong with an order; None when it explains the history.

    Three things make it right: it holds every closed call once and open ones at most once, the
    object can answer so one call at a time, and no call stands behind one that began after its end.

    Args:
        order: The order that is to explain the calls.
        calls: The calls of the history, on one object.
        on: The object.

    Returns:
        A sentence on the first thing that is wrong.
    """
    placed = {call.began for call in order}
    if len(placed) != len(order):
        return "A call stands twice in the order."
    if not placed <= {call.began for call in calls}:
        return "The order holds a call that is not in the history."
    for call in calls:
        if not call.is_open and call.began not in placed:
            return f"The order lacks {call}."
    state = on.opening
    latest: Call | None = None
    for call in order:
        before, state = state, on.after(state, call)
        if state is ILLEGAL:
            return f"The answer of {call} is wrong: before it there was {on.describe(before)}."
        if latest is not None and call.ended is not None and call.ended < latest.began:
            return f"{call} had ended before {latest}, which stands before it, began."
        if latest is None or call.began > latest.began:
            latest = call
    return None
