"""Maintenance mode (``patronictl pause``): while it lasts, Patroni replaces no dead primary.

In maintenance mode Patroni neither promotes nor demotes nor starts anything by itself (Patroni
docs, pause/resume). Somebody forgets to resume, and the next crash is an outage for as long.
"""

from __future__ import annotations

from chaos.faults.base import NO_PARAMS, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.targets import Victim
from cluster import maintenance
from cluster.errors import PatroniError

KEY = "pause"


async def pause(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """``PATCH /config``. Proof: every member that answers says that it is paused."""
    await maintenance.change(stage.cluster, {"pause": True})
    paused = await _wait_paused(stage, wanted=True)
    return f"maintenance mode is on: {', '.join(paused)} say so"


async def resume(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Take it back. Proof: no member says that it is paused."""
    await maintenance.change(stage.cluster, {"pause": None})
    await _wait_paused(stage, wanted=False)
    return "maintenance mode is off"


async def _wait_paused(stage: Stage, *, wanted: bool) -> tuple[str, ...]:
    """Wait until every member that answers is paused, or none; who answers."""
    cluster = stage.cluster
    loop_wait_s = cluster.substrate.topology.cluster.loop_wait_s
    answering: tuple[str, ...] = ()

    async def agree() -> bool:
        nonlocal answering
        found = {node: one for node, one in (await cluster.members()).items() if one is not None}
        answering = tuple(found)
        return bool(found) and all(one.pause is wanted for one in found.values())

    state = "in" if wanted else "out of"
    otherwise = f"not every member is {state} maintenance mode"
    timeout_s = loop_wait_s + maintenance.LOOK_SLACK_S
    await maintenance.wait_for(agree, otherwise, timeout_s=timeout_s)
    if not answering:
        raise PatroniError(otherwise)
    return answering


PAUSE = FaultKind(
    key=KEY,
    words=FaultWords(
        title="maintenance mode",
        healed="resumed",
        noun=lambda _: "the maintenance mode",
        clause=lambda _: "the cluster was in maintenance mode",
        broken=lambda _: "the cluster is in maintenance mode",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=("cluster",),
    needs=(),
    lasts=True,
    # Alone it interrupts nothing, but it changes what every other fault does.
    effect=lambda params: "unpredicted",
    strike=pause,
    undo=resume,
    draw=lambda random: NO_PARAMS,
)
