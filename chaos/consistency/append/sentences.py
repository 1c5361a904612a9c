"""What happened, in words: anomalies inside one transaction or list, and circles. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chaos.consistency.answer import Anomaly
from chaos.consistency.append.columns import FAIL, Ints, Transactions
from chaos.consistency.append.cycles import Circle
from chaos.consistency.append.steps import CircleWitness
from chaos.consistency.append.versions import Versions
from chaos.evidence.records import Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Words for what was found in one history."""

    history: Transactions
    versions: Versions
    witness: CircleWitness

    def local(self, name: str, micro: Ints) -> Anomaly:
        """An anomaly that needs no circle, told of its earliest case."""
        one = int(micro.min())
        sentences, others = _WORDS[name](self, one)
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

    def seen(self, read: int) -> str:
        """What a read saw."""
        return self.witness.shown_list(self.history.list_of(read))

    def value(self, number: int) -> str:
        """A value."""
        return str(self.history.value_name(number))

    def writer_of(self, read: int, wanted: Callable[[int], bool]) -> tuple[int, int] | None:
        """The first element of a read whose writer is as wanted, and that writer."""
        history = self.history
        key = history.key[read]
        appends = np.flatnonzero(~history.is_read & (history.key == key))
        by_value = dict(zip(history.value[appends].tolist(), appends.tolist(), strict=True))
        for element in history.list_of(read):
            append = by_value.get(element)
            writer = -1 if append is None else int(history.op[append])
            if wanted(writer):
                return element, writer
        return None


_Told = tuple[Sequence[str], Sequence[int]]
"""Sentences, and the transactions in them beside T1."""


def _duplicates(teller: Teller, read: int) -> _Told:
    counts = Counter(teller.history.list_of(read))
    element, times = counts.most_common(1)[0]
    what = f"{teller.value(element)} {times} times"
    return [
        f"T1 saw {teller.key(read)} as {teller.seen(read)}, with {what}; it was appended once."
    ], []


def _phantom(teller: Teller, read: int) -> _Told:
    found = teller.writer_of(read, lambda writer: writer < 0)
    element = "an element" if found is None else teller.value(found[0])
    return [f"T1 saw {element} in {teller.key(read)}, which nobody ever appended."], []


def _incompatible(teller: Teller, read: int) -> _Told:
    history = teller.history
    longest = teller.witness.longest(int(history.key[read]))
    reads = np.flatnonzero(
        history.is_read
        & (history.key == history.key[read])
        & (history.length == len(longest))
        & (history.outcome[history.op] != FAIL)
    )
    same = (one for one in reads.tolist() if one != read and history.list_of(one) == longest)
    other = next(same, read)
    return [
        f"T1 saw {teller.key(read)} as {teller.seen(read)}.",
        f"T2 saw it as {teller.witness.shown_list(longest)}.",
        "Neither list is how the other one begins, so they are not of one list that grew.",
    ], [int(history.op[other])]


def _aborted(teller: Teller, read: int) -> _Told:
    outcome = teller.history.outcome
    found = teller.writer_of(read, lambda writer: writer >= 0 and outcome[writer] == FAIL)
    assert found is not None
    element, writer = found
    return [
        f"T1 saw {teller.value(element)} in {teller.key(read)}.",
        "T2 had appended it, and failed: it must never be seen.",
    ], [writer]


def _dirty(teller: Teller, append: int) -> _Told:
    history, versions = teller.history, teller.versions
    at = int(versions.position[append])
    first = int(versions.start[history.key[append]])
    real = versions.writer_if_real(history)[first:at]
    failed = np.flatnonzero((real < 0) & (versions.writer[first:at] >= 0))
    lost = first + int(failed[-1])
    value = teller.value(int(versions.element[lost]))
    return [
        f"T2 appended {value} to {teller.key(append)} and failed.",
        f"T1 appended {teller.value(int(history.value[append]))} after it, and was acknowledged.",
    ], [int(versions.writer[lost])]


def _intermediate(teller: Teller, read: int) -> _Told:
    element = teller.history.list_of(read)[-1]
    versions = teller.versions
    last = versions.start[teller.history.key[read]] + teller.history.length[read] - 1
    return [
        f"T1 saw {teller.key(read)} end in {teller.value(element)}.",
        "T2 appended more to it in the same transaction, so T1 saw a half of T2.",
    ], [int(versions.writer[last])]


def _internal(teller: Teller, micro: int) -> _Told:
    return [
        f"Within T1, what it sees of {teller.key(micro)} is not what it had read and appended.",
    ], []


def _future(teller: Teller, append: int) -> _Told:
    value = teller.value(int(teller.history.value[append]))
    return [f"T1 saw {value} in {teller.key(append)} before it appended it itself."], []


def _lost_update(teller: Teller, read: int) -> _Told:
    history = teller.history
    micro = np.flatnonzero(
        history.is_read
        & (history.key == history.key[read])
        & (history.length == history.length[read])
    )
    writers = {
        int(history.op[one])
        for one in micro.tolist()
        if any(
            not history.is_read[later] and history.key[later] == history.key[read]
            for later in history.micro_ops(int(history.op[one]))
            if later > one
        )
    }
    others = sorted(writers - {int(history.op[read])})[:1]
    return [
        f"T1 and T2 both saw {teller.key(read)} as {teller.seen(read)}, and both appended to it:"
        " the second one overwrote what it had not seen."
    ], others


_WORDS: Mapping[str, Callable[[Teller, int], _Told]] = {
    "duplicate-elements": _duplicates,
    "phantom-read": _phantom,
    "incompatible-order": _incompatible,
    "G1a": _aborted,
    "dirty-update": _dirty,
    "G1b": _intermediate,
    "internal": _internal,
    "future-read": _future,
    "lost-update": _lost_update,
}
