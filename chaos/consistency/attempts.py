"""Attempts: what a client asked, how that ended, and when, by the order of events.

What counters, sets, banks and forks are judged by, and what calls on registers are made from
(``foreign/calls.py``). One line of a foreign history says that an attempt began, another how it
ended; here the two are one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from chaos.consistency.errors import HistoryValueError, place_of
from chaos.evidence.records import Scalar

AttemptOutcome = Literal["ok", "fail", "info"]
"""It took effect, it did not, nobody knows: as everywhere in the project, and as in Jepsen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAttempt:
    """Something that a client tried."""

    f: str
    """What was asked: ``add``, ``read``, ``transfer``..."""
    asked: object = None
    """What it was asked with."""
    answered: object = None
    """What the event of its end says; None where there is none."""
    outcome: AttemptOutcome = "info"
    """``info`` too where there is no event of its end."""
    began: int
    """The position of its beginning among the events: the clock."""
    ended: int | None = None
    """The position of its end, also of an ``info``; None where there is none."""
    process: int | None = None
    """Who asked."""
    key: object = None
    """Of what, where the history says it apart from the value."""
    line: int = 0
    """Where its beginning stands in the file, from 1: for messages; 0 where that is not known."""
    end_line: int = 0
    """Where its end stands."""
    name: str = ""
    """What it is called where it stands in no file: the operation of a run, and its node."""

    @property
    def is_ok(self) -> bool:
        """Whether it took effect."""
        return self.outcome == "ok"

    @property
    def where(self) -> str:
        """Where it stands: ``line 4, to 7``; ``event 4, open`` where lines are not known."""
        if self.name:
            return self.name
        begin = place_of(self.line) if self.line else f"event {self.began + 1:,}"
        if self.ended is None:
            return f"{begin}, open"
        return f"{begin}, to {self.end_line or self.ended + 1:,}"

    def __str__(self) -> str:
        """For a sentence: what, who, and where it stands."""
        who = "" if self.process is None else f" by process {self.process}"
        return f"the {self.f}{who} ({self.where})"

    def evidence(self, **more: Scalar) -> Mapping[str, Scalar]:
        """Who and where it stands, and more about it, for a finding."""
        who: dict[str, Scalar] = {} if self.process is None else {"process": self.process}
        return {"f": self.f, **who, "where": self.where, **more}


def refuse_others(attempts: Sequence[ClientAttempt], known: Sequence[str]) -> None:
    """Refuse a history with an operation that its model does not know.

    Left out in silence it would make the verdict one on another history.

    Raises:
        HistoryValueError: the first such operation, with its line.
    """
    wrong = next((one for one in attempts if one.f not in known), None)
    if wrong is not None:
        raise HistoryValueError(
            f"an operation {wrong.f!r}",
            line=wrong.line,
            remedy=f"this model knows {', '.join(known[:-1])} and {known[-1]}",
        )
