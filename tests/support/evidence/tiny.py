"""Tiny runs written by hand: two sites, a handful of operations, every field within reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from chaos.evidence.events import Phase, PhaseBegan, RunEvent, decode_event
from chaos.evidence.records import (
    FinalRead,
    LedgerRow,
    Operation,
    OperationOutcome,
    Scalar,
    SiteHistory,
    Stall,
)
from chaos.evidence.run import HostInfo, Run, RunInfo, SiteInfo
from chaos.faults.targets import PRIMARY
from chaos.scenarios.model import Expectations, Failover, FaultStep, Scenario, WorkloadSpec

A, B, C = "db-paris", "db-orsay", "db-lyon"
SITES = ("paris", "orsay")
POWER_CUT = FaultStep(fault="host-power-cut", target=PRIMARY, at_s=0.0)
SWITCHOVER = FaultStep(fault="switchover", target=PRIMARY, at_s=0.0)


ASKED: Mapping[str, Scalar] = {
    "durability": "quorum",
    "rate_per_s": 10,
    "ttl_s": 20,
    "loop_wait_s": 5,
    "retry_timeout_s": 5,
    "deadline_s": 20,
}
"""The settings that ``run`` asks for."""


def op(
    id_: str,
    at_s: float,
    *,
    took_s: float = 0.005,
    outcome: OperationOutcome = "ok",
    site: str = "paris",
    node: str | None = A,
    timeline: int | None = 1,
    lsn: int | None = 100,
    attempt_s: float | None = None,
    resolved: bool = False,
    ended: bool = True,
    stopped: bool = False,
    attempts: int = 1,
    leaves_entry: bool = True,
    work: Mapping[str, Scalar] | None = None,
    result: Mapping[str, Scalar] | None = None,
    shared_unit: str | None = None,
) -> Operation:
    """An operation that began at ``at_s`` and, by default, was acknowledged 5 ms later."""
    return Operation(
        id=id_,
        site=site,
        worker=0,
        invoked_s=at_s,
        ended_s=at_s + took_s if ended else None,
        outcome=outcome,
        node=node,
        timeline=timeline,
        lsn=lsn,
        attempt_s=at_s if attempt_s is None else attempt_s,
        resolved=resolved,
        stopped=stopped,
        attempts=attempts,
        leaves_entry=leaves_entry,
        work=work or {},
        result=result or {},
        shared_unit=shared_unit,
    )


def load(
    from_s: float,
    to_s: float,
    *,
    every_s: float = 0.1,
    site: str = "paris",
    node: str = A,
    timeline: int = 1,
) -> list[Operation]:
    """Regular acknowledged operations in ``from_s..to_s``; ids say site and moment."""
    count = round((to_s - from_s) / every_s)
    moments = [from_s + index * every_s for index in range(count)]
    return [
        op(f"{site}-{moment:.3f}", moment, site=site, node=node, timeline=timeline)
        for moment in moments
    ]


def event(t_s: float, kind: str, **fields: Scalar) -> RunEvent:
    """One event, by the kind and the fields of its line."""
    return decode_event({"t_s": t_s, "kind": kind, **fields})


def life(
    *, timeline: int = 1, fault_s: float | None = None, settled: bool = True
) -> list[RunEvent]:
    """The phases of a drill: steady from 0, recovery at 40, quiesce at 50, done at 52.

    Before that the settings that ``run`` asks for were found, and A in the lead.
    """
    fault = [event(fault_s, "phase", phase="fault")] if fault_s is not None else []
    whole = [event(45.0, "settled", timeline=timeline)] if settled else []
    return [
        event(-2.0, "role", node=A, role="primary", timeline=1),
        settings_event(),
        event(0.0, "phase", phase="steady"),
        *fault,
        event(40.0, "phase", phase="recovery"),
        *whole,
        event(50.0, "phase", phase="quiesce"),
        event(51.0, "phase", phase="final-read"),
        event(52.0, "phase", phase="done"),
    ]


def is_phase(found: RunEvent, phase: Phase) -> bool:
    """That phase began."""
    return isinstance(found, PhaseBegan) and found.phase == phase


def settings_event(**other: Scalar) -> RunEvent:
    """What was found in force; ``other`` differs from what ``run`` asks for."""
    found: dict[str, Scalar] = {
        "ttl_s": 20,
        "loop_wait_s": 5,
        "retry_timeout_s": 5,
        "synchronous_mode": "quorum",
        "synchronous_standby_names": f'ANY 1 ("{B}")',
    }
    return event(-1.5, "settings", **(found | other))


def rows(ids: Iterable[str]) -> tuple[LedgerRow, ...]:
    """Ledger rows whose content follows from the id."""
    return tuple(LedgerRow(id=id_, content=f"content of {id_}") for id_ in ids)


def read(node: str, ids: Iterable[str], *, primary: bool = False, timeline: int = 1) -> FinalRead:
    """A node's final read."""
    return FinalRead(node=node, rows=rows(ids), timeline=timeline, lsn=10_000, is_primary=primary)


