"""Somebody makes a replica the primary by hand (``patronictl failover``), perhaps the wrong one.

A failover by hand is not bound by what Patroni demands of one that it decides itself: with a
candidate that was named, the quorum is not asked (patroni/ha.py, ``is_failover_possible``), and a
candidate that finds no leader takes the lead as it is (``manual_failover_process_no_leader``). What
only others had is lost. A candidate that nobody can reach is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage, nothing_to_undo
from chaos.faults.switchover import cannot_take_over
from chaos.faults.targets import Victim
from cluster import maintenance
from cluster.errors import PatroniError
from cluster.patroni.rest import MemberAnswer, Said
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology
from cluster.whole import PRIMARY_ROLES

KEY = "failover-by-hand"
ASK_TIMEOUT_S = 60.0
"""Patroni itself watches for 20 s, or twice ``loop_wait``, what becomes of it."""
PROMOTE_TIMEOUT_S = 30.0
"""Beyond ``ttl``: while the key of a lost leader lasts, nobody takes the lead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverByHandParams(FaultParams):
    """To whom, and what must come of it."""

    candidate: str | None = None
    """None: of the replicas that answer, the one that is furthest behind."""
    refused: bool | None = None
    """Patroni must refuse; None: it must do it."""


def read(table: TomlTable) -> FailoverByHandParams:
    """``candidate`` and ``refused``."""
    return FailoverByHandParams(
        candidate=table.name("candidate") if table.has("candidate") else None,
        refused=table.flag("refused") if table.has("refused") else None,
    )


async def fail_over(stage: Stage, victim: Victim, params: FailoverByHandParams) -> str:
    """``POST /failover``. Proof: the candidate is the primary; or it was refused and is not."""
    topology = stage.cluster.leading
    answers = await stage.cluster.members()
    members = {node: answers[node] for node in topology.nodes}
    able = {node: one for node, one in members.items() if topology.host(node).tags.may_lead}
    candidate = params.candidate or furthest_behind(able)
    if candidate is None:
        raise PatroniError("no replica answers: there is no candidate for a failover by hand")
    if params.refused:
        said = await _ask(stage, candidate, members)
        return await _was_refused(stage, candidate, said)
    return await promote(stage, candidate, members)


async def promote(stage: Stage, candidate: str, members: Mapping[str, MemberAnswer | None]) -> str:
    """Ask for a failover to ``candidate``; what was done, in words, once it leads.

    Raises:
        PatroniError: nobody answered, or it does not lead after ``ttl`` and a promotion.
    """
    said = await _ask(stage, candidate, members)
    ttl_s = stage.cluster.substrate.topology.cluster.ttl_s

    async def leads() -> bool:
        member = await stage.cluster.rest[candidate].member()
        return member is not None and member.role in PRIMARY_ROLES and member.state == "running"

    otherwise = f"{candidate} did not take the lead: {said.words}"
    await maintenance.wait_for(leads, otherwise, timeout_s=ttl_s + PROMOTE_TIMEOUT_S)
    before = _position(members[candidate])
    return f"{candidate} was made the primary by hand ({before}): {said.words}"


async def _ask(stage: Stage, candidate: str, members: Mapping[str, MemberAnswer | None]) -> Said:
    """Ask a member that answers, the candidate last: it may be the one that is out of reach."""
    order = sorted(
        (node for node, member in members.items() if member is not None),
        key=lambda node: node == candidate,
    )
    for node in order:
        said = await stage.cluster.rest[node].ask(
            "POST", "/failover", {"candidate": candidate}, timeout_s=ASK_TIMEOUT_S
        )
        if said is not None:
            return said
    raise PatroniError(f"nobody answered the failover to {candidate}")


async def _was_refused(stage: Stage, candidate: str, said: Said) -> str:
    member = await stage.cluster.rest[candidate].member()
    if said.is_done or (member is not None and member.role in PRIMARY_ROLES):
        raise PatroniError(f"the failover to {candidate} was not refused: {said.words}")
    return f"the failover to {candidate} was refused: {said.words}"


def furthest_behind(members: Mapping[str, MemberAnswer | None]) -> str | None:
    """Of the replicas that answer, the one with the least WAL. Pure."""
    known = {
        node: position
        for node, member in members.items()
        if member is not None
        and member.role not in PRIMARY_ROLES
        and (position := _received(member)) is not None
    }
    return min(known, key=lambda node: known[node]) if known else None


def _received(member: MemberAnswer) -> int | None:
    if member.xlog is None:
        return None
    found = [at for at in (member.xlog.received_location, member.xlog.replayed_location) if at]
    return max(found, default=None)


def _position(member: MemberAnswer | None) -> str:
    at = None if member is None else _received(member)
    return "its WAL is unknown" if at is None else f"its WAL ended at {at >> 32:X}/{at % 2**32:X}"


def is_no_candidate(
    params: FailoverByHandParams, topology: Topology, hosts: Sequence[str]
) -> str | None:
    """Only a host with PostgreSQL can take over, and only where there are two."""
    if len(topology.main.nodes) < 2:
        return f"{KEY} needs two PostgreSQL: in the topology {topology.name} there is one"
    if params.candidate is None or (params.refused and params.candidate in topology.nodes):
        return None
    return cannot_take_over(params.candidate, topology)


FAILOVER_BY_HAND = FaultKind(
    key=KEY,
    words=FaultWords(
        title="failover by hand",
        healed="failover undone",
        noun=lambda _: "the failover by hand",
        clause=lambda _: "a failover by hand",
    ),
    params=FailoverByHandParams,
    read=read,
    takes=("cluster",),
    needs=(),
    lasts=False,
    effect=lambda params: "unpredicted",
    strike=fail_over,
    undo=nothing_to_undo,
    draw=None,  # it may lose what was acknowledged, and it is meant to
    impossible=is_no_candidate,
)
