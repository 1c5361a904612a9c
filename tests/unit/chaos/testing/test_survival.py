"""What strikes beside a test: when it counts, when it is healed, and what becomes of an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.lab.fake_cluster import PRIMARY, REPLICAS, WHOLE, FakeCluster

from chaos.faults import targets
from chaos.faults.process import ProcessKillParams
from chaos.gameday.errors import FaultError, NotHealthyError, OptionError
from chaos.gameday.requests import MemberState, State
from chaos.scenarios.load import load_scenario
from chaos.scenarios.model import FaultStep, Scenario
from chaos.testing.survival import Ordeal, is_served, plan_of

HOST_LOSS = load_scenario("host-loss")
STRIKE = "strike host-power-cut primary"
TIMEOUT_S = 10.0


def blip(heal_at_s: float, **changes: object) -> Scenario:
    """The replicas' links are cut for a moment."""
    step = FaultStep(fault="link-cut", target=targets.REPLICAS, at_s=0, heal_at_s=heal_at_s)
    return replace(HOST_LOSS, name="blip", faults=(step,), **changes)


def begun(
    scenario: Scenario = HOST_LOSS, before: Callable[[str], object] = lambda asked: None
) -> tuple[Ordeal, FakeCluster]:
    cluster = FakeCluster(before)
    ordeal = Ordeal(cluster, scenario, 0.0)
    ordeal.begin()
    return ordeal, cluster


def wait_struck(ordeal: Ordeal) -> None:
    """The loop of the documentation, but bounded."""
    end_s = time.monotonic() + TIMEOUT_S
    while not ordeal.struck:
        assert time.monotonic() < end_s


def test_a_fault_that_bites_during_the_test_counts_and_is_healed_after_it() -> None:
    ordeal, cluster = begun()
    wait_struck(ordeal)
    ordeal.end()
    ordeal.demand()
    assert cluster.calls == [STRIKE, "heal", "wait_healthy"]


def test_a_fault_that_bites_only_after_the_test_has_shown_nothing() -> None:
    striking, go_on = threading.Event(), threading.Event()

    def before(asked: str) -> None:
        if asked == STRIKE:
            striking.set()
            assert go_on.wait(TIMEOUT_S)

    ordeal, cluster = begun(before=before)
    assert striking.wait(TIMEOUT_S)
    ending = threading.Thread(target=ordeal.end)
    ending.start()
    assert ordeal._over.wait(TIMEOUT_S)
    go_on.set()
    ending.join(TIMEOUT_S)
    assert cluster.calls == [STRIKE, "heal"]
    assert not ordeal.struck
    with pytest.raises(FaultError, match="ended before host-loss had struck"):
        ordeal.demand()


def test_a_control_without_faults_has_struck_from_the_begin() -> None:
    ordeal, _ = begun(load_scenario("steady"))
    assert ordeal.struck
    ordeal.end()
    ordeal.demand()


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (NotHealthyError("there was no primary"), NotHealthyError, "^there was no primary$"),
        (KeyError("db-lyon"), FaultError, "host-loss broke off: 'db-lyon'"),
        (
            ExceptionGroup("several", [OSError("one"), OSError("two")]),
            FaultError,
            "host-loss broke off: one; two",
        ),
    ],
)
def test_who_waits_for_a_fault_that_fails_is_told(
    error: Exception, kind: type[Exception], words: str
) -> None:
    def before(asked: str) -> None:
        raise error

    ordeal, _ = begun(before=before)
    with pytest.raises(kind, match=words):
        wait_struck(ordeal)
    ordeal.end()
    with pytest.raises(kind, match=words):
        ordeal.demand()
    assert "failed: " in str(ordeal)


def test_a_step_is_healed_at_its_own_time_and_the_rest_with_the_test() -> None:
    ordeal, cluster = begun(blip(0.05, fault_s=60))
    cluster.wait_for("undo link-cut db-saint-cloud")
    assert ordeal.struck
    assert cluster.calls == [
        "strike link-cut replicas",
        "undo link-cut db-orsay",
        "undo link-cut db-saint-cloud",
    ]
    ordeal.end()
    assert cluster.calls[3:] == ["heal"]


def test_a_test_that_ends_before_a_step_is_healed_has_it_healed_with_the_rest() -> None:
    ordeal, cluster = begun(blip(60))
    wait_struck(ordeal)
    ordeal.end()
    ordeal.demand()
    assert cluster.calls == ["strike link-cut replicas", "heal", "wait_healthy"]


