"""Looks whether the events have come that a schedule waits for (``scenarios.model.Cue``)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chaos.faults.base import Stage
from chaos.live.board import Board
from chaos.scenarios.model import Cue, Scenario

LOOK_AT_WHOLE_S = 0.3
"""Between two questions whether the cluster is whole: each asks every member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """What an event is counted from."""

    begun_s: float
    """When the fault began to strike (monotonic)."""
    led: str | None
    """Who led then."""


def patience_s(event: Cue, scenario: Scenario) -> float | None:
    """How long an event may be waited for, after its strike; None: without limit.

    ``healed`` has none: it comes with heals that stand in the schedule and have their own limits.
    """
    if event == "healed":
        return None
    if event in {"whole", "standby-named"}:  # a failover and a heal may have to come first
        return scenario.expect.rto_s_max + scenario.fault_s + scenario.recovery_s_max
    return scenario.expect.rto_s_max


class Cues:
    """Of one drill.

    Args:
        stage: its cluster is asked whether it is whole.
        board: has what the observers and the loads have seen.
        is_broken: whether something that lasts is not healed.
    """

    def __init__(self, stage: Stage, board: Board, is_broken: Callable[[], bool]) -> None:
        self._stage = stage
        self._board = board
        self._is_broken = is_broken
        self._led: str | None = None
        self._asked_s = 0.0

    def strike(self) -> Strike:
        """A fault begins to strike now."""
        self._led = self._board.leader or self._led
        return Strike(begun_s=time.monotonic(), led=self._led)

    async def has_come(self, event: Cue, since: Strike) -> bool:  # noqa: PLR0911 (one an event)
        """Whether an event has come, counted from a strike."""
        match event:
            case "struck":
                return True  # it is counted from a strike that has taken effect
            case "new-primary":
                leader = self._board.leader
                node = None if leader is None else self._board.nodes.get(leader)
                return leader != since.led and node is not None and node.role == "primary"
            case "first-acknowledged":
                return any(
                    site.node not in (None, since.led) and site.last_attempt_s > since.begun_s
                    for site in self._board.sites.values()
                )
            case "standby-named":
                return bool(await self._stage.cluster.named_ahead())
            case "healed":
                return not self._is_broken()
            case "whole":
                now_s = time.monotonic()
                if now_s - self._asked_s < LOOK_AT_WHOLE_S:
                    return False
                self._asked_s = now_s
                return await self._stage.cluster.missing_of_whole() is None
