"""What happened, in words: circles, and anomalies that need none, in any model. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chaos.consistency.answer import Anomaly
from chaos.consistency.transactions.columns import Bools, Ints, Transactions
from chaos.consistency.transactions.cycles import Circle
from chaos.consistency.transactions.order import Timeline
from chaos.consistency.transactions.steps import CircleWitness
from chaos.evidence.records import Scalar

AnomalyTold = tuple[Sequence[str], Sequence[int]]
"""Sentences, and the transactions in them beside T1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller(ABC):
    """Words for what was found in one history."""

    history: Transactions
    witness: CircleWitness

    @abstractmethod
    def tell(self, name: str, micro: int) -> AnomalyTold:
        """What is wrong at a micro-operation of T1."""

    def local(self, name: str, micro: Ints) -> Anomaly:
        """An anomaly that needs no circle, told of its earliest case."""
        one = int(micro.min())
        sentences, others = self.tell(name, one)
        return self._anomaly(name, [int(self.history.op[one]), *others], sentences, len(micro))

    def circle(self, circle: Circle, level: str, components: int) -> Anomaly:
        """A circle, step by step."""
        transactions = [step.before for step in circle.steps]
        names = {one: f"T{index}" for index, one in enumerate(transactions, 1)}
        sentences = [
            step.why.format(a=names[step.before], b=names[step.after])
            + f": {names[step.before]} before {names[step.after]}."
            for step in circle.steps
        ]
        sentences.append(f"So T1 comes before itself, which {level} forbids.")
        drawn = "".join(f"{names[step.before]} -{step.kind}-> " for step in circle.steps) + "T1"
        return self._anomaly(circle.name, transactions, sentences, components, drawn)

    def _anomaly(
        self,
        name: str,
        transactions: Sequence[int],
        sentences: Sequence[str],
        count: int,
        drawn: str = "",
    ) -> Anomaly:
        unique = list(dict.fromkeys(transactions))
        evidence: list[Mapping[str, Scalar]] = [
            {
                "transaction": f"T{index}",
                "did": self.witness.shown(one),
                **self.history.details(one),
            }
            for index, one in enumerate(unique, 1)
        ]
        return Anomaly(
            name=name,
            sentences=tuple(sentences),
            evidence=tuple(evidence),
            drawn=drawn,
            count=count,
        )

    def key(self, micro: int) -> str:
        """The key of a micro-operation."""
        return f"key {self.history.key_name(int(self.history.key[micro]))}"

    def value(self, number: int) -> str:
        """A value."""
        return str(self.history.value_name(number))


ORDERS: Mapping[str, str] = {
    "none": ".",
    "session": "; the acknowledged transactions of each process stand in its order.",
    "clock": "; none stands before one that had ended before it began.",
}
"""How an order stands to the sessions and the clock: the end of what a proof has shown."""


class OrderInWords(Sequence[str]):
    """The steps of an order, worded when somebody asks."""

    def __init__(self, history: Transactions, took_part: Bools, timeline: Timeline) -> None:
        is_split = timeline.is_split
        who = np.flatnonzero(took_part)
        reads, commits = timeline.read_at[who], timeline.commit_at[who]
        places = np.concatenate([reads, commits]) if is_split else reads
        order = np.argsort(places, kind="stable")
        self._history = history
        self._who = np.concatenate([who, who])[order] if is_split else who[order]
        self._is_commit = order >= len(who)
        self._is_split = is_split

    def __len__(self) -> int:
        return len(self._who)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        what = ("commits " if self._is_commit[index] else "reads   ") if self._is_split else ""
        return f"{what}{_named(self._history.details(int(self._who[index])))}"

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))


def began_where(details: Mapping[str, Scalar]) -> str:
    """Where a transaction of a file begins: ``line 7``, or ``operation 7``."""
    word = "operation" if "began_operation" in details else "line"
    return f"{word} {details.get(f'began_{word}')}"


_ENDS = ("began", "ended")


def _named(details: Mapping[str, Scalar]) -> str:
    """A transaction, so that a person finds it: by its operation in a run, by lines in a file."""
    if "operation" in details:
        return f"{details['operation']} on {details.get('node', 'an unknown node')}"
    who = f"process {details.get('process')}"
    for word in ("line", "operation"):
        places = [str(details[f"{end}_{word}"]) for end in _ENDS if f"{end}_{word}" in details]
        if places:
            return f"{who}, {word}s {' to '.join(places)}"
    return who
