"""A parameter of PostgreSQL is changed that needs a restart, and every member is restarted.

As an operator does it: the change in Patroni's dynamic configuration, "pending restart" on every
member, then restarts one after another. ``max_connections`` goes up on the standbys first, and down
on the primary first (PostgreSQL manual, hot standby, administrator's overview).
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.base import FaultKind, FaultParams, Stage
from chaos.faults.configuration import (
    WHOLE_TIMEOUT_S,
    configuration_words,
    configured,
    put_back,
)
from chaos.faults.targets import Victim
from chaos.wording import joined
from cluster import maintenance
from cluster.errors import PatroniError
from cluster.toml.reader import TomlTable

PARAMETER = "max_connections"
MORE = 20
MORE_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChangeParams(FaultParams):
    """By how much."""

    more: int | None = None
    """How many connections more than the topology gives; None: ``MORE``."""


def read(table: TomlTable) -> ConfigChangeParams:
    """``more``."""
    if not table.has("more"):
        return ConfigChangeParams()
    more = table.number("more", minimum=1, maximum=MORE_MAX)
    return ConfigChangeParams(more=int(more))


async def change(stage: Stage, victim: Victim, params: ConfigChangeParams) -> str:
    """Change, see that a restart is pending everywhere, restart. Proof: none is pending then."""
    value = int(str(configured(stage, PARAMETER))) + (params.more or MORE)
    answering = await maintenance.change(
        stage.cluster, maintenance.with_parameter(PARAMETER, value)
    )
    waiting = await maintenance.pending(stage.cluster)
    if absent := [node for node in answering if node not in waiting]:
        raise PatroniError(f"{PARAMETER} = {value} has no restart pending on {joined(absent)}")
    restarted = await maintenance.restart_pending(
        stage.cluster, primary_first=False, timeout_s=WHOLE_TIMEOUT_S
    )
    await _none_pending(stage)
    return f"{PARAMETER} = {value}: pending everywhere, then restarted {', '.join(restarted)}"


async def change_back(stage: Stage, victim: Victim, params: ConfigChangeParams) -> str:
    """As before, everywhere."""
    done = await put_back(stage, PARAMETER)
    await _none_pending(stage)
    return done


async def _none_pending(stage: Stage) -> None:
    async def is_none() -> bool:
        return not await maintenance.pending(stage.cluster)

    timeout_s = stage.cluster.substrate.topology.cluster.loop_wait_s + maintenance.LOOK_SLACK_S
    await maintenance.wait_for(is_none, "a restart is still pending", timeout_s=timeout_s)


CONFIG_CHANGE = FaultKind(
    key="config-change",
    words=configuration_words(
        "configuration changed", noun="the change of the configuration", state="changed"
    ),
    params=ConfigChangeParams,
    read=read,
    takes=("cluster",),
    needs=(),
    lasts=True,
    # The primary restarts when the replicas have: nobody knows how long those take.
    effect=lambda params: "unpredicted",
    strike=change,
    undo=change_back,
    draw=lambda random: ConfigChangeParams(more=random.randint(1, 50)),
)
