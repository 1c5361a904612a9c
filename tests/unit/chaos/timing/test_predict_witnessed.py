"""What is predicted of a dead primary where witnesses stand beside etcd."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.evidence.planned import planned_run

from chaos.evidence.events import WitnessStarted
from chaos.faults.base import NO_PARAMS
from chaos.faults.process import ProcessKillParams
from chaos.faults.targets import layout_of, parse_target
from chaos.scenarios.load import load_scenario
from chaos.scenarios.model import FaultStep
from chaos.timing.durations import Clock, behind_proxy
from chaos.timing.measure import measure
from chaos.timing.model import Prediction
from chaos.timing.predict import predict
from cluster.topology.load import load_builtin
from cluster.topology.quorum import shape_of
from cluster.topology.settings import SyncMode

CLOCK = Clock(ttl_s=20.0, loop_wait_s=5.0)
HEAL_S = 60.0


def _fault(name: str, target: str = "primary", at_s: float = 0.0) -> FaultStep:
    found = parse_target(target)
    assert found is not None
    params = ProcessKillParams(process="postgres") if name == "process-kill" else NO_PARAMS
    return FaultStep(fault=name, target=found, at_s=at_s, params=params)


def _witnessed(*faults: FaultStep, topology: str = "three-sites") -> Prediction:
    chosen = load_builtin(topology)
    clock = replace(CLOCK, witness=True)
    found = predict(
        shape_of(chosen), clock, faults, layout=layout_of(chosen), seed=1, heal_s=HEAL_S
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("fault", "low_s", "high_s"),
    [
        ("host-power-cut", 0.3, 4.0),
        ("process-kill", 0.15, 5.5),
        ("host-freeze", 0.3, 7.0),
        ("site-cut", 0.3, 7.0),
    ],
)
def test_witnesses_replace_a_dead_primary_long_before_its_ttl(
    fault: str, low_s: float, high_s: float
) -> None:
    """With its site etcd's leader may be lost: its election is waited for."""
    target = "site-of:primary" if fault == "site-cut" else "primary"
    found = _witnessed(_fault(fault, target)).of_rto
    assert (found.service, found.low_s, found.high_s) == ("returns", low_s, high_s)
    assert found.words.startswith("Witnesses end the lease")
    stock = predict(
        shape_of(load_builtin("three-sites")),
        CLOCK,
        [_fault(fault, target)],
        layout=layout_of(load_builtin("three-sites")),
        seed=1,
        heal_s=HEAL_S,
    )
    assert stock is not None
    assert found.stock_s == (stock.of_rto.low_s, stock.of_rto.high_s)
    assert stock.of_rto.stock_s is None


def test_witnesses_wait_for_the_ttl_while_another_member_is_lost() -> None:
    """Their patience grows then, and the winner would have nobody who acknowledges."""
    topology = load_builtin("three-sites-two-each")
    replica = next(node for node in topology.nodes if "paris" not in node)
    faults = (
        _fault("host-power-cut", f"host:{replica}"),
        _fault("host-power-cut", "primary", at_s=30.0),
    )
    found = _witnessed(*faults, topology="three-sites-two-each")
    assert found.low_s == CLOCK.ttl_s - CLOCK.loop_wait_s
    two = _witnessed(_fault("host-power-cut"), topology="two-sites-witness")
    assert two.high_s < CLOCK.ttl_s


@pytest.mark.parametrize(
    ("is_strict", "durability", "stock_s"),
    [(True, "quorum", (15.0, 29.0)), (False, "quorum", None), (True, "async", None)],
)
def test_what_witnesses_shorten_is_told_of_runs_in_which_they_could_act(
    is_strict: bool, durability: SyncMode, stock_s: tuple[float, float] | None
) -> None:
    three = load_builtin("three-sites")
    cluster = replace(three.cluster, synchronous_mode_strict=is_strict, durability=durability)
    planned = planned_run(replace(three, cluster=cluster), load_scenario("host-loss"))
    watched = replace(planned, events=(WitnessStarted(t_s=1.0, host="dcs-a", site="a"),))
    prediction = measure(watched).prediction
    assert prediction is not None
    assert prediction.stock_s == stock_s
    stock = measure(planned).prediction
    assert stock is not None
    assert (stock.low_s, stock.high_s, stock.stock_s) == (15.0, 29.0, None)


def test_witnesses_may_act_once_the_others_are_back() -> None:
    """As in ``trail-survives-rewind``: 7.1 s in a drill, where stock Patroni takes 19 s or more."""
    found = _witnessed(*load_scenario("trail-survives-rewind").faults)
    assert found.stock_s == (19.0, 33.0)
    assert (found.low_s, found.high_s) == (pytest.approx(4.5), 33.0)
    assert "once others are back (0.2 s)" in found.words


def test_a_proxy_comes_on_top_of_both() -> None:
    found = behind_proxy(_witnessed(_fault("host-power-cut")), 3.0)
    assert (found.high_s, found.stock_s) == (7.0, (15.0, 32.0))
