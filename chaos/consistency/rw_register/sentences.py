"""What happened, in words: anomalies inside one transaction or on one register. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from chaos.consistency.rw_register.accesses import Accesses
from chaos.consistency.rw_register.steps import RegisterWitness
from chaos.consistency.transactions.sentences import AnomalyTold, Teller, began_where


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterTeller(Teller):
    """Words for what was found in one history of registers."""

    witness: RegisterWitness
    accesses: Accesses

    def tell(self, name: str, micro: int) -> AnomalyTold:
        """What is wrong at a micro-operation of T1."""
        return _WORDS[name](self, micro)

    def seen(self, read: int) -> str:
        """What a read saw."""
        return self.witness.shown_value(self.history.list_of(read))

    def writer(self, read: int) -> int:
        """The transaction that wrote what a read saw."""
        return int(self.history.op[self.accesses.saw[read]])

    def stale_read(self) -> str:
        """A read of a value that had been replaced before it began, by the clock; empty: none."""
        history, accesses = self.history, self.accesses
        writes = accesses.final_writes[accesses.took_part[history.op[accesses.final_writes]]]
        writes = writes[np.argsort(history.ended[history.op[writes]], kind="stable")]
        reads = accesses.external_reads[accesses.saw[accesses.external_reads] >= 0]
        for read in reads.tolist():
            reader, writer = history.op[read], history.op[accesses.saw[read]]
            between = history.op[writes[history.key[writes] == history.key[read]]]
            between = between[history.began[between] > history.ended[writer]]
            between = between[history.ended[between] < history.began[reader]]
            if len(between):
                first, second = (
                    began_where(history.details(int(one))) for one in (reader, between[0])
                )
                return (
                    f"The transaction of {first} read {self.seen(read)} in {self.key(read)}, which"
                    f" had been replaced when it began, by that of {second}"
                )
        return ""


def _internal(teller: RegisterTeller, read: int) -> AnomalyTold:
    return [
        f"T1 saw {teller.key(read)} as {teller.seen(read)}, and not as what it had itself read or"
        " written just before."
    ], []


def _aborted(teller: RegisterTeller, read: int) -> AnomalyTold:
    return [
        f"T1 saw {teller.seen(read)} in {teller.key(read)}.",
        "T2 had written it, and failed: it must never be seen.",
    ], [teller.writer(read)]


def _intermediate(teller: RegisterTeller, read: int) -> AnomalyTold:
    return [
        f"T1 saw {teller.seen(read)} in {teller.key(read)}.",
        "T2 wrote it, and something else after it in the same transaction, so T1 saw a half of T2.",
    ], [teller.writer(read)]


def _lost_update(teller: RegisterTeller, read: int) -> AnomalyTold:
    history, accesses = teller.history, teller.accesses
    reads = accesses.anomalies["lost-update"]
    same = reads[(history.key[reads] == history.key[read])]
    others = [
        int(history.op[one])
        for one in same.tolist()
        if one != read and history.list_of(one) == history.list_of(read)
    ]
    return [
        f"T1 and T2 both saw {teller.key(read)} as {teller.seen(read)}, and both wrote it: the"
        " second one overwrote what it had not seen."
    ], [int(np.min(others))]


_WORDS: Mapping[str, Callable[[RegisterTeller, int], AnomalyTold]] = {
    "internal": _internal,
    "G1a": _aborted,
    "G1b": _intermediate,
    "lost-update": _lost_update,
}
