"""Which replicas answer: one that does not is asked in the background, and no read waits for it.

A replica that is frozen, or cut off, takes connections and says nothing: every read that tried it
would wait for a deadline. So one that was silent for a moment is left out of reads until it has
answered a question that no read waits for, or a read that was on its way; the question is put at
once, and then with pauses.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import psycopg
from anyio.abc import TaskGroup

PATIENCE_S_MIN, PATIENCE_S_MAX = 0.05, 0.25
"""How long a read waits for the first answer of a replica before it asks the next one too. On one
site an answer takes less than a millisecond; across a country, with a new connection, 0.1 s."""

PAUSE_S_MIN, PAUSE_S_MAX = 0.1, 2.0
"""Between two questions to a replica that does not answer: the pause doubles. So it does for one
that answers these, and is too slow for reads, or busy with long ones, again and again."""

CALM_S = 30.0
"""A member that was not asked for this long is asked at once again."""

AskReplica = Callable[[str], Awaitable[float | None]]
"""Asks a member over a connection of its own: how long the answer took in seconds, None if it is no
member any more. Raises ``psycopg.Error``."""


@dataclass(slots=True)
class _Pace:
    """How quickly a member answers: a mean and a mean deviation that forget (RFC 6298)."""

    mean_s: float
    deviation_s: float

    def learn(self, elapsed_s: float) -> None:
        self.deviation_s += (abs(elapsed_s - self.mean_s) - self.deviation_s) / 4
        self.mean_s += (elapsed_s - self.mean_s) / 8


@dataclass(frozen=True, slots=True)
class _Turn:
    """When a member last answered a question, and how long it is not asked after that."""

    answered_s: float
    pause_s: float


class Reachable:
    """Knows which members are left out.

    Args:
        probe: asks a member.
        interrupt: told of one that was asked and stayed silent: waiting for it is pointless.
    """

    def __init__(self, probe: AskReplica, interrupt: Callable[[str], None]) -> None:
        self._probe = probe
        self._interrupt = interrupt
        self._group: TaskGroup | None = None
        self._left_out: dict[str, str] = {}
        self._questions: dict[str, anyio.CancelScope] = {}
        """Of every member that is being asked."""
        self._paces: dict[str, _Pace] = {}
        self._turns: dict[str, _Turn] = {}

    async def run(self) -> None:
        """Own the questions, until cancelled."""
        try:
            async with anyio.create_task_group() as self._group:
                await anyio.sleep_forever()
        finally:
            self._group = None

    @property
    def group(self) -> TaskGroup | None:
        """For what is asked beside a read; None while this does not run."""
        return self._group

    def why_not(self, node: str) -> str | None:
        """Why ``node`` is left out; None: it is not."""
        return self._left_out.get(node)

    def patience_s(self, node: str) -> float:
        """How long its first answer may take."""
        pace = self._paces.get(node)
        usual_s = 0.0 if pace is None else pace.mean_s + 4 * pace.deviation_s
        return min(max(usual_s, PATIENCE_S_MIN), PATIENCE_S_MAX)

    def answered(self, node: str, elapsed_s: float) -> None:
        """Its first answer took ``elapsed_s``."""
        pace = self._paces.get(node)
        if pace is None:
            self._paces[node] = _Pace(elapsed_s, elapsed_s / 2)
        else:
            pace.learn(elapsed_s)

    def leave_out(self, node: str, why: str) -> None:
        """``node`` was silent, or refused: no read tries it until it has answered."""
        if self._group is not None:
            self._left_out[node] = why
            self._ask(node)

    def served(self, node: str) -> None:
        """A read has ended well on ``node``: it answers on existing sessions, though it may take no
        new one. What it is being asked is known."""
        if (question := self._questions.get(node)) is not None:
            question.cancel()
            self._note_turn(node)
        self._left_out.pop(node, None)

    def doubt(self, node: str, *, again: bool) -> bool:
        """A read takes long on ``node``: ask it whether it lives; as ``waits.Doubt``."""
        if not again:
            self._ask(node)
        return not again

    def _ask(self, node: str) -> None:
        if self._group is not None and node not in self._questions:
            scope = self._questions[node] = anyio.CancelScope()
            self._group.start_soon(self._ask_until_it_answers, node, scope)

    async def _ask_until_it_answers(self, node: str, scope: anyio.CancelScope) -> None:
        pause_s = PAUSE_S_MIN
        try:
            with scope:
                await anyio.sleep(self._wait_s(node))
                while True:
                    try:
                        elapsed_s = await self._probe(node)
                    except psycopg.errors.ConnectionTimeout as error:
                        self._left_out[node] = str(error)
                        self._interrupt(node)
                    except Exception as error:  # a password file that is gone, too: reads say so
                        self._left_out[node] = " ".join(str(error).split())
                    else:
                        if elapsed_s is not None:
                            self.answered(node, elapsed_s)
                            self._note_turn(node)
                        return
                    await anyio.sleep(pause_s * random.uniform(0.5, 1.0))
                    pause_s = min(2 * pause_s, PAUSE_S_MAX)
        finally:
            del self._questions[node]
            self._left_out.pop(node, None)

    def _wait_s(self, node: str) -> float:
        """How long until ``node`` may be asked."""
        turn, now_s = self._turns.get(node), anyio.current_time()
        if turn is None or now_s - turn.answered_s > CALM_S:
            self._turns.pop(node, None)
            return 0.0
        return max(0.0, turn.answered_s + turn.pause_s * random.uniform(0.5, 1.0) - now_s)

    def _note_turn(self, node: str) -> None:
        before = self._turns.get(node)
        pause_s = PAUSE_S_MIN if before is None else min(2 * before.pause_s, PAUSE_S_MAX)
        self._turns[node] = _Turn(anyio.current_time(), pause_s)
