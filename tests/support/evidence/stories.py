"""The stories of the synthetic run folders: one a scenario, and one that broke off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from support.evidence.synthetic_run import NODES, STEADY_BEGIN_S, Reign, Story, scenario

from chaos.evidence.records import Scalar
from chaos.faults.targets import PRIMARY, REPLICAS
from chaos.scenarios.model import Expectations, FaultStep

FAULT_S = 14.3
FIRST, SECOND = "db-paris", "db-orsay"
_OLD = Reign(from_s=0.0, node=FIRST, timeline=1)

_Event = tuple[float, Mapping[str, Scalar]]


def _phase(t_s: float, phase: str) -> _Event:
    return t_s, {"kind": "phase", "phase": phase}


def _role(t_s: float, node: str, role: str, timeline: int = 1, sync: str | None = None) -> _Event:
    fields: dict[str, Scalar] = {
        "kind": "role",
        "node": node,
        "role": role,
        "timeline": timeline,
        "sync": sync,
    }
    return t_s, fields


def _key(t_s: float, holder: str | None, revision: int) -> _Event:
    return t_s, {"kind": "leader-key", "holder": holder, "revision": revision}


def _fault(t_s: float, fault: str, target: str, detail: str) -> _Event:
    fields = {"kind": "fault", "fault": fault, "target": target, "node": target, "detail": detail}
    return t_s, fields


def _heal(t_s: float, fault: str, target: str, detail: str) -> _Event:
    return t_s, {"kind": "heal", "fault": fault, "target": target, "detail": detail}


def _step(elapsed_s: float, step: str) -> _Event:
    return elapsed_s, {"kind": "boot", "step": step, "elapsed_s": elapsed_s}


def _boot(sync: str = "quorum") -> tuple[_Event, ...]:
    steps = (
        ("network", 0.1),
        ("dcs", 0.9),
        ("primary", 2.6),
        ("replicas", 3.4),
        ("protected", 4.1),
    )
    return (
        _phase(0.0, "boot"),
        *(_step(elapsed_s, step) for step, elapsed_s in steps),
        *(_role(0.9, node, "starting") for node in NODES),
        _key(1.9, FIRST, 11),
        _role(2.6, FIRST, "primary"),
        *(_role(3.4, node, "replica", sync=sync) for node in NODES[1:]),
        (
            4.1,
            {
                "kind": "sync-key",
                "leader": FIRST,
                "members": ",".join(NODES[1:]),
                "quorum": 1,
                "revision": 19,
            },
        ),
        _phase(4.1, "preflight"),
        (
            STEADY_BEGIN_S - 0.1,
            {
                "kind": "settings",
                "ttl_s": 20,
                "loop_wait_s": 5,
                "retry_timeout_s": 5,
                "synchronous_standby_names": 'ANY 1 ("db-orsay","db-saint-cloud")'
                if sync == "quorum"
                else "",
                "synchronous_mode": "quorum" if sync == "quorum" else "off",
            },
        ),
        _phase(STEADY_BEGIN_S, "steady"),
    )


def _ending(load_end_s: float, timeline: int) -> tuple[_Event, ...]:
    return (
        (load_end_s - 4.0, {"kind": "settled", "timeline": timeline}),
        _phase(load_end_s, "quiesce"),
        _phase(load_end_s + 1.4, "final-read"),
        _phase(load_end_s + 2.1, "done"),
    )


_POWER_CUT = FaultStep(fault="host-power-cut", target=PRIMARY, at_s=0.0)

HOST_LOSS = Story(
    scenario=scenario(
        "host-loss",
        "Power cut of the primary's host",
        faults=(_POWER_CUT,),
        expect=Expectations(rto_s_max=45.0, failover="must"),
    ),
    load_end_s=50.4,
    reigns=(_OLD, Reign(from_s=FAULT_S + 0.001, node=SECOND, timeline=2)),
    outages={
        "paris": (FAULT_S, FAULT_S + 22.41),
        "orsay": (FAULT_S, FAULT_S + 21.93),
        "saint-cloud": (FAULT_S, FAULT_S + 22.18),
    },
    events=(
        *_boot(),
        _phase(FAULT_S, "fault"),
        _fault(FAULT_S, "host-power-cut", FIRST, "init killed, link down"),
        _role(FAULT_S + 0.2, FIRST, "unreachable"),
        _key(FAULT_S + 18.02, None, 88),
        _key(FAULT_S + 18.31, SECOND, 89),
        _role(FAULT_S + 19.44, SECOND, "primary", 2),
        (
            FAULT_S + 19.44,
            {"kind": "timeline", "timeline": 1, "reason": "no recovery target specified"},
        ),
        _role(FAULT_S + 20.1, NODES[2], "replica", 2, "quorum"),
        _phase(FAULT_S + 23.4, "recovery"),
        _heal(FAULT_S + 23.4, "host-power-cut", FIRST, "host started"),
        _role(FAULT_S + 23.9, FIRST, "starting", 1),
        _role(FAULT_S + 27.2, FIRST, "replica", 2, "quorum"),
        *_ending(50.4, 2),
    ),
)

ASYNC_LOSS = Story(
    scenario=scenario(
        "async-loss",
        "Replicas cut off, then the primary's host is lost, without synchronous replication",
        durability="async",
        fault_s=2.0,
        faults=(
            FaultStep(fault="link-cut", target=REPLICAS, at_s=0.0),
            replace(_POWER_CUT, at_s=1.1),
        ),
        expect=Expectations(rto_s_max=45.0, failover="must"),
    ),
    load_end_s=48.0,
    reigns=(_OLD, Reign(from_s=FAULT_S + 1.101, node=SECOND, timeline=2)),
    outages={
        "paris": (FAULT_S + 1.1, FAULT_S + 20.9),
        "orsay": (FAULT_S + 1.1, FAULT_S + 20.6),
        "saint-cloud": (FAULT_S + 1.1, FAULT_S + 21.2),
    },
    lost_window=(FAULT_S + 0.08, FAULT_S + 1.2),
    events=(
        *_boot("async"),
        _phase(FAULT_S, "fault"),
        _fault(FAULT_S, "link-cut", NODES[1], "link down"),
        _fault(FAULT_S + 0.02, "link-cut", NODES[2], "link down"),
        _role(FAULT_S + 0.3, NODES[1], "unreachable"),
        _role(FAULT_S + 0.3, NODES[2], "unreachable"),
        _fault(FAULT_S + 1.1, "host-power-cut", FIRST, "init killed, link down"),
        _role(FAULT_S + 1.3, FIRST, "unreachable"),
        _heal(FAULT_S + 1.9, "link-cut", NODES[1], "link up"),
        _heal(FAULT_S + 1.92, "link-cut", NODES[2], "link up"),
        _role(FAULT_S + 2.4, NODES[1], "replica", 1, "async"),
        _role(FAULT_S + 2.5, NODES[2], "replica", 1, "async"),
        _key(FAULT_S + 17.4, None, 71),
        _key(FAULT_S + 17.7, SECOND, 72),
        _role(FAULT_S + 18.9, SECOND, "primary", 2),
        (
            FAULT_S + 18.9,
            {"kind": "timeline", "timeline": 1, "reason": "no recovery target specified"},
        ),
        _role(FAULT_S + 19.4, NODES[2], "replica", 2, "async"),
        _phase(FAULT_S + 21.7, "recovery"),
        _heal(FAULT_S + 21.7, "host-power-cut", FIRST, "host started"),
        _role(FAULT_S + 22.2, FIRST, "starting", 1),
        _role(FAULT_S + 26.8, FIRST, "replica", 2, "async"),
        *_ending(48.0, 2),
    ),
)

STEADY = Story(
    scenario=scenario(
        "steady",
        "No fault: the control",
        expect=Expectations(rto_s_max=1.0, failover="must-not"),
    ),
    load_end_s=30.0,
    reigns=(_OLD,),
    events=(*_boot(), *_ending(30.0, 1)),
)

SWITCHOVER = Story(
    scenario=scenario(
        "switchover",
        "Planned change of the primary",
        faults=(FaultStep(fault="switchover", target=PRIMARY, at_s=0.0),),
        expect=Expectations(rto_s_max=10.0, failover="must"),
    ),
    load_end_s=26.0,
    reigns=(_OLD, Reign(from_s=FAULT_S + 0.301, node=SECOND, timeline=2)),
    outages={
        "paris": (FAULT_S + 0.3, FAULT_S + 2.34),
        "orsay": (FAULT_S + 0.3, FAULT_S + 2.28),
        "saint-cloud": (FAULT_S + 0.3, FAULT_S + 2.41),
    },
    events=(
        *_boot(),
        _phase(FAULT_S, "fault"),
        _fault(FAULT_S, "switchover", FIRST, "asked of Patroni"),
        _key(FAULT_S + 0.9, None, 52),
        _key(FAULT_S + 1.0, SECOND, 53),
        _role(FAULT_S + 0.6, FIRST, "starting"),
        _role(FAULT_S + 1.7, SECOND, "primary", 2),
        (
            FAULT_S + 1.7,
            {"kind": "timeline", "timeline": 1, "reason": "no recovery target specified"},
        ),
        _role(FAULT_S + 2.2, NODES[2], "replica", 2, "quorum"),
        _role(FAULT_S + 2.9, FIRST, "replica", 2, "quorum"),
        _phase(FAULT_S + 3.2, "recovery"),
        *_ending(26.0, 2),
    ),
)

INTERRUPTED_S = FAULT_S + 8.4

INTERRUPTED = replace(
    HOST_LOSS,
    load_end_s=INTERRUPTED_S,
    finished=False,
    events=(
        *(event for event in HOST_LOSS.events if event[0] < INTERRUPTED_S),
        (INTERRUPTED_S, {"kind": "interrupted", "reason": "SIGINT"}),
    ),
)
