"""From attempts on registers, locks and texts to calls, by Knossos' and Porcupine's conventions.

Knossos: what failed did not happen, a compare-and-set that missed says nothing of the register, and
a read of nil says nothing. Porcupine's kv: ``get``, ``put`` and ``append`` under a ``key`` of their
own. Jepsen's ``independent`` puts a key before each value: ``[3 nil]`` asks for register 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeGuard

from chaos.consistency import calls
from chaos.consistency.attempts import ClientAttempt
from chaos.consistency.calls import Call
from chaos.consistency.edn import frozen
from chaos.consistency.errors import HistoryValueError


def register_calls(attempts: Sequence[ClientAttempt]) -> list[Call]:
    """Reads, writes and compare-and-sets of one register, or of one a key.

    Raises:
        HistoryValueError: an operation that a register does not know, or one without a key among
            others with one.
    """
    return list(_register_calls(attempts))


def _register_calls(attempts: Sequence[ClientAttempt]) -> Iterator[Call]:
    has_keys = _has_keys(attempts)
    for one in attempts:
        if one.outcome == "fail":
            continue
        value = one.answered if one.is_ok and one.f == calls.READ else one.asked
        key = None
        if has_keys:
            key, value = _pair(value, one)
        if one.f == calls.READ and (value is None or not one.is_ok):
            continue
        if one.f == calls.CAS:
            value = _pair(value, one)
        elif one.f not in {calls.READ, calls.WRITE}:
            raise _unknown(one, "read, write or cas")
        yield _call(one, one.f, value, key)


def lock_calls(attempts: Sequence[ClientAttempt]) -> list[Call]:
    """Acquisitions and releases of one lock.

    Raises:
        HistoryValueError: an operation that a lock does not know.
    """
    wrong = next((one for one in attempts if one.f not in {calls.ACQUIRE, calls.RELEASE}), None)
    if wrong is not None:
        raise _unknown(wrong, "acquire or release")
    return [_call(one, one.f, None, None) for one in attempts if one.outcome != "fail"]


def text_calls(attempts: Sequence[ClientAttempt]) -> list[Call]:
    """Gets, puts and appends of texts under keys.

    Raises:
        HistoryValueError: an operation that a text does not know, or one without its text.
    """
    names = {"get": calls.READ, "put": calls.WRITE, "append": calls.APPEND}
    found = []
    for one in attempts:
        if (f := names.get(one.f)) is None:
            raise _unknown(one, "get, put or append")
        if one.outcome == "fail" or (f == calls.READ and not one.is_ok):
            continue
        value = one.answered if f == calls.READ else one.asked
        if not isinstance(value, str):
            raise HistoryValueError(f"{one.f} of {value!r}, which is no text", line=one.line)
        found.append(_call(one, f, value, one.key))
    return found


def transaction_calls(attempts: Sequence[ClientAttempt]) -> list[Call]:
    """Transactions of ``[read k v]`` and ``[write k v]`` over several registers.

    Raises:
        HistoryValueError: an operation that is none.
    """
    names = {"r": calls.READ, "w": calls.WRITE, "read": calls.READ, "write": calls.WRITE}
    found = []
    for one in attempts:
        if one.outcome == "fail":
            continue
        parts = []
        for part in _list(one.answered if one.is_ok else one.asked, one):
            if (
                not isinstance(part, list)
                or len(part) != 3
                or not isinstance(part[0], str)
                or part[0] not in names
            ):
                raise HistoryValueError(
                    f"{part!r} is no part of a transaction",
                    line=one.line,
                    remedy="[read key value] or [write key value]",
                )
            f, key, value = names[part[0]], part[1], part[2]
            if f == calls.READ and not one.is_ok:
                value = None
            parts.append((f, frozen(key), frozen(value)))
        call = _call(one, calls.TXN, tuple(parts), None)
        if not (call.is_open and call.only_looks):
            found.append(call)
    return found


def _call(one: ClientAttempt, f: str, value: object, key: object) -> Call:
    return Call(
        f=f,
        value=frozen(value),
        key=frozen(key),
        began=one.began,
        ended=one.ended if one.is_ok else None,
        process=one.process,
        line=one.line,
        end_line=one.end_line,
    )


def _has_keys(attempts: Sequence[ClientAttempt]) -> bool:
    """Whether reads ask with a pair of a key and nil.

    Without reads: whether every write is a pair and every compare-and-set one of a key and a pair.

    Raises:
        HistoryValueError: some reads ask with a key, others do not.
    """
    reads = [one for one in attempts if one.f == calls.READ]
    without = [one for one in reads if not (_is_pair(one.asked) and one.asked[1] is None)]
    if without and len(without) < len(reads):
        raise HistoryValueError(
            f"a read of {without[0].asked!r}, among others of [key nil]",
            line=without[0].line,
            remedy="each operation has a key before its value, or none has",
        )
    if reads:
        return not without
    written = [one.asked for one in attempts if one.f == calls.WRITE]
    compared = [one.asked for one in attempts if one.f == calls.CAS]
    return bool(compared) and all(map(_is_pair, written)) and all(map(_is_keyed_cas, compared))


def _is_pair(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list) and len(value) == 2


def _is_keyed_cas(value: object) -> bool:
    return _is_pair(value) and not isinstance(value[0], list) and _is_pair(value[1])


def _pair(value: object, one: ClientAttempt) -> tuple[object, object]:
    if _is_pair(value):
        return value[0], value[1]
    raise HistoryValueError(f"{one.f} of {value!r}, which is no pair", line=one.line)


def _list(value: object, one: ClientAttempt) -> list[object]:
    if isinstance(value, list):
        return value
    raise HistoryValueError(f"{one.f} of {value!r}, which is no list", line=one.line)


def _unknown(one: ClientAttempt, known: str) -> HistoryValueError:
    return HistoryValueError(f"an operation {one.f!r}", line=one.line, remedy=f"it is {known}")
