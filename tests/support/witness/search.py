"""Tries every order of steps, shortest first, until something is wrong."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from support.witness.cluster_model import State, World, split


@dataclass(frozen=True)
class Searched:
    """``states``: how many were reached. ``wrong``: what went wrong in the shortest way to it,
    ``None``: nothing, and all were tried. ``way``: the steps to it."""

    states: int
    wrong: str | None = None
    way: tuple[str, ...] = ()

    def __str__(self) -> str:
        steps = "".join(f"\n  {step}" for step in self.way)
        return f"{self.states} states; {self.wrong or 'nothing wrong'}{steps}"


def search(world: World, *, states_max: int = 3_000_000) -> Searched:
    """Every state that the world can reach.

    Raises:
        OverflowError: there are more than ``states_max``.
    """
    start = world.start()
    came: dict[State, tuple[State, str] | None] = {start: None}
    todo = deque([start])
    while todo:
        state = todo.popleft()
        for step, after in world.steps(state):
            wrong = after.wrong or split(after)
            if wrong is not None and wrong.startswith(world.looks_for):
                came[after] = (state, step)
                return Searched(len(came), wrong, _way(came, after))
            known = after._replace(wrong=None)
            if known not in came:
                came[known] = (state, step)
                todo.append(known)
        if len(came) > states_max:
            raise OverflowError(f"more than {states_max} states")
    return Searched(len(came))


def _way(came: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    way: list[str] = []
    before = came[state]
    while before is not None:
        way.append(before[1])
        before = came[before[0]]
    return tuple(reversed(way))
