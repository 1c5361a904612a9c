"""What this run cannot prove, from what the substrate says of itself."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.workloads.registry import WORKLOADS
from cluster.substrates.registry import SUBSTRATES

LAYERED = "layered"
"""``data`` of a run whose hosts with PostgreSQL had layered disks."""
_MEMORY = (
    "The data of every node lay in memory (tmpfs). A power cut in this lab ends all processes of a "
    "host at once and takes its link away, but pages that were written and not yet flushed are "
    "still there when the host comes back. Loss by a missing fsync, a lying disk or a broken "
    "controller cannot show here."
)
_LAYERED = (
    "The disks of the hosts with PostgreSQL were served by a process of each host: with the power "
    "went what was not synced. Names were not held back: creating, renaming and removing a file "
    "was on the disk at once, as on a file system that commits its journal at every step."
)
_DISK = (
    "The data of every node lay on: {data}. A power cut here ends processes, it does not cut the "
    "power of a disk: what the page cache held survives it. Loss by a missing fsync, a lying disk "
    "or a broken controller cannot show."
)
_NO_DELAY = (
    "The network between the sites was that of one machine, without added delay, jitter or loss. "
    "Between real sites every synchronous commit takes at least one round trip more."
)
_WAN = "The network between the sites: {wan}. It was made by software on one machine."
_ONE_RUN = (
    "This is one run. How long an outage lasts depends on when in its loops the cluster is struck; "
    "repeat the drill to learn the spread."
)


def limits(substrate: Mapping[str, str], workload: str = "ledger") -> tuple[str, ...]:
    """Sentences for the report, the most important first.

    Args:
        substrate: ``substrate`` of ``run.json``: ``name``, ``data``, ``wan``.
        workload: What the load did.
    """
    found: list[str] = []
    kind = SUBSTRATES.get(substrate.get("name", ""))
    data, wan = substrate.get("data"), substrate.get("wan")
    if data is None:
        found.append("Where the data of the nodes lay is not on record.")
    elif data == "tmpfs":
        found.append(_MEMORY)
    elif data == LAYERED:
        found.append(_LAYERED)
    elif kind is not None:
        found.append(_DISK.format(data=data))
    if wan is None:
        found.append("What the network between the sites was like is not on record.")
    else:
        found.append(_NO_DELAY if wan == "no delay" else _WAN.format(wan=wan))
    if kind is not None:
        found += kind.limits
    return (*found, WORKLOADS[workload].limits, _ONE_RUN)
