"""Makes the schedule of a failing run as small as can be: fewer faults, then shorter times. Pure.

What runs a candidate is a callable, so that this is tested on failures that are invented. A
candidate counts as failing if one of its runs has a finding of the same kind; how often it is run
follows from how often the original failed when it was replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chaos.campaigns.ddmin import OutOfRunsError, ddmin
from chaos.scenarios.model import FaultStep, Scenario
from chaos.scenarios.rules import problems_of_scenario

RUNS_MAX = 40
"""Six faults that fail 7 times in 10 take some twenty runs, at the worst thirty (simulated)."""
REPLAYS = 5
SHORTER = 0.5
TIME_S_MIN = 0.5
"""Shorter times are not made shorter."""

Fails = Callable[[Scenario], bool]
"""Runs a scenario once, and says whether it has a finding of the same kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Smallest:
    """What shrinking came to."""

    scenario: Scenario
    failed: int
    """Of the runs with this scenario."""
    of: int
    runs: int
    """Of all candidates together."""


def shrink(scenario: Scenario, fails: Fails, *, repeats: int, runs_max: int = RUNS_MAX) -> Smallest:
    """The smallest scenario found that fails like ``scenario``.

    Args:
        scenario: one that failed.
        fails: runs a candidate once.
        repeats: how often a candidate is run before it counts as one that does not fail.
        runs_max: how many runs it may take.
    """
    search = _ShrinkRuns(scenario, fails, repeats, runs_max)
    found = ddmin(scenario.faults, search.is_failing)
    found = _with_shorter_times(_bound(found), search.is_failing)
    failed, of = search.counts.get(found, (0, 0))
    return Smallest(scenario=with_faults(scenario, found), failed=failed, of=of, runs=search.runs)


def with_faults(scenario: Scenario, faults: Sequence[FaultStep]) -> Scenario:
    """The scenario with a part of its faults; a first one that followed an event has its moment."""
    return replace(scenario, faults=_bound(faults))


def _bound(faults: Sequence[FaultStep]) -> tuple[FaultStep, ...]:
    if not faults or faults[0].on is None:
        return tuple(faults)
    return (replace(faults[0], on=None, at_s=faults[0].after_s, after_s=0.0), *faults[1:])


class _ShrinkRuns:
    """Runs candidates, each as often as is needed, and counts."""

    def __init__(self, scenario: Scenario, fails: Fails, repeats: int, runs_max: int) -> None:
        self._scenario = scenario
        self._fails = fails
        self._repeats = repeats
        self._runs_max = runs_max
        self.counts: dict[tuple[FaultStep, ...], tuple[int, int]] = {}
        """By the faults of a candidate: how many of its runs failed, and how many there were."""
        self.runs = 0

    def is_failing(self, faults: Sequence[FaultStep]) -> bool:
        """Whether one of its runs fails. What no drill takes does not.

        Raises:
            OutOfRunsError: another run would be one too many.
        """
        candidate = with_faults(self._scenario, faults)
        if not candidate.faults or any(problems_of_scenario(candidate)):
            return False
        failed = of = 0
        while not failed and of < self._repeats:
            if self.runs >= self._runs_max:
                raise OutOfRunsError
            self.runs += 1
            of += 1
            failed += self._fails(candidate)
        self.counts[candidate.faults] = failed, of
        return bool(failed)


def _with_shorter_times(
    found: tuple[FaultStep, ...], is_failing: Callable[[Sequence[FaultStep]], bool]
) -> tuple[FaultStep, ...]:
    """Each time half as long, as long as it fails so."""
    try:
        for index in range(len(found)):
            for key in ("at_s", "after_s", "heal_at_s", "heal_after_s"):
                while (shorter := _with_shorter(found, index, key)) is not None:
                    if not is_failing(shorter):
                        break
                    found = shorter
    except OutOfRunsError:
        pass
    return found


def _with_shorter(
    faults: tuple[FaultStep, ...], index: int, key: str
) -> tuple[FaultStep, ...] | None:
    """With half of one time; None where there is none, or it is short. A heal at a moment keeps its
    distance from its strike when that moves, and moves by itself."""
    step = faults[index]
    time_s = getattr(step, key)
    if time_s is None or (key == "at_s" and step.on is not None):
        return None
    begin_s = step.at_s if key == "heal_at_s" else 0.0
    if time_s - begin_s <= TIME_S_MIN:
        return None
    shorter_s = round(begin_s + (time_s - begin_s) * SHORTER, 2)
    changed = replace(step, **{key: shorter_s})
    if key == "at_s" and step.heal_at_s is not None:
        changed = replace(changed, heal_at_s=round(step.heal_at_s - time_s + shorter_s, 2))
    return (*faults[:index], changed, *faults[index + 1 :])
