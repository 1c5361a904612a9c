"""When which site could not be served, and why: computed from what was broken. Pure.

The service is due while the topology is supposed to tolerate what is broken, and from the sites
that can be served (``cluster.topology.promises``). What is broken follows from the events: a fault
that struck and was not healed yet, and the effect that its kind says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from chaos.evidence.events import FaultHealed, FaultStruck, LeaderSeen, RoleSeen
from chaos.evidence.run import Run
from chaos.faults.base import Effect
from chaos.faults.broken import NOTHING, all_of, broken_by
from chaos.faults.registry import FAULTS
from chaos.faults.targets import find_victim
from chaos.timing.failover import FAULT_GRACE_S
from chaos.timing.model import NotDue, ServiceGap
from chaos.timing.settings import shape_of_run
from cluster.topology.promises import Broken, Promise, ServiceKind, promise, promises
from cluster.topology.quorum import Shape, client_of_sites


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lasting:
    """A fault that is in force from ``from_s`` to ``to_s``."""

    from_s: float
    to_s: float
    left: Broken


def not_due(run: Run, service: ServiceKind = "write") -> Mapping[str, tuple[NotDue, ...]]:
    """By site, when it could not be served, in order.

    Where the record does not show who led, a site counts as one that cannot be served only if that
    is so whoever led: a demand is never dropped by a guess.
    """
    shape = shape_of_run(run)
    lasting = tuple(_lasting(run))
    found: dict[str, list[NotDue]] = {}
    moments = sorted({moment for one in lasting for moment in (one.from_s, one.to_s)})
    for from_s, to_s in pairwise([*moments, math.inf]):
        here = [one for one in lasting if one.from_s <= from_s < one.to_s]
        if not here:
            continue
        heals = not any(one.from_s <= to_s < one.to_s for one in lasting)
        for site, why in _unservable(run, shape, here, from_s, service):
            before = found.setdefault(site, [])
            if before and before[-1].to_s == from_s:
                before[-1] = replace(before[-1], to_s=to_s, healed_after=heals)
            else:
                before.append(NotDue(from_s=from_s, to_s=to_s, why=why, healed_after=heals))
    return {site: tuple(stretches) for site, stretches in found.items()}


def due_parts(gap: ServiceGap, stretches: Sequence[NotDue]) -> Iterator[tuple[ServiceGap, bool]]:
    """The parts of a gap that lie outside of the stretches, in order.

    Yields:
        Each part, and whether it follows a stretch that a heal of everything ended. The last part
        of an open gap is open.
    """
    from_s, after_heal = gap.from_s, False
    for stretch in stretches:
        if stretch.to_s <= from_s or stretch.from_s >= gap.to_s:
            continue
        if stretch.from_s > from_s:
            yield ServiceGap(from_s=from_s, to_s=stretch.from_s), after_heal
        from_s, after_heal = stretch.to_s, stretch.healed_after
    if from_s < gap.to_s:
        yield ServiceGap(from_s=from_s, to_s=gap.to_s, open=gap.open), after_heal


def longest_due_parts(
    gaps: Iterable[ServiceGap], stretches: Sequence[NotDue]
) -> tuple[ServiceGap | None, ServiceGap | None]:
    """The longest part of gaps in which the site was to be served: of those that follow no heal of
    everything, and of those that do."""
    due: list[ServiceGap] = []
    after_heal: list[ServiceGap] = []
    for gap in gaps:
        for part, is_after_heal in due_parts(gap, stretches):
            (after_heal if is_after_heal else due).append(part)
    return (
        max(due, key=lambda gap: gap.gap_s, default=None),
        max(after_heal, key=lambda gap: gap.gap_s, default=None),
    )


def _lasting(run: Run) -> Iterator[_Lasting]:
    """What was broken, from when to when."""
    heals = run.events_of(FaultHealed)
    for struck in run.events_of(FaultStruck):
        left = _left_broken(run, struck)
        if not left:
            continue
        ends = [
            heal.t_s
            for heal in heals
            if (heal.fault, heal.target) == (struck.fault, struck.target) and heal.t_s > struck.t_s
        ]
        yield _Lasting(from_s=struck.t_s, to_s=min(ends, default=math.inf), left=left)


def _left_broken(run: Run, struck: FaultStruck) -> Broken:
    """Nothing, where the fault or its victim is not known here, or where it does not last."""
    kind = FAULTS.get(struck.fault)
    if kind is None or not kind.lasts or struck.target is None:
        return NOTHING
    hosts = find_victim(struck.target, run.info.layout).hosts
    if not set(hosts) <= set(run.info.layout.hosts):
        return NOTHING
    effects = {
        kind.effect(step.params) for step in run.info.scenario.faults if step.fault == struck.fault
    }
    # By hand it strikes with parameters that no scenario has; with several, nobody knows which.
    effect: Effect = kind.effect(kind.params()) if not effects else "unpredicted"
    return broken_by(effects.pop() if len(effects) == 1 else effect, hosts)


def _unservable(
    run: Run, shape: Shape, here: Sequence[_Lasting], at_s: float, service: ServiceKind
) -> Iterator[tuple[str, str]]:
    """The sites that cannot be served from a moment on, and why."""
    left = all_of(one.left for one in here)
    primary = leader_at(run, at_s)
    found: tuple[Promise, ...]
    if primary is None:
        found = promises(shape, left)
    else:
        known = _known(shape, primary, here)
        found = (promise(shape, left, primary, known=known),)
    for site in dict.fromkeys(shape.clients.values()):
        whys = [one.why_not(site, service) for one in found]
        if service == "read-replica":
            whys = [
                why or _why_stopping(shape, left, one, site)
                for why, one in zip(whys, found, strict=True)
            ]
        if whys and all(whys):
            yield site, whys[0]


def _why_stopping(shape: Shape, left: Broken, found: Promise, site: str) -> str:
    """Why a site cannot be read to by the only server it reaches; empty where it can.

    A primary that gives up the lead is stopped and comes back as a replica. While it stops it takes
    nobody, and first sends its replicas what they lack; those that it does not reach it waits for
    until ``wal_sender_timeout``, a minute by default (PostgreSQL manual, "Replication" settings; a
    drill ``site-cut`` shows it). What a topology promises is what comes after that.
    """
    hosts = frozenset({*shape.nodes, *shape.etcd, *shape.clients})
    reached = left.sides(hosts)[client_of_sites(shape)[site]] & frozenset(shape.nodes)
    serving = {one for one in reached if one == found.primary or shape.may_be_read(one)}
    if found.leads or serving != {found.primary}:
        return ""
    return (
        f"{site} reaches {found.primary} alone, which gives up the lead, and while it stops waits "
        "for replicas that it does not reach"
    )


def _known(shape: Shape, primary: str, here: Sequence[_Lasting]) -> frozenset[str]:
    """The replicas that Patroni knew when the primary was lost: not those lost long before."""
    replicas = frozenset(shape.nodes) - {primary}
    hits_s = [one.from_s for one in here if _touches(one.left, primary)]
    if not hits_s:
        return replicas
    before = all_of(one.left for one in here if one.from_s < min(hits_s) - FAULT_GRACE_S)
    return before.sides(frozenset(shape.nodes))[primary] - {primary} or replicas


def _touches(left: Broken, host: str) -> bool:
    return host in left.dark | left.silent or any(host in group for group in left.apart)


def leader_at(run: Run, at_s: float) -> str | None:
    """Who led at a moment, as the last who is known to have led; None if the record is silent."""
    held = [event.holder for event in run.events_of(LeaderSeen) if event.t_s <= at_s]
    known = [holder for holder in held if holder in run.info.main_nodes]
    if known:
        return known[-1]
    seen = [
        event.node for event in run.events_of(RoleSeen) if event.t_s <= at_s if event.is_primary
    ]
    return seen[-1] if seen and seen[-1] in run.info.main_nodes else None
