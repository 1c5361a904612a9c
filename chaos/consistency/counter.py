"""A counter: whether each read lies within what was added, and each new value was given once.

A read sees at the least every addition that had ended well when it began, and at the most every one
that had begun when it ended and did not fail (Jepsen's ``checker/counter``). Additions below zero,
which Jepsen refuses, count the other way round.

Where additions answer the new value (``UPDATE … RETURNING``), more is asked: no value is given
twice, and what was given later by the clock is larger.
"""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chaos.consistency.answer import Anomaly, HistoryAnswer, Proof
from chaos.consistency.attempts import ClientAttempt, refuse_others
from chaos.consistency.calls import WRITE, Call, capital
from chaos.consistency.errors import HistoryValueError
from chaos.consistency.versions import against_the_clock
from chaos.findings import Verdict
from chaos.wording import counted, joined

BOUNDED = "bounded"
"""The only level."""

ADD = "add"
READ = "read"
ADD_AND_GET = "add-and-get"
"""An addition whose answer is the new value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a read may have seen."""

    read: ClientAttempt
    seen: int
    lower: int
    upper: int

    @property
    def are_kept(self) -> bool:
        """Whether it saw what it may see."""
        return self.lower <= self.seen <= self.upper

    @property
    def sentence(self) -> str:
        """Which bound was not kept, and why it is one."""
        if self.seen < self.lower:
            why = f"additions that had ended before it began make {self.lower:,} at the least"
        else:
            why = f"all additions that had begun before it ended make {self.upper:,} at the most"
        return f"{capital(str(self.read))} saw {self.seen:,}: {why}."


def judge(attempts: Sequence[ClientAttempt], *, level: str) -> HistoryAnswer:
    """Whether the reads, and the values given, are those of one counter that began at zero.

    Raises:
        HistoryValueError: an amount or a value is no whole number, or an operation is none of a
            counter.
    """
    refuse_others(attempts, (ADD, READ, ADD_AND_GET))
    bounds = bounds_of(attempts)
    given = [one for one in attempts if one.f == ADD_AND_GET and one.is_ok]
    wrong = [one for one in bounds if not one.are_kept]
    anomalies = list(_out_of_bounds(attempts, wrong))
    if all(_amount(one) > 0 for one in given):
        anomalies += [*_given_twice(given), *_given_backwards(given)]
    counts = {
        "operations": len(attempts),
        "reads": len(bounds) - len(given),
        "additions": sum(one.f in {ADD, ADD_AND_GET} for one in attempts),
    }
    recount = Recount(attempts)
    if not anomalies and not all(recount.is_within(one.read) for one in bounds):
        return HistoryAnswer(
            model="counter",
            level=level,
            verdict=Verdict.UNKNOWN,
            reason="The judge contradicts itself: bounds counted twice are not the same.",
            counts=counts,
        )
    return HistoryAnswer.compared(
        model="counter",
        level=level,
        anomalies=anomalies,
        holds=f"{counted(counts['reads'], 'read')} within the additions before and beside each, "
        f"{counted(len(given), 'value')} given once and in order.",
        proof=Proof(
            method="The bounds of every value seen were counted again, from sums of all additions.",
            checked=len(bounds),
        ),
        counts=counts,
        notes=()
        if bounds or anomalies
        else ("Nothing was read: nothing could contradict the additions.",),
    )


def bounds_of(attempts: Sequence[ClientAttempt]) -> list[Bounds]:
    """The bounds of every value that was seen, by the ends; one sweep along the clock.

    Args:
        attempts: Additions (``asked`` is how much), reads (``answered`` is what was seen), and
            additions that answer the new value; each of those sees itself.
    """
    events = [(one.began, False, one) for one in attempts]
    events += [(one.ended, True, one) for one in attempts if one.ended is not None]
    more, less = _Tally(), _Tally()
    at_begin: dict[int, tuple[int, int]] = {}
    bounds = []
    for _, is_end, one in sorted(events, key=lambda event: event[0]):
        if not is_end:
            at_begin[one.began] = more.ended, less.ended
        amount = _amount(one)
        tally = more if amount > 0 else less
        if not is_end:
            tally.begun += amount
        elif _is_seen(one):
            bounds.append(
                Bounds(
                    read=one,
                    seen=_number(one.answered, one),
                    lower=at_begin[one.began][0] + less.begun + max(amount, 0),
                    upper=at_begin[one.began][1] + more.begun + min(amount, 0),
                )
            )
        if is_end and one.is_ok:
            tally.ended += amount
    return bounds


