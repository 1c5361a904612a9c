"""A warehouse with a member for readers, and where its large reads began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from support.evidence.tiny import B, event, life, op
from support.evidence.warehoused import warehouse_run

from chaos.evidence.events import RunEvent
from chaos.evidence.records import Operation
from chaos.evidence.run import HostInfo, Run, SiteInfo
from cluster.topology.tags import Tags

READER = "db-reports"
SEEN = event(-2.0, "role", node=READER, role="replica", timeline=1)


TAGS = Tags(nofailover=True, reader=True, replicatefrom=B)
SOURCE = event(-2.0, "role", node=B, role="replica", timeline=1)


def stream(begin_s: float, *begun_on: str) -> Operation:
    """A cohort that began then, on the first of these members."""
    work = {
        "op": "cohort",
        "begin_s": begin_s,
        "first_s": begin_s + 0.1,
        "readers": ", ".join(begun_on),
        "complete": True,
        "rows": 30,
        "total": "123.45",
        "interruptions": len(begun_on) - 1,
    }
    return op(f"read-{begin_s:g}", begin_s + 1.0, work=work)


def with_reader(streams: Sequence[Operation], *more: RunEvent) -> Run:
    """A run with these streams and events; the reader is a replica of ``B``'s at first."""
    found = warehouse_run(streams)
    host = HostInfo(name=READER, roles=("postgres",), tags=TAGS)
    sites = (*found.info.sites, SiteInfo(name="lyon", hosts=(host,)))
    events = sorted([*life(fault_s=20.0), SEEN, SOURCE, *more], key=lambda one: one.t_s)
    return replace(found, info=replace(found.info, sites=sites), events=tuple(events))
