"""What happened, in words: anomalies inside one transaction or one list. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from chaos.consistency.append.steps import ListWitness
from chaos.consistency.append.versions import Versions
from chaos.consistency.transactions.columns import FAIL
from chaos.consistency.transactions.sentences import AnomalyTold, Teller


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTeller(Teller):
    """Words for what was found in one history of lists."""

    witness: ListWitness
    versions: Versions

    def tell(self, name: str, micro: int) -> AnomalyTold:
        """What is wrong at a micro-operation of T1."""
        return _WORDS[name](self, micro)

    def seen(self, read: int) -> str:
        """What a read saw."""
        return self.witness.shown_list(self.history.list_of(read))

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


def _duplicates(teller: ListTeller, read: int) -> AnomalyTold:
    counts = Counter(teller.history.list_of(read))
    element, times = counts.most_common(1)[0]
    what = f"{teller.value(element)} {times} times"
    return [
        f"T1 saw {teller.key(read)} as {teller.seen(read)}, with {what}; it was appended once."
    ], []


def _phantom(teller: ListTeller, read: int) -> AnomalyTold:
    found = teller.writer_of(read, lambda writer: writer < 0)
    element = "an element" if found is None else teller.value(found[0])
    return [f"T1 saw {element} in {teller.key(read)}, which nobody ever appended."], []


def _incompatible(teller: ListTeller, read: int) -> AnomalyTold:
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


def _aborted(teller: ListTeller, read: int) -> AnomalyTold:
    outcome = teller.history.outcome
    found = teller.writer_of(read, lambda writer: writer >= 0 and outcome[writer] == FAIL)
    assert found is not None
    element, writer = found
    return [
        f"T1 saw {teller.value(element)} in {teller.key(read)}.",
        "T2 had appended it, and failed: it must never be seen.",
    ], [writer]


def _dirty(teller: ListTeller, append: int) -> AnomalyTold:
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


def _intermediate(teller: ListTeller, read: int) -> AnomalyTold:
    element = teller.history.list_of(read)[-1]
    versions = teller.versions
    last = versions.start[teller.history.key[read]] + teller.history.length[read] - 1
    return [
        f"T1 saw {teller.key(read)} end in {teller.value(element)}.",
        "T2 appended more to it in the same transaction, so T1 saw a half of T2.",
    ], [int(versions.writer[last])]


def _internal(teller: ListTeller, micro: int) -> AnomalyTold:
    return [
        f"Within T1, what it sees of {teller.key(micro)} is not what it had read and appended.",
    ], []


def _future(teller: ListTeller, append: int) -> AnomalyTold:
    value = teller.value(int(teller.history.value[append]))
    return [f"T1 saw {value} in {teller.key(append)} before it appended it itself."], []


def _lost_update(teller: ListTeller, read: int) -> AnomalyTold:
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


_WORDS: Mapping[str, Callable[[ListTeller, int], AnomalyTold]] = {
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
