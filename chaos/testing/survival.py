"""A fault while a test runs: ``@pytest.mark.survives``.

The faults of a scenario strike from a thread of their own, the first at a moment of the test that
the seed has chosen; the others keep their distance to it. They are healed as in a drill: each at
its ``heal_at_s`` where it has one, the others once the cluster serves again; and all of them when
the test is over.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Collection
from dataclasses import fields

from chaos.faults.book import Book, Stroke
from chaos.faults.registry import FAULTS
from chaos.faults.targets import chance, find_victim, layout_of
from chaos.gameday.errors import ClusterInTestsError, FaultError, OptionError, words_of
from chaos.gameday.requests import State
from chaos.scenarios.load import builtin_scenarios, load_scenario
from chaos.scenarios.model import Entry, FaultStep, Scenario, drawn, timetable
from chaos.testing.cluster import PatroniCluster

POLL_S = 0.1
MOMENT_DIGITS = 3
SEED_BITS = 32


def find_scenario(name: str) -> Scenario:
    """A built-in scenario by its name, else a file by its path.

    Raises:
        OptionError, ScenarioError: there is neither (says which there are), or it is wrong.
    """
    names = [scenario.name for scenario in builtin_scenarios()]
    if name not in names and "/" not in name and not name.endswith(".toml"):
        words = f"survives({name!r}): there is no such scenario; there are {', '.join(names)}"
        raise OptionError(words)
    return load_scenario(name)


def choose_moment(seed: int, test: str, within_s: float) -> float:
    """When the first fault strikes, in seconds after the test began; the same for the same seed."""
    return round(random.Random(f"{seed} {test}").uniform(0.0, within_s), MOMENT_DIGITS)


def plan_of(scenario: Scenario, seed: int = 0) -> list[Entry]:
    """What is done when, as in a drill, but counted from the first fault on.

    Args:
        scenario: without faults that follow on events.
        seed: chooses the moments that are left to chance.
    """
    plan = timetable(drawn(scenario.faults, seed))
    return [(at_s - plan[0][0], act, step) for at_s, act, step in plan]


def is_served(state: State, struck: Collection[str], *, synchronous: bool) -> bool:
    """Whether clients everywhere can have writes acknowledged again, although faults last.

    A host that a fault has struck counts as not serving, also if it claims to: a primary whose link
    is cut calls itself one until its lease is over, and its replicas still report streaming.

    Args:
        state: how the cluster is.
        struck: the hosts that a fault has in force.
        synchronous: a write needs a replica, too.
    """
    primary = None if state.primary is None else state.members[state.primary]
    if primary is None or state.primary in struck:
        return False
    replicas = (
        member
        for node, member in state.members.items()
        if node not in struck and member is not None and member.is_replica
    )
    return not synchronous or any(one.timeline == primary.timeline for one in replicas)


class Ordeal:
    """One scenario beside one test.

    Args:
        cluster: whole.
        scenario: whose faults strike.
        moment_s: when the first one does, in seconds after ``begin``.
        seed: chooses whom a target leaves to chance.

    Raises:
        OptionError: the scenario asks for another durability than the cluster has, or its faults
            follow on events.
    """

    def __init__(
        self, cluster: PatroniCluster, scenario: Scenario, moment_s: float, seed: int = 0
    ) -> None:
        wanted, found = scenario.durability, cluster.topology.cluster.durability
        if wanted not in (None, found):
            words = f"the scenario {scenario.name} needs durability={wanted!r}"
            raise OptionError(f"{words}; this cluster has {found!r}")
        if following := [step.fault for step in scenario.faults if step.follows_events]:
            words = f"the {following[0]} of the scenario {scenario.name} follows on an event"
            raise OptionError(
                f"{words}, which only a drill can see (it has a load of its own); survives takes "
                "scenarios whose faults strike and are healed at moments (at_s, heal_at_s)"
            )
        self.scenario = scenario
        self.moment_s = moment_s
        self._plan = plan_of(scenario, seed)
        self.happened: list[str] = []
        """What was done, in words, each with its time after the test's begin."""
        self._cluster = cluster
        self._to_strike = len(scenario.faults)
        self._chance = chance(seed)
        self._book = Book()
        self._steps: dict[Stroke, FaultStep] = {}
        self._struck_s = 0.0
        self._struck = threading.Event()
        self._over = threading.Event()
        self._error: ClusterInTestsError | None = None
        self._begin_s = 0.0
        self._thread = threading.Thread(target=self._run, name="bascule-ordeal", daemon=True)

    @property
    def struck(self) -> bool:
        """Every fault of the scenario has taken effect while the test was running.

        Raises:
            ClusterInTestsError: one could not be brought about, or not be healed: no test need wait
                any longer.
        """
        if self._error is not None:
            raise self._error
        return self._struck.is_set()

    def begin(self) -> None:
        """The test begins."""
        self._begin_s = self._struck_s = time.monotonic()
        if not self._to_strike:
            self._struck.set()
        self._thread.start()

    def end(self) -> None:
        """The test is over, passed or not: heal what is broken, and wait until that is done."""
        self._over.set()
        self._thread.join()

    def demand(self) -> None:
        """After a test that passed: the faults must have struck, and the cluster become whole.

        Raises:
            FaultError: they did not; the test proves nothing.
            NotHealthyError: it did not.
            ClusterInTestsError: as of ``struck``.
        """
        if not self.struck:
            words = (
                f"the test ended before {self.scenario.name} had struck (planned"
                f" {self.moment_s:g} s after its begin): it has shown nothing. Have it last longer,"
                " as in 'while not chaos.struck: ...', or choose within_s nearer to 0"
            )
            raise FaultError(words)
        self._cluster.wait_healthy(self.scenario.recovery_s_max)

    def _run(self) -> None:
        try:
            self._carry_out()
            self._wait_service()
            self._note(self._cluster.heal())
        except ClusterInTestsError as error:
            self._fail(error)
        except Exception as error:  # kept: the test may be waiting for the faults
            words = f"{self.scenario.name} broke off: {'; '.join(words_of(error))}"
            failure = FaultError(words)
            failure.__cause__ = error
            self._fail(failure)

    def _fail(self, error: ClusterInTestsError) -> None:
        self._note(f"failed: {error}")
        self._error = error

    def _carry_out(self) -> None:
        """The plan of the scenario, until the test is over."""
        for after_s, act, step in self._plan:
            due_s = self._begin_s + self.moment_s + after_s
            if self._over.wait(max(0.0, due_s - time.monotonic())):
                return
            if act == "strike":
                self._strike(step)
            else:
                self._heal(step)

    def _strike(self, step: FaultStep) -> None:
        asked = {f.name: getattr(step.params, f.name) for f in fields(step.params)}
        seed = self._chance.getrandbits(SEED_BITS)
        done = self._cluster.strike(step.fault, str(step.target), seed=seed, **asked)
        self._note(f"{step.fault} on {', '.join(done.victims)}: {done.detail}")
        layout = layout_of(self._cluster.topology)
        for name in done.victims:
            victim = find_victim(name, layout)
            stroke = Stroke(kind=FAULTS[step.fault], victim=victim, params=step.params)
            self._book.note(stroke)
            self._steps[stroke] = step
        self._to_strike -= 1
        self._struck_s = time.monotonic()
        # A fault that took effect only after the test did not test it.
        if not self._to_strike and not self._over.is_set():
            self._struck.set()

    def _heal(self, step: FaultStep) -> None:
        for stroke in self._book.broken:
            if self._steps[stroke] is step:
                self._note(self._cluster.undo(step.fault, stroke.victim.name))
                self._book.cross_out(stroke)

    def _wait_service(self) -> None:
        """Until the test is over, or a drill would heal what is still broken."""
        least_s = self._begin_s + self.moment_s + self.scenario.fault_s
        most_s = self._struck_s + self.scenario.expect.rto_s_max
        while not self._over.wait(POLL_S):
            now_s = time.monotonic()
            if now_s > least_s and (now_s > most_s or self._may_heal()):
                return

    def _may_heal(self) -> bool:
        if not self.scenario.heal_when_service_is_back:
            return True
        is_quorum = self._cluster.topology.cluster.durability == "quorum"
        return is_served(self._cluster.state(), self._book.hosts, synchronous=is_quorum)

    def _note(self, words: str) -> None:
        self.happened.append(f"{time.monotonic() - self._begin_s:6.2f} s  {words}")

    def __str__(self) -> str:
        head = f"{self.scenario.name}, planned {self.moment_s:g} s after the begin of the test"
        return "\n".join([head, *self.happened])
