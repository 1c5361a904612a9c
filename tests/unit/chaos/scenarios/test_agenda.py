"""What is done when: at moments, in windows, and after events."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chaos.faults.targets import PRIMARY
from chaos.scenarios.agenda import Agenda
from chaos.scenarios.model import FaultStep, drawn, timetable

CUT = FaultStep(fault="link-cut", target=PRIMARY)
POWER = FaultStep(fault="host-power-cut", target=PRIMARY)


def carried_out(
    agenda: Agenda, events_s: dict[str, float] | None = None
) -> list[tuple[float, str]]:
    """Everything, as whoever carries it out does it; strikes take no time.

    Args:
        agenda: is done afterwards.
        events_s: how long after its strike each event comes.
    """
    done = []
    now_s = 0.0
    while not agenda.is_done:
        for task in agenda.waiting:
            assert task.awaits is not None
            assert task.since_s is not None
            agenda.came(task, task.since_s + (events_s or {})[task.awaits])
        task = agenda.due()
        assert task is not None
        assert task.due_s is not None
        now_s = max(now_s, task.due_s)
        done.append((now_s, f"{task.act} {task.index}"))
        agenda.done(task, now_s)
    return done


def test_moments_are_kept_and_what_heals_comes_first() -> None:
    steps = (replace(CUT, at_s=0.0, heal_at_s=4.0), replace(POWER, at_s=4.0))
    assert carried_out(Agenda(steps, 1)) == [(0.0, "strike 0"), (4.0, "heal 0"), (4.0, "strike 1")]


def test_a_strike_follows_on_an_event_after_the_strike_before_it() -> None:
    steps = (POWER, replace(POWER, on="first-acknowledged", after_s=2.0))
    agenda = Agenda(steps, 1)
    assert agenda.waiting == []
    found = carried_out(agenda, {"first-acknowledged": 21.0})
    assert found == [(0.0, "strike 0"), (23.0, "strike 1")]


def test_a_heal_follows_on_an_event_or_on_its_own_strike() -> None:
    steps = (
        replace(POWER, heal_on="new-primary", heal_after_s=5.0),
        replace(CUT, on="whole", heal_after_s=3.0),
    )
    found = carried_out(Agenda(steps, 1), {"new-primary": 20.0, "whole": 40.0})
    assert found == [
        (0.0, "strike 0"),
        (25.0, "heal 0"),
        (40.0, "strike 1"),
        (43.0, "heal 1"),
    ]


def test_the_same_step_twice_is_two() -> None:
    assert [what for _, what in carried_out(Agenda((POWER, POWER), 1))] == ["strike 0", "strike 1"]


@given(seed=st.integers(), from_s=st.floats(0, 10), width_s=st.floats(0.01, 10))
def test_a_window_holds_the_moment_and_the_seed_chooses_it(
    seed: int, from_s: float, width_s: float
) -> None:
    steps = (replace(CUT, at_s=from_s, at_s_max=from_s + width_s, heal_at_s=30.0), POWER)
    [one, other] = drawn(steps, seed)
    assert from_s - 0.001 <= one.at_s <= from_s + width_s + 0.001
    assert (one.at_s_max, other) == (None, POWER)
    assert drawn(steps, seed) == (one, other)
    assert [at_s for at_s, act, _ in timetable((one,))] == [one.at_s, 30.0]


def test_seeds_and_steps_differ() -> None:
    steps = (replace(CUT, at_s=0.0, at_s_max=9.0),) * 2
    moments = {step.at_s for seed in range(10) for step in drawn(steps, seed)}
    assert len(moments) == 20


def test_a_task_says_what_it_is() -> None:
    agenda = Agenda((POWER, replace(CUT, on="whole", heal_after_s=1.0)), 1)
    strike, heal = [task for task in agenda._tasks if task.index == 1]
    assert str(strike) == "fault[1] (link-cut on primary)"
    assert str(heal) == "the heal of fault[1] (link-cut on primary)"
