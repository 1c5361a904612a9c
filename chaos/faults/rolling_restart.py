"""All members are restarted under load, as for a minor version of PostgreSQL.

The replicas first, one after another; then the lead is handed over, and the old primary restarted
as a replica (PostgreSQL manual, upgrading; Patroni docs). Before each step the cluster is whole.
"""

from __future__ import annotations

from chaos.faults.base import (
    NO_PARAMS,
    FaultKind,
    FaultParams,
    FaultWords,
    Stage,
    nothing_to_undo,
)
from chaos.faults.switchover import TIMEOUT_S
from chaos.faults.targets import Victim
from cluster import maintenance

KEY = "rolling-restart"
WHOLE_TIMEOUT_S = 60.0
"""A replica streams again after seconds; one that was the primary may have to be rewound."""


async def walk(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Replicas, switchover, old primary. Proof: every member runs a new postmaster."""
    cluster = stage.cluster
    primary = await maintenance.wait_primary(cluster, timeout_s=TIMEOUT_S)
    replicas = [node for node in cluster.rest if node != primary]
    for node in replicas:
        await maintenance.restart(cluster, node)
        await maintenance.wait_whole(cluster, f"the restart of {node}", timeout_s=WHOLE_TIMEOUT_S)
    if not replicas:
        await maintenance.restart(cluster, primary)
        return f"restarted {primary}, the only member"
    old, new = await maintenance.switch_over(cluster, timeout_s=TIMEOUT_S)
    await maintenance.wait_whole(cluster, "the switchover", timeout_s=WHOLE_TIMEOUT_S)
    await maintenance.restart(cluster, old)
    await maintenance.wait_whole(cluster, f"the restart of {old}", timeout_s=WHOLE_TIMEOUT_S)
    return f"restarted {', '.join(replicas)}, handed the lead from {old} to {new}, restarted {old}"


ROLLING_RESTART = FaultKind(
    key=KEY,
    words=FaultWords(
        title="rolling restart",
        healed="restarted",
        noun=lambda _: "the rolling restart",
        clause=lambda _: "a rolling restart",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=("cluster",),
    needs=(),
    lasts=False,
    effect=lambda params: "hand-over",
    strike=walk,
    undo=nothing_to_undo,
    draw=lambda random: NO_PARAMS,
)
