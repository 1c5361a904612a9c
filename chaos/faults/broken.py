"""What faults leave broken, as the data that promises are computed from. Pure.

A fault says its ``effect``; ``cluster.topology.promises`` says what can be served in spite of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

from chaos.faults.base import Effect
from chaos.faults.book import Stroke
from cluster.topology.model import Topology
from cluster.topology.promises import Broken, always_served
from cluster.topology.quorum import shape_of

NOTHING = Broken()


def broken_by(effect: Effect, hosts: Sequence[str]) -> Broken:
    """What a fault with that effect leaves broken at these hosts.

    Nothing, where the service is due in spite of it: while PostgreSQL is restarted, while the lead
    is handed over, and where nobody can predict the effect. There the scenario alone says how long
    a site may wait.
    """
    there = frozenset(hosts)
    match effect:
        case "power-off":
            return Broken(dark=there)
        case "silence":
            return Broken(silent=there)
        case "etcd-off":
            return Broken(no_etcd=there)
        case "partition" | "one-way":
            return Broken(apart=(there,))
        case _:
            return NOTHING


def all_of(parts: Iterable[Broken]) -> Broken:
    """Everything at once."""
    return reduce(or_, parts, NOTHING)


def broken_of(strokes: Iterable[Stroke]) -> Broken:
    """What the strokes of a book leave broken."""
    return all_of(broken_by(one.effect, one.victim.hosts) for one in strokes)


def sites_due(topology: Topology, strokes: Iterable[Stroke]) -> frozenset[str]:
    """The sites that must be served in spite of what is broken, whoever was the primary."""
    return always_served(shape_of(topology), broken_of(strokes))
