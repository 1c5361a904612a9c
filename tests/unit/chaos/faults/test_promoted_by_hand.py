"""A promotion by hand: what it refuses, and how its time is told apart from the outage."""

from __future__ import annotations

from support.evidence.tiny import run

from chaos.evidence.events import FaultStruck
from chaos.faults.promoted_by_hand import cannot_be_promoted
from chaos.faults.registry import FAULTS
from chaos.timing.hands import hand_steps
from cluster.topology.load import find_topology

KIND = FAULTS["promoted-by-hand"]


def why_not(topology: str, host: str) -> str | None:
    return cannot_be_promoted(KIND.params(), find_topology(topology), [host])


def test_it_needs_a_copy_with_a_member_of_etcd_beside_it() -> None:
    assert why_not("two-sites-and-cloud-standby", "db-cloud") is None
    found = why_not("two-sites-and-cloud-standby", "dcs-cloud")
    assert found is not None
    assert found.endswith("two-sites-and-cloud-standby dcs-cloud has none")


def test_its_words() -> None:
    assert KIND.words.noun(["db-cloud"]) == "the promotion of db-cloud by hand"
    assert KIND.words.clause(["db-cloud"]) == "db-cloud was promoted by hand"
    assert KIND.effect(KIND.params()) == "unpredicted"
    assert KIND.draw is None
    assert [kind.key for kind in FAULTS.values() if kind.by_hand] == ["promoted-by-hand"]


def struck(t_s: float, fault: str, target: str, took_s: float | None = None) -> FaultStruck:
    return FaultStruck(t_s=t_s, fault=fault, target=target, detail="done", took_s=took_s)


def test_people_decide_from_the_last_fault_on_and_then_act() -> None:
    events = [
        struck(2.0, "site-cut", "cloud", 0.1),
        struck(5.0, "site-power-cut", "paris", 1.0),
        struck(6.0, "site-power-cut", "orsay", 1.0),
        struck(26.0, "promoted-by-hand", "db-cloud", 24.5),
    ]
    [step] = hand_steps(run([], events=events))
    assert (step.node, step.decided_s, step.took_s) == ("db-cloud", 20.0, 24.5)


def test_what_nobody_did_by_hand_has_no_such_time() -> None:
    assert hand_steps(run([], events=[struck(5.0, "site-power-cut", "paris", 1.0)])) == ()
    [step] = hand_steps(run([], events=[struck(5.0, "promoted-by-hand", "db-cloud")]))
    assert (step.decided_s, step.took_s) == (None, None)
