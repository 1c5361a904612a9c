"""PostgreSQL of a member is restarted through Patroni, as an operator does after a change."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.faults.base import (
    NO_PARAMS,
    FaultKind,
    FaultParams,
    FaultWords,
    Stage,
    nothing_to_undo,
)
from chaos.faults.roles import only_with
from chaos.faults.targets import MEMBERS, Victim
from chaos.wording import joined
from cluster import maintenance

KEY = "patroni-restart"


async def restart(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """``POST /restart``. Proof: the member runs another postmaster than before."""
    took_s = await maintenance.restart(stage.cluster, victim.name)
    return f"Patroni restarted PostgreSQL in {took_s:.1f} s: a new postmaster runs"


def _restart_of(hosts: Sequence[str]) -> str:
    return f"the restart of PostgreSQL on {joined(hosts)}"


PATRONI_RESTART = FaultKind(
    key=KEY,
    words=FaultWords(
        title="restart",
        healed="restarted",
        noun=_restart_of,
        clause=_restart_of,
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=MEMBERS,
    needs=(),
    lasts=False,
    effect=lambda params: "restart",
    strike=restart,
    undo=nothing_to_undo,
    draw=lambda random: NO_PARAMS,
    impossible=only_with("postgres", KEY),
)