@dataclass(slots=True)
class _Tally:
    """The sum of additions in one direction: of those that have begun, and that have ended well."""

    begun: int = 0
    ended: int = 0


class Recount:
    """The second opinion on bounds: each is looked up in sums of all additions, without a sweep."""

    def __init__(self, attempts: Sequence[ClientAttempt]) -> None:
        more = [(one, max(_amount(one), 0)) for one in attempts]
        less = [(one, min(_amount(one), 0)) for one in attempts]
        self._more_begun = _Sums((one.began, amount) for one, amount in more)
        self._less_begun = _Sums((one.began, amount) for one, amount in less)
        self._more_ended = _Sums((one.ended or 0, amount) for one, amount in more if one.is_ok)
        self._less_ended = _Sums((one.ended or 0, amount) for one, amount in less if one.is_ok)

    def is_within(self, read: ClientAttempt) -> bool:
        """Whether a read or an addition that ended well saw what it may see."""
        assert read.ended is not None
        own = _amount(read)
        lower = self._more_ended.before(read.began) + self._less_begun.before(read.ended)
        upper = self._less_ended.before(read.began) + self._more_begun.before(read.ended)
        return lower + max(own, 0) <= _number(read.answered, read) <= upper + min(own, 0)


class _Sums:
    """Amounts by position, and their sum before any position."""

    def __init__(self, amounts: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(amounts)
        self._positions = [position for position, _ in ordered]
        self._sums = [0, *itertools.accumulate(amount for _, amount in ordered)]

    def before(self, position: int) -> int:
        return self._sums[bisect.bisect_left(self._positions, position)]


def _out_of_bounds(attempts: Sequence[ClientAttempt], wrong: Sequence[Bounds]) -> Iterator[Anomaly]:
    if not wrong:
        return
    first = wrong[0]
    sentences = [first.sentence]
    if not Recount(attempts).is_within(first.read):
        sentences.append("Confirmed: its bounds were counted again from all additions.")
    yield Anomaly(
        name="value-out-of-bounds",
        sentences=tuple(sentences),
        evidence=tuple(
            one.read.evidence(seen=one.seen, lower=one.lower, upper=one.upper) for one in wrong
        ),
        count=len(wrong),
    )


def _given_twice(given: Sequence[ClientAttempt]) -> Iterator[Anomaly]:
    """Two additions that were answered the same value: one of them is lost."""
    of_value: dict[int, list[ClientAttempt]] = defaultdict(list)
    for one in given:
        of_value[_number(one.answered, one)].append(one)
    twice = {value: some for value, some in of_value.items() if len(some) > 1}
    if not twice:
        return
    value, some = min(twice.items(), key=lambda item: item[1][1].began)
    yield Anomaly(
        name="value-given-twice",
        sentences=(
            f"The value {value:,} was given to {joined([str(one) for one in some])}: "
            "each added to a counter that did not have the other's addition.",
        ),
        evidence=tuple(one.evidence(value=value) for value, some in twice.items() for one in some),
        count=len(twice),
    )


def _given_backwards(given: Sequence[ClientAttempt]) -> Iterator[Anomaly]:
    """A value that is smaller than one given before it began, though all additions are upward."""
    calls = [
        Call(
            f=WRITE,
            version=_number(one.answered, one),
            began=one.began,
            ended=one.ended,
            process=one.process,
            line=one.line,
            end_line=one.end_line,
        )
        for one in given
    ]
    ordered = sorted(calls, key=lambda call: (call.version or 0, call.began))
    if (clash := against_the_clock(ordered)) is not None:
        later, earlier = clash.calls
        yield Anomaly(
            name="value-given-backwards",
            sentences=(
                f"The addition of {later.where} was given {later.version:,}, though the one of "
                f"{earlier.where} had been given {earlier.version:,} before it began.",
            ),
            evidence=tuple(call.evidence(value=call.version) for call in clash.calls),
        )


def _amount(one: ClientAttempt) -> int:
    """How much an attempt adds, if it takes effect; a read adds nothing."""
    return _number(one.asked, one) if one.f in {ADD, ADD_AND_GET} and one.outcome != "fail" else 0


def _is_seen(one: ClientAttempt) -> bool:
    return one.is_ok and one.f in {READ, ADD_AND_GET}


def _number(value: object, one: ClientAttempt) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise HistoryValueError(f"{one.f} of {value!r}, which is no whole number", line=one.line)
