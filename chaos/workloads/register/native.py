"""The calls on the registers of a run, and what ``bascule judge`` says of them. Pure.

A compare-and-set that found another value than it expected has seen that value: it is a read. The
final read of the primary reads every register, after everything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from chaos.checkers.authority import authority
from chaos.consistency import registers
from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.calls import CAS, READ, WRITE, Call
from chaos.consistency.objects import Register
from chaos.evidence.records import Scalar
from chaos.evidence.run import Run
from chaos.workloads.native import PlacedOperation, placed, units_of


def judge_run(run: Run, level: str | None) -> HistoryAnswer:
    """Whether the calls on each register are linearizable; there is no other level."""
    del level
    return registers.judge(calls_of(run), Register, model="register")


def calls_of(run: Run) -> list[Call]:
    """The calls that took effect, or may have, on all registers."""
    some = placed(units_of(run))
    calls = [call for one in some if (call := _call(one)) is not None]
    last = max((one.ended or one.began for one in some), default=0) + 1
    return [*calls, *_final(run, last)]


def _call(one: PlacedOperation) -> Call | None:
    """None: it did not happen, or says nothing."""
    work, result = one.operation.work, one.operation.result
    if one.outcome == "fail" or (work["op"] == READ and one.outcome != "ok"):
        return None
    f, value = str(work["op"]), work.get("value")
    asked: Scalar | tuple[Scalar, Scalar] = value
    if f == READ:
        asked = result["value"]
    elif f == CAS:
        expected = work["expected"]
        is_missed = one.outcome == "ok" and result["found"] != expected
        f, asked = (READ, result["found"]) if is_missed else (CAS, (expected, value))
    elif f != WRITE:
        raise ValueError(f"{one.operation.id}: a register knows no {f}")
    return Call(
        f=f,
        value=asked,
        key=work["key"],
        began=one.began,
        ended=one.ended if one.outcome == "ok" else None,
        process=one.process,
        version=_integer(result.get("version")),
        name=one.name,
    )


def _final(run: Run, last: int) -> Iterator[Call]:
    """What the primary holds at the end, a read of each register."""
    primary = authority(run)
    if primary is None:
        return
    has_versions = any("version" in one.result for one in units_of(run))
    for row in primary.state:
        held = json.loads(row.content)
        key = int(row.id)
        yield Call(
            f=READ,
            value=held["value"],
            key=key,
            began=last + 2 * key,
            ended=last + 2 * key + 1,
            version=held["version"] if has_versions else None,
            name=f"the final read of {primary.node}",
        )


def _integer(value: Scalar) -> int | None:
    return value if isinstance(value, int) else None