def test_the_rest_is_healed_beside_the_test_once_the_scenario_says() -> None:
    crash = FaultStep(
        fault="process-kill", target=targets.PRIMARY, params=ProcessKillParams(), at_s=0
    )
    ordeal, cluster = begun(replace(HOST_LOSS, faults=(crash,), fault_s=0))
    cluster.wait_for("heal")
    assert ordeal.struck
    ordeal.end()
    assert cluster.calls == ["strike process-kill primary", "heal"]


PARIS = MemberState(role="primary", state="running", timeline=1)
ORSAY = MemberState(role="primary", state="running", timeline=2)
FOLLOWS = MemberState(role="replica", state="running", timeline=2)
BEHIND = MemberState(role="replica", state="running", timeline=1)
STOPPED = MemberState(role="replica", state="stopped")


@pytest.mark.parametrize(
    ("primary", "members", "struck", "is_quorum", "expected"),
    [
        # As it is a moment after the primary's link was cut: it has not heard of it.
        ("db-paris", (PARIS, BEHIND, BEHIND), ["db-paris"], True, False),
        ("db-paris", (PARIS, BEHIND, BEHIND), ["db-paris"], False, False),
        # Both call themselves one.
        (None, (PARIS, ORSAY, FOLLOWS), ["db-paris"], True, False),
        ("db-orsay", (STOPPED, ORSAY, FOLLOWS), ["db-paris"], True, True),
        # A new primary that nobody follows yet.
        ("db-orsay", (None, ORSAY, BEHIND), ["db-paris"], True, False),
        ("db-orsay", (None, ORSAY, STOPPED), ["db-paris"], True, False),
        ("db-orsay", (None, ORSAY, STOPPED), ["db-paris"], False, True),
        # The replicas are cut off, and the primary has not noticed.
        ("db-paris", (PARIS, BEHIND, BEHIND), ["db-orsay", "db-saint-cloud"], True, False),
        ("db-paris", (PARIS, BEHIND, BEHIND), ["db-orsay", "db-saint-cloud"], False, True),
        ("db-paris", (PARIS, BEHIND, BEHIND), ["db-orsay"], True, True),
    ],
)
def test_it_serves_when_whom_no_fault_has_struck_can_acknowledge_a_write(
    primary: str | None,
    members: tuple[MemberState | None, ...],
    struck: list[str],
    is_quorum: bool,
    expected: bool,
) -> None:
    found = dict(zip((PRIMARY, *REPLICAS), members, strict=True))
    state = State(primary=primary, missing=None, broken=(), members=found)
    assert is_served(state, struck, synchronous=is_quorum) is expected


def test_a_fault_that_lasts_is_not_healed_while_whom_it_struck_calls_itself_primary() -> None:
    cut = FaultStep(fault="link-cut", target=targets.PRIMARY, at_s=0)
    looks = iter(range(3))
    after = replace(WHOLE, primary="db-orsay", members=WHOLE.members | {"db-orsay": PARIS})

    class TakenOver(FakeCluster):
        def state(self) -> State:
            return WHOLE if next(looks, None) is not None else after

    cluster = TakenOver()
    ordeal = Ordeal(cluster, replace(HOST_LOSS, faults=(cut,), fault_s=0), 0.0)
    ordeal.begin()
    cluster.wait_for("heal")
    assert next(looks, None) is None
    ordeal.end()


def test_the_plan_keeps_the_distances_of_the_scenario() -> None:
    plan = plan_of(load_scenario("async-loss"))
    assert [(at_s, act, step.fault) for at_s, act, step in plan] == [
        (0.0, "strike", "link-cut"),
        (4.0, "strike", "host-power-cut"),
        (pytest.approx(4.2), "heal", "link-cut"),
    ]
    late = FaultStep(
        fault="process-kill", target=targets.PRIMARY, params=ProcessKillParams(), at_s=7
    )
    assert plan_of(replace(HOST_LOSS, faults=(late,))) == [(0.0, "strike", late)]
    assert plan_of(load_scenario("steady")) == []


def test_what_follows_on_events_is_refused_in_words() -> None:
    with pytest.raises(OptionError, match=r"site-power-cut of the scenario site-loss follows on"):
        Ordeal(FakeCluster(), load_scenario("site-loss"), 0.0)  # type: ignore[arg-type]


def test_the_seed_chooses_a_moment_in_a_window() -> None:
    first = FaultStep(fault="link-cut", target=targets.REPLICAS, at_s=0.0)
    late = replace(first, at_s=3.0, at_s_max=8.0)
    scenario = replace(HOST_LOSS, faults=(first, late))
    [_, (at_s, act, _)] = plan_of(scenario, seed=5)
    assert act == "strike"
    assert 3.0 <= at_s <= 8.0
    assert plan_of(scenario, seed=5)[1][0] == at_s != plan_of(scenario, seed=6)[1][0]
