"""Registers, locks and texts: whether the calls on each are linearizable, and the order, or why.

Each key is judged alone: a history is linearizable if and only if that of each object is (Herlihy
and Wing, 1990; for checkers: Horn and Kroening, 2015). How depends on what the history gives away:
versions are an order already (``versions.py``), unique values leave few (``zones.py``), and the
rest is searched (``search.py``).

An order is replayed by ``linearization.py`` before it is called a proof. A call without a place is
looked for by ``sweep.py`` too, a clash of values is put before it alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from chaos.consistency import search, versions, zones
from chaos.consistency.answer import Anomaly, HistoryAnswer, Proof
from chaos.consistency.calls import Call, capital, shown
from chaos.consistency.linearization import objection
from chaos.consistency.objects import Register, SequentialObject
from chaos.consistency.sweep import TooManyError, sweep
from chaos.findings import Verdict
from chaos.wording import counted, joined

LINEARIZABLE = "linearizable"
"""The only level of these models."""

BY_VERSIONS = "given by the versions"
"""How an order was come by that is the only one."""

FURTHER = 100
"""Once a key is refuted the others are searched to a hundredth of the limit: they can only add to
the evidence."""

NAMED_MAX = 4
"""So many calls, states or keys are named in one sentence."""


@dataclass(slots=True)
class _Seen:
    """What was found about each key."""

    orders: list[tuple[Call, ...]] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    methods: set[str] = field(default_factory=set)


def judge(
    calls: Sequence[Call],
    on: Callable[[], SequentialObject],
    *,
    model: str,
    situations_max: int = search.SITUATIONS_MAX,
) -> HistoryAnswer:
    """Whether the calls on each key are those of one object, called one at a time.

    Args:
        calls: The calls, each with its key.
        on: Makes the object of one key.
        model: The name of the model, for the answer.
        situations_max: Where the search of one key gives up; the answer is UNKNOWN then.
    """
    of_key: dict[Hashable, list[Call]] = defaultdict(list)
    for call in calls:
        of_key[call.key].append(call)
    seen = _Seen()
    for some in sorted(of_key.values(), key=len):
        most = situations_max if not seen.anomalies else situations_max // FURTHER
        _judge_one(some, on(), seen, most)
    counts = {
        "operations": len(calls),
        "open operations": sum(call.is_open for call in calls),
        "keys": len(of_key),
    }
    verdict, reason = _verdict(seen, counts)
    return HistoryAnswer(
        model=model,
        level=LINEARIZABLE,
        verdict=verdict,
        reason=reason,
        anomalies=tuple(seen.anomalies),
        proof=_proof(seen) if verdict is Verdict.VALID else None,
        counts=counts,
    )


def _verdict(seen: _Seen, counts: dict[str, int]) -> tuple[Verdict, str]:
    if seen.anomalies:
        return Verdict.INVALID, seen.anomalies[0].sentences[0]
    if seen.unknown:
        return Verdict.UNKNOWN, seen.unknown[0]
    keys = f" on {counted(counts['keys'], 'key')}" if counts["keys"] > 1 else ""
    words = counted(counts["operations"], "operation")
    return Verdict.VALID, f"One order explains {words}{keys}."


def _judge_one(
    calls: Sequence[Call], on: SequentialObject, seen: _Seen, situations_max: int
) -> None:
    """Judges one key, and writes down what it finds."""
    found: tuple[Call, ...] | zones.Clash | search.Stuck | search.GaveUp
    if isinstance(on, Register) and versions.are_given(calls):
        found, method = versions.order_or_clash(calls), BY_VERSIONS
    elif isinstance(on, Register) and zones.are_unique(calls, on.opening):
        found, method = zones.order_or_clash(calls, on.opening), "made of zones"
    else:
        result = search.search(calls, on, situations_max=situations_max)
        found = result.calls if isinstance(result, search.Linearization) else result
        method = "searched"
    match found:
        case zones.Clash():
            seen.anomalies.append(_clashing(found, on, method))
        case search.Stuck():
            if (anomaly := _without_place(found, calls, on)) is None:
                seen.unknown.append(
                    f"{_of_key(calls[0])}The judge contradicts itself: the sweep finds an order "
                    "where the search finds none."
                )
            else:
                seen.anomalies.append(anomaly)
        case search.GaveUp():
            seen.unknown.append(
                f"{_of_key(calls[0])}The search gave up after "
                f"{counted(found.situations, 'situation')}: with "
                f"{counted(sum(call.is_open for call in calls), 'open operation')} there are too "
                "many orders."
            )
        case _:
            wrong = objection(found, calls, on)
            if wrong is None:
                seen.orders.append(found)
                seen.methods.add(method)
            elif method == BY_VERSIONS:
                seen.anomalies.append(_wrong_in_the_only_order(wrong, calls[0]))
            else:
                seen.unknown.append(f"{_of_key(calls[0])}The judge contradicts itself: {wrong}")


def _proof(seen: _Seen) -> Proof:
    return Proof(
        method=f"An order of all calls ({joined(sorted(seen.methods)) or 'empty'}) was replayed "
        "one call at a time: each answer is right at its place, and no call stands behind one that "
        "began after its end.",
        order=_Steps(seen.orders),
        checked=sum(not call.is_blind for order in seen.orders for call in order),
    )


class _Steps(Sequence[str]):
    """The calls of orders, in words, written when somebody looks."""

    def __init__(self, orders: Sequence[Sequence[Call]]) -> None:
        self._calls = [call for order in orders for call in order]

    def __len__(self) -> int:
        return len(self._calls)

    def __getitem__(self, index: int | slice) -> str | list[str]:  # type: ignore[override]
        if isinstance(index, slice):
            return [capital(str(call)) for call in self._calls[index]]
        return capital(str(self._calls[index]))


def _clashing(clash: zones.Clash, on: SequentialObject, method: str) -> Anomaly:
    sentences = [f"{_of_key(clash.calls[0])}{capital(clash.sentence)}"]
    if method != BY_VERSIONS and _is_refuted(clash.calls, on):
        sentences.append(
            f"Confirmed by a sweep over {counted(len(clash.calls), 'call')} alone: "
            "they have no order."
        )
    return Anomaly(
        name="not-linearizable",
        sentences=tuple(sentences),
        evidence=tuple(call.evidence() for call in clash.calls),
    )


def _wrong_in_the_only_order(wrong: str, of: Call) -> Anomaly:
    return Anomaly(
        name="not-linearizable",
        sentences=(f"{_of_key(of)}{wrong}", "The versions leave no other order."),
    )


def _is_refuted(calls: Sequence[Call], on: SequentialObject) -> bool:
    try:
        return sweep(calls, on) is not None
    except TooManyError:
        return False


def _without_place(
    stuck: search.Stuck, calls: Sequence[Call], on: SequentialObject
) -> Anomaly | None:
    """The call, what the object may have been when it ran, and what ran beside it.

    None where the second opinion is another one.
    """
    try:
        dead = sweep([call for call in calls if call.began < _end_of(stuck.call)], on)
    except TooManyError:
        call, states = stuck.call, stuck.states
        closing = "A sweep cannot confirm it: too many situations are possible at once."
    else:
        if dead is None:
            return None
        call, states = dead.call, dead.before
        closing = "Confirmed by a sweep through all situations up to its end."
    beside = [
        one
        for one in calls
        if one is not call
        and not one.only_looks
        and one.began < _end_of(call)
        and (one.ended is None or one.ended > call.began)
    ]
    sentences = [
        f"{_of_key(call)}{capital(str(call))} has a place in no order.",
        f"Whatever the order of the calls before, the object is "
        f"{_listed([on.describe(state) for state in states], 'or')} until its end.",
    ]
    if beside:
        sentences.append(f"Beside it {_listed([str(one) for one in beside], 'and')} may change it.")
    return Anomaly(
        name="not-linearizable",
        sentences=(*sentences, closing),
        evidence=(
            call.evidence(role="no place"),
            *(one.evidence(role="beside it") for one in beside),
        ),
    )


def _listed(words: Sequence[str], last: str) -> str:
    """``a``, ``a or b``, ``a, b or 12 more``."""
    if len(words) > NAMED_MAX:
        words = [*words[:NAMED_MAX], f"{len(words) - NAMED_MAX:,} more"]
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def _of_key(call: Call) -> str:
    return "" if call.key is None else f"Key {shown(call.key)}: "


def _end_of(call: Call) -> int:
    assert call.ended is not None
    return call.ended
