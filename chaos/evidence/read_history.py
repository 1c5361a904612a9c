"""``history-<site>.jsonl`` to a ``SiteHistory``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chaos.evidence.fields import Fields
from chaos.evidence.lines import read_lines
from chaos.evidence.records import Operation, Outcome, SiteHistory, Stall, parse_lsn

OUTCOMES: Mapping[str, Outcome] = {"ok": "ok", "fail": "fail", "info": "info"}
"""The types of the lines that end an operation."""

STOPPED = "still open when the load was stopped"
"""The error of an operation that was not given its time; format 1 says it in no other way."""


def read_history(path: Path, site: str, damage: list[str]) -> SiteHistory:
    """The history of one site. Lines that make no sense are left out and added to ``damage``.

    An operation whose end is not on record is ``info`` without ``ended_s``: nobody knows.
    """
    begun: dict[str, Fields] = {}
    ended: dict[str, Fields] = {}
    stalls: list[Stall] = []
    complete = False
    written: int | None = None
    for number, line in read_lines(path, damage):
        try:
            kind = line.get("type")
            fields = Fields(line)
            if kind == "invoke":
                _keep(begun, fields, "was invoked before")
            elif kind in OUTCOMES:
                _keep(ended, fields, "ended before")
            elif kind == "stall":
                stalls.append(
                    Stall(site=site, t_s=fields.number("t_s"), stall_s=fields.number("stall_s"))
                )
            elif kind == "end":
                complete = True
                written = fields.integer_or_none("operations")
            else:
                damage.append(f"{path.name}: line {number} has an unknown type")
        except ValueError as error:
            damage.append(f"{path.name}: line {number}: {error}")
    if written is not None and written != len(begun):
        damage.append(f"{path.name}: {len(begun)} operations, its end says {written}")
    for id_ in ended.keys() - begun.keys():
        damage.append(f"{path.name}: {id_} ended without being invoked")
    operations: list[Operation] = []
    for id_, invocation in begun.items():
        try:
            operations.append(_operation(id_, site, invocation, ended.get(id_)))
        except ValueError as error:
            damage.append(f"{path.name}: {id_}: {error}")
    return SiteHistory(
        site=site, operations=tuple(operations), stalls=tuple(stalls), complete=complete
    )


def _keep(known: dict[str, Fields], fields: Fields, complaint: str) -> None:
    """Remembers the line of an operation by its id, which must be new."""
    id_ = fields.text("id")
    if id_ in known:
        raise ValueError(f"{id_} {complaint}")
    known[id_] = fields


def _operation(id_: str, site: str, invocation: Fields, end: Fields | None) -> Operation:
    """One operation from the line of its invocation and the line of its end."""
    worker = invocation.integer("worker")
    leaves_entry = invocation.flag("entry", default=True)
    work = invocation.scalars("work")
    invoked_s = invocation.number("t_s")
    if end is None:
        return Operation(
            id=id_,
            site=site,
            worker=worker,
            invoked_s=invoked_s,
            ended_s=None,
            outcome="info",
            leaves_entry=leaves_entry,
            work=work,
        )
    lsn = end.text_or_none("lsn")
    return Operation(
        id=id_,
        site=site,
        worker=worker,
        invoked_s=invoked_s,
        ended_s=end.number("t_s"),
        outcome=OUTCOMES[end.text("type")],
        node=end.text_or_none("node"),
        timeline=end.integer_or_none("timeline"),
        lsn=None if lsn is None else parse_lsn(lsn),
        attempt_s=end.number_or_none("attempt_s"),
        attempts=end.integer_or_none("attempts") or 1,
        resolved=end.flag("resolved"),
        sqlstate=end.text_or_none("sqlstate"),
        error=end.text_or_none("error"),
        leaves_entry=leaves_entry,
        stopped=end.flag("stopped") or end.text_or_none("error") == STOPPED,
        work=work,
        result=end.scalars("result"),
    )
