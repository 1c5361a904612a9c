"""Sets that only grow: what was added and is gone, is there twice, or came from nowhere.

Two models, as in Jepsen. ``set`` looks at the last read alone: all that was acknowledged must be in
it, and nothing that nobody tried to add. ``set-full`` follows each element through all reads
(``elements.py``).

Beyond Jepsen, whose checkers cannot report them: an element that stands twice in one read, in both
models, and one that nobody tried to add, in ``set-full``. (Jepsen asks for a multiplicity below one
where it means above one.)

Source: Jepsen's ``checker/set`` and ``checker/set-full``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

from chaos.consistency.answer import Anomaly, HistoryAnswer, Proof
from chaos.consistency.attempts import ClientAttempt, refuse_others
from chaos.consistency.calls import capital, shown
from chaos.consistency.elements import (
    ADD,
    READ,
    Fate,
    SetRead,
    additions_of,
    element_of,
    fates_of,
    reads_of,
)
from chaos.findings import Verdict
from chaos.wording import counted

EVENTUAL = "eventual"
"""An element may take its time to appear, but not vanish."""
LINEARIZABLE = "linearizable"
"""Every read has all that was known when it began."""

NAMED_MAX = 20
"""So many elements are named in a sentence."""


def judge_last_read(attempts: Sequence[ClientAttempt], *, level: str) -> HistoryAnswer:
    """``set``: the last read has all that was acknowledged, nothing twice, nothing from nowhere.

    Raises:
        HistoryValueError: an operation is neither an addition nor a read of a set.
    """
    refuse_others(attempts, (ADD, READ))
    reads = reads_of(attempts)
    tried = _first_tries(attempts)
    added = {element_of(one): one for one in additions_of(attempts) if one.is_ok}
    counts = {"operations": len(attempts), "additions": len(tried), "reads": len(reads)}
    if not reads:
        return _unknown("set", level, "The set was never read.", counts)
    if (reason := _mixed(tried, reads)) is not None:
        return _unknown("set", level, reason, counts)
    last = max(reads, key=lambda read: read.attempt.ended or 0)
    lost = [one for element, one in added.items() if element not in last.elements]
    anomalies = [
        *_lost([(one, last.attempt) for one in lost]),
        *_twice([last]),
        *_from_nowhere(tried, [last]),
    ]
    failed = len(_failed_each_time(attempts).intersection(last.elements))
    return _answer("set", level, anomalies, counts, _failed_notes(failed))


def judge_all_reads(attempts: Sequence[ClientAttempt], *, level: str) -> HistoryAnswer:
    """``set-full``: no element is lost, stands twice or comes from nowhere; or even is stale.

    Raises:
        HistoryValueError: an operation is neither an addition nor a read of a set.
    """
    refuse_others(attempts, (ADD, READ))
    reads = reads_of(attempts)
    tried = _first_tries(attempts)
    counts = {"operations": len(attempts), "additions": len(tried), "reads": len(reads)}
    if (reason := _mixed(tried, reads)) is not None:
        return _unknown("set-full", level, reason, counts)
    fates = fates_of(attempts)
    lost = [fate for fate in fates if fate.is_lost]
    stale = [fate for fate in fates if fate.is_stale]
    stable = sum(fate.is_stable for fate in fates)
    counts |= {
        "stable": stable,
        "lost": len(lost),
        "stale": len(stale),
        "never read": len(fates) - stable - len(lost),
    }
    anomalies = [
        *_lost([(fate.addition, fate.absent) for fate in lost if fate.absent is not None]),
        *_twice(reads),
        *_from_nowhere(tried, reads),
        *(_stale(stale) if level == LINEARIZABLE else ()),
    ]
    if not anomalies and not stable:
        return _unknown("set-full", level, "No element was seen that was there to stay.", counts)
    seen = {fate.element for fate in fates if fate.present is not None}
    failed = len(_failed_each_time(attempts) & seen)
    notes = list(_failed_notes(failed))
    if stale and level != LINEARIZABLE:
        notes.append(f"{counted(len(stale), 'element')} came late: the level permits it.")
    return _answer("set-full", level, anomalies, counts, tuple(notes))


def _first_tries(attempts: Sequence[ClientAttempt]) -> dict[Hashable, ClientAttempt]:
    """The first addition of each element: a read after it may have the element."""
    tried: dict[Hashable, ClientAttempt] = {}
    for one in additions_of(attempts):
        tried.setdefault(element_of(one), one)
    return tried


def _failed_each_time(attempts: Sequence[ClientAttempt]) -> set[Hashable]:
    additions = list(additions_of(attempts))
    tried = {element_of(one) for one in additions}
    return tried - {element_of(one) for one in additions if one.outcome != "fail"}


def _mixed(tried: Mapping[Hashable, ClientAttempt], reads: Sequence[SetRead]) -> str | None:
    """Whether additions are pairs of a key and an element, and reads bare elements.

    Jepsen wraps values in keys for its ``independent`` tests, and ``set_full.edn`` of elle-cli has
    them unwrapped on one side only: whether all elements are lost or none hangs on which is meant.
    """
    pairs = bool(tried) and all(isinstance(e, tuple) and len(e) == 2 for e in tried)
    bare = {element for read in reads for element in read.elements}
    if not pairs or any(isinstance(element, tuple) for element in bare):
        return None
    if not bare & {element[1] for element in tried if isinstance(element, tuple)}:
        return None
    return (
        "Additions are pairs of a key and an element, reads hold bare elements: as they stand all "
        "are lost, without the keys they are not. Write both in the same way."
    )


def _lost(lost: Sequence[tuple[ClientAttempt, ClientAttempt]]) -> Iterator[Anomaly]:
    if not lost:
        return
    addition, read = lost[0]
    words = counted(len(lost), "acknowledged element is", "acknowledged elements are")
    yield Anomaly(
        name="lost",
        sentences=(
            f"{capital(words)} not there any more: {_named([one for one, _ in lost])}.",
            f"{shown(element_of(addition))} was added by {addition}; {read} lacks it, and no later "
            "read has it.",
        ),
        evidence=tuple(
            one.evidence(element=shown(element_of(one)), lacked_by=other.where)
            for one, other in lost
        ),
        count=len(lost),
    )


def _stale(stale: Sequence[Fate]) -> Iterator[Anomaly]:
    if not stale:
        return
    first = stale[0]
    words = counted(len(stale), "element was", "elements were")
    yield Anomaly(
        name="stale-read",
        sentences=(
            f"{capital(words)} known and yet not seen: {_named([f.addition for f in stale])}.",
            f"{shown(first.element)} was added by {first.addition}; {first.absent} began when it "
            "was known, and lacks it.",
        ),
        evidence=tuple(
            fate.addition.evidence(
                element=shown(fate.element), lacked_by=fate.absent.where if fate.absent else None
            )
            for fate in stale
        ),
        count=len(stale),
    )


def _twice(reads: Sequence[SetRead]) -> Iterator[Anomaly]:
    twice = [
        (element, times, read.attempt)
        for read in reads
        for element, times in read.elements.items()
        if times > 1
    ]
    if not twice:
        return
    element, times, read = twice[0]
    yield Anomaly(
        name="duplicate",
        sentences=(f"{capital(str(read))} has {shown(element)} {times:,} times.",),
        evidence=tuple(
            one.evidence(element=shown(element), times=times) for element, times, one in twice
        ),
        count=len({element for element, _, _ in twice}),
    )


def _from_nowhere(
    tried: Mapping[Hashable, ClientAttempt], reads: Sequence[SetRead]
) -> Iterator[Anomaly]:
    found = {
        element: read.attempt
        for read in reversed(reads)
        for element in read.elements
        if element not in tried or tried[element].began > (read.attempt.ended or 0)
    }
    if not found:
        return
    element, read = next(iter(found.items()))
    yield Anomaly(
        name="phantom",
        sentences=(f"{capital(str(read))} has {shown(element)}, which nobody had tried to add.",),
        evidence=tuple(one.evidence(element=shown(element)) for element, one in found.items()),
        count=len(found),
    )


def _named(additions: Sequence[ClientAttempt]) -> str:
    names = [shown(element_of(one)) for one in additions[:NAMED_MAX]]
    more = f" and {len(additions) - NAMED_MAX:,} more" if len(additions) > NAMED_MAX else ""
    return f"{', '.join(names)}{more}"


def _failed_notes(failed: int) -> tuple[str, ...]:
    if not failed:
        return ()
    words = counted(failed, "element was", "elements were")
    return (f"{capital(words)} read though the addition had failed: as in Jepsen, no anomaly.",)


def _answer(
    model: str,
    level: str,
    anomalies: Sequence[Anomaly],
    counts: Mapping[str, int],
    notes: tuple[str, ...],
) -> HistoryAnswer:
    return HistoryAnswer.compared(
        model=model,
        level=level,
        anomalies=anomalies,
        holds=f"Of {counted(counts['additions'], 'element')} none is lost, twice or from nowhere.",
        proof=Proof(
            method="Every read was compared with every element that somebody tried to add.",
            checked=counts["reads"],
        ),
        counts=counts,
        notes=notes,
    )


def _unknown(model: str, level: str, reason: str, counts: Mapping[str, int]) -> HistoryAnswer:
    return HistoryAnswer(
        model=model, level=level, verdict=Verdict.UNKNOWN, reason=reason, counts=counts
    )
