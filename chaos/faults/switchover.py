"""A planned switchover, as before maintenance: no fault, but the outage that one plans for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage, nothing_to_undo
from chaos.faults.targets import Victim
from chaos.wording import joined
from cluster.errors import HostError
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

TIMEOUT_S = 45.0
"""Patroni itself gives up after ``loop_wait`` and some seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchoverParams(FaultParams):
    """Who takes over."""

    candidate: str | None = None
    """None: the member that Patroni prefers."""
    back: bool | None = None
    """To the member that led when the first fault of the drill struck."""


def read(table: TomlTable) -> SwitchoverParams:
    """``candidate`` and ``back``."""
    return SwitchoverParams(
        candidate=table.name("candidate") if table.has("candidate") else None,
        back=table.flag("back") if table.has("back") else None,
    )


async def hand_over(stage: Stage, victim: Victim, params: SwitchoverParams) -> str:
    """Ask Patroni to; returns its words once the new primary has the role.

    Raises:
        HostError: there is no way back: nobody led before, or that member leads still.
    """
    candidate = params.candidate
    if params.back:
        candidate = stage.led_first
        if candidate is None:
            words = "a switchover back needs a fault before it in the same drill: nobody led before"
            raise HostError(words, host=victim.name)
        if candidate == victim.name:
            raise HostError(f"{candidate} leads already: no switchover leads back", host=candidate)
    return await stage.cluster.switchover(victim.name, candidate, timeout_s=TIMEOUT_S)


def is_no_candidate(
    params: SwitchoverParams, topology: Topology, hosts: Sequence[str]
) -> str | None:
    """Only a host with PostgreSQL can take over, and only one."""
    if params.back and params.candidate is not None:
        return f"a switchover goes to {params.candidate} (candidate) or back (back), not both"
    return None if params.candidate is None else cannot_take_over(params.candidate, topology)


def cannot_take_over(candidate: str, topology: Topology) -> str | None:
    """Why a host can never be the primary; None if it can."""
    if candidate not in topology.main.nodes:
        nodes = ", ".join(topology.main.nodes)
        return f"{candidate} cannot take over: PostgreSQL of {topology.name} is on {nodes}"
    if not topology.host(candidate).tags.may_lead:
        return f"{candidate} cannot take over: it has the tag nofailover, which Patroni heeds"
    return None


SWITCHOVER = FaultKind(
    key="switchover",
    words=FaultWords(
        title="switchover",
        healed="switchover undone",
        noun=lambda hosts: f"the switchover away from {joined(hosts)}",
        clause=lambda hosts: f"a switchover away from {joined(hosts)}",
    ),
    params=SwitchoverParams,
    read=read,
    takes=("primary",),
    needs=(),
    lasts=False,
    effect=lambda params: "hand-over",
    strike=hand_over,
    undo=nothing_to_undo,
    draw=lambda random: SwitchoverParams(),
    impossible=is_no_candidate,
)
