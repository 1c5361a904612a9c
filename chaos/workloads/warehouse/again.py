"""Erasures and oppositions of patients: carried out, and once more after a restore.

A restored database has everybody again who was erased since the point in time, and does not know
it: its own record of withdrawals is as old. So whoever restores needs a register that does not die
with the database. In a drill that is the history of the load processes, which has every withdrawal
that was acknowledged; in a hospital it is a file of the data protection officer's, kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from chaos.evidence.records import Operation
from chaos.workloads.warehouse import WarehouseOptions
from chaos.workloads.warehouse.feed import WITHDRAW
from chaos.workloads.warehouse.stewardship import AskRows, forget_everywhere
from replication.wire import Session

WithdrawalValues = tuple[str, str, int, int, str]
"""The id, the site, its number there, the person, and ``erasure`` or ``opposition``."""

_KNOWN: LiteralString = "SELECT id FROM identity.withdrawal"


async def erase(values: WithdrawalValues, seed: int | None, ask: AskRows) -> None:
    """Take a patient out of the warehouse and of the copies.

    Args:
        values: of the withdrawal.
        seed: of the keys of the workspaces; None: there are none.
        ask: runs its statements; in one transaction where others use the warehouse.
    """
    await ask(WITHDRAW, values)
    if seed is not None:
        await forget_everywhere(seed, values[3], ask)


async def erase_again(
    session: Session, options: WarehouseOptions, operations: Sequence[Operation]
) -> list[str]:
    """Carry out every acknowledged withdrawal that the database does not know; their ids.

    Args:
        session: of the superuser; nobody else is let in yet.
        options: of the workload.
        operations: the register.

    Raises:
        psycopg.Error: the server refused, or was lost.
    """
    known = {id_ for (id_,) in await session.fetch(_KNOWN)}
    missing = [values for values in register(operations) if values[0] not in known]
    for values in missing:
        await erase(values, options.keys_seed, session.fetch)
    return [id_ for id_, *_ in missing]


def register(operations: Sequence[Operation]) -> list[WithdrawalValues]:
    """The withdrawals that were acknowledged, in the order of their acknowledgement. Pure."""
    done = [
        (one.end_s, one)
        for one in operations
        if one.work.get("op") == "withdrawal" and one.outcome == "ok"
    ]
    return [
        (
            one.id,
            one.site,
            int(str(one.work["number"])),
            int(str(one.work["person"])),
            str(one.work["kind"]),
        )
        for _, one in sorted(done, key=lambda found: (found[0], found[1].id))
    ]