def scenario(
    *,
    rto_s_max: float = 30.0,
    lost_max: int = 0,
    failover: Failover = "may",
    faults: tuple[FaultStep, ...] = (),
    durability: Literal["quorum", "async"] | None = "quorum",
    workload: WorkloadSpec | None = None,
) -> Scenario:
    """A scenario with the expectations of a test."""
    return Scenario(
        name="tiny",
        title="A tiny run",
        description="Written by hand.",
        durability=durability,
        steady_s=5.0,
        fault_s=1.0,
        after_heal_s=5.0,
        heal_when_service_is_back=True,
        recovery_s_max=20.0,
        faults=faults,
        expect=Expectations(rto_s_max=rto_s_max, lost_max=lost_max, failover=failover),
        workload=workload or WorkloadSpec(),
    )


def run(
    operations: Sequence[Operation] = (),
    *,
    reads: Sequence[FinalRead] | None = None,
    events: Sequence[RunEvent] | None = None,
    asked: Scenario | None = None,
    stalls: Sequence[Stall] = (),
    complete: bool = True,
    damage: tuple[str, ...] = (),
    settings: Mapping[str, Scalar] | None = None,
) -> Run:
    """A run. By default every acknowledged operation is on both nodes, and A is the primary."""
    acknowledged = [operation.id for operation in operations if operation.outcome == "ok"]
    reads = [read(A, acknowledged, primary=True), read(B, acknowledged)] if reads is None else reads
    sites = sorted({operation.site for operation in operations} or {"paris"}, reverse=True)
    return Run(
        info=RunInfo(
            scenario=asked or scenario(),
            command="bascule drill tiny --seed 7",
            seed=7,
            started_at="2026-11-24T03:50:00.000Z",
            started_t_s=-5.0,
            topology="two-sites",
            sites=tuple(_site(name, "client" if name in sites else "etcd") for name in SITES),
            settings=dict(ASKED) | dict(settings or {}),
            versions={"postgresql": "18.6"},
            substrate={"name": "lab"},
        ),
        events=tuple(sorted(life() if events is None else events, key=lambda found: found.t_s)),
        histories=tuple(
            SiteHistory(
                site=site,
                operations=tuple(found for found in operations if found.site == site),
                stalls=tuple(stall for stall in stalls if stall.site == site),
                complete=complete,
            )
            for site in sites
        ),
        final_reads=tuple(reads),
        damage=damage,
    )


def with_third(judged: Run) -> Run:
    """The same run with a third PostgreSQL, so that two are left to acknowledge when one is lost;
    it holds what B holds."""
    sites = (
        *judged.info.sites,
        SiteInfo(name="lyon", hosts=(HostInfo(name=C, roles=("postgres",)),)),
    )
    copies = [
        replace(found, node=C, is_primary=False) for found in judged.final_reads if found.node == B
    ]
    return replace(
        judged,
        info=replace(judged.info, sites=sites),
        final_reads=(*judged.final_reads, *copies),
    )


def with_three_sites(judged: Run) -> Run:
    """The same run on three sites, each with PostgreSQL, etcd and a client."""
    sites = tuple(
        SiteInfo(
            name=name,
            hosts=tuple(
                HostInfo(name=f"{host}-{name}", roles=(role,))
                for host, role in (("db", "postgres"), ("dcs", "etcd"), ("app", "client"))
            ),
        )
        for name in (*SITES, "lyon")
    )
    return replace(judged, info=replace(judged.info, sites=sites))


def _site(name: str, role: str) -> SiteInfo:
    return SiteInfo(
        name=name,
        hosts=(
            HostInfo(name=f"db-{name}", roles=("postgres",)),
            HostInfo(name=f"app-{name}", roles=(role,)),
        ),
    )
